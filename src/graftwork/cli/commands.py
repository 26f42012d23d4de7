"""The commands. Each one reads its words, makes one call, and prints; what loads torch is imported where it is used."""

from pathlib import Path
from typing import Annotated

import typer

from graftwork.cli import views
from graftwork.cli.advising import strategy
from graftwork.cli.canaries import canaries_app
from graftwork.cli.certifying import resume_certificate
from graftwork.cli.evaluating import compare, evaluate
from graftwork.cli.examining import doctor
from graftwork.cli.harnessing import harness
from graftwork.cli.planning import plan
from graftwork.cli.privacy import privacy_app
from graftwork.cli.registering.app import registry_app
from graftwork.cli.replaying import receipts, replay
from graftwork.cli.reply import answer
from graftwork.cli.reporting import report
from graftwork.cli.serving import serve
from graftwork.cli.together import isolation_certificate, together

Recipe = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
AdapterFolder = Annotated[Path, typer.Argument(help="An adapter's folder, or the folder of a run.", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run. [default: runs/<recipe name>]")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that prepare data. [default: as many as pay]")
]
Processes = Annotated[int, typer.Option("--processes", min=1, help="Processes that share each step of training.")]
ShardBase = Annotated[bool, typer.Option("--shard-base", help="Each process holds only a part of the base's layers.")]
BaseRef = Annotated[
    str | None, typer.Option("--base", help="Another name for the same base. [default: the one on its card]")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe: adapter.rank=8. Repeatable.")
]


def run(
    recipe: Recipe,
    out: Out = None,
    settings: Settings = None,
    workers: Workers = None,
    processes: Processes = 1,
    shard_base: ShardBase = False,
    json: Json = False,
) -> None:
    """Prepare, train and evaluate.

    Steps that are done and unchanged are not done again.
    """
    from graftwork.cli.watching import watched_run
    from graftwork.pipeline.parallel import Parallel

    parallel = Parallel(processes=processes, shards_base=shard_base)
    result = watched_run(recipe, out, settings or [], "evaluate", workers=workers, parallel=parallel)
    answer(views.run_data(result), lambda console: views.show_run(console, result), as_json=json)


def train(
    recipe: Recipe,
    out: Out = None,
    settings: Settings = None,
    workers: Workers = None,
    processes: Processes = 1,
    shard_base: ShardBase = False,
    json: Json = False,
) -> None:
    """Prepare and train, without evaluation.

    A killed training goes on from its last checkpoint.
    """
    from graftwork.cli.watching import watched_run
    from graftwork.pipeline.parallel import Parallel

    parallel = Parallel(processes=processes, shards_base=shard_base)
    result = watched_run(recipe, out, settings or [], "train", workers=workers, parallel=parallel)
    answer(views.run_data(result), lambda console: views.show_run(console, result), as_json=json)


def prepare(
    recipe: Recipe,
    out: Out = None,
    settings: Settings = None,
    workers: Workers = None,
    preview: Annotated[
        int,
        typer.Option("--preview", min=0, metavar="N", help="Also show N records as tokens, the learned ones marked."),
    ] = 0,
    json: Json = False,
) -> None:
    """Read, check, clean and split the data, with a report.

    What cannot be used goes to data/quarantine.jsonl with its file, line and reason.
    """
    from graftwork.cli.watching import watched_run

    result = watched_run(recipe, out, settings or [], "prepare", workers=workers)
    answer(views.run_data(result), lambda console: views.show_run(console, result), as_json=json)
    if preview:
        from graftwork.cli.previewing import preview_rows

        preview_rows(result.folder, preview, as_json=json)


def show(
    recipe: Annotated[Path | None, typer.Argument(help="The recipe, a YAML file.")] = None,
    settings: Settings = None,
    places: Annotated[
        bool, typer.Option("--places", help="Also what is trained and what is not, layer by layer.")
    ] = False,
    ranks: Annotated[bool, typer.Option("--ranks", help="The rank of every layer, role by role, instead.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON schema of recipes, for editors.")] = False,
    json: Json = False,
) -> None:
    """Print the effective recipe.

    Every value that holds is in it, those of the preset too.
    """
    from graftwork.cli import showing

    if schema:
        showing.schema()
        return
    if recipe is None:
        raise typer.BadParameter("give a recipe, or --schema")
    data, view = showing.recipe(recipe, settings or [], with_places=places, with_ranks=ranks)
    answer(data, view, as_json=json)


def chat(
    adapter: AdapterFolder,
    base: BaseRef = None,
    prompt: Annotated[list[str] | None, typer.Option("--prompt", help="Answer this and leave. Repeatable.")] = None,
    system: Annotated[
        str | None, typer.Option("--system", help="System message. [default: the one it was trained with]")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Most tokens of an answer.")] = 128,
    json: Json = False,
) -> None:
    """Talk to base and adapter side by side."""
    from graftwork.cli.chatting import converse

    converse(adapter, base, prompt or [], system=system, max_new_tokens=max_new_tokens, as_json=json)


def export(
    adapter: AdapterFolder,
    out: Annotated[Path, typer.Argument(help="New folder; with gguf a new file.", show_default=False)],
    base: BaseRef = None,
    form: Annotated[
        str, typer.Option("--format", help="peft (PEFT, vLLM and others) or gguf (llama.cpp, LoRA alone).")
    ] = "peft",
    json: Json = False,
) -> None:
    """Copy an adapter for PEFT and vLLM or for llama.cpp, checked."""
    from graftwork.cli.moving import export_adapter

    data = export_adapter(adapter, out, base, form)
    answer(data, lambda console: views.show_fields(console, data), as_json=json)


def merge(
    adapter: AdapterFolder,
    out: Annotated[Path, typer.Argument(help="New folder.", show_default=False)],
    base: BaseRef = None,
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")] = "float32",
    quantised: Annotated[
        str | None, typer.Option("--quantised", help="The base: off, int8 or int4. [default: as in training]")
    ] = None,
    json: Json = False,
) -> None:
    """Merge an adapter into its base, with proof.

    The merged model is written only if it computes the same.
    """
    from graftwork.cli.moving import merge_adapter

    data = merge_adapter(adapter, out, base, dtype, quantised)
    answer(data, lambda console: views.show_fields(console, data), as_json=json)


def blend(
    terms: Annotated[
        list[str], typer.Argument(metavar="FOLDER[:WEIGHT]...", help="Adapters of one base.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder.", show_default=False)],
    rank: Annotated[
        int | None, typer.Option("--rank", min=1, max=4096, help="Most directions a layer may use. [default: all]")
    ] = None,
    base: BaseRef = None,
    json: Json = False,
) -> None:
    """Add adapters up, each with its weight, as one.

    What a lower rank loses is said.
    """
    from graftwork.cli.blending import blend_adapters

    data = blend_adapters(terms, out, base, rank)
    answer(data, lambda console: views.show_fields(console, data), as_json=json)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path("runs/demo"),
    short: Annotated[bool, typer.Option("--short", help="A few steps, to see that all is well.")] = False,
    json: Json = False,
) -> None:
    """The whole job on real data, in minutes.

    Teach a small model to send medical questions to the right department.
    """
    from graftwork.cli.demonstrating import demonstrate

    result = demonstrate(out, short=short)
    answer(views.run_data(result), lambda console: views.show_demo(console, result), as_json=json)


def version(json: Json = False) -> None:
    """Print the version."""
    from graftwork import __version__

    answer({"version": __version__}, lambda console: console.print(__version__), as_json=json)


def add_to(app: typer.Typer) -> None:
    """Put every command into `app`, in the order in which a new user needs them."""
    for command in (demo, run, prepare, train, show, evaluate, compare, chat, export, merge, blend):
        app.command()(command)
    app.command()(serve)
    app.command()(replay)
    app.command()(receipts)
    app.command()(plan)
    app.command()(doctor)
    app.command()(strategy)
    app.command()(harness)
    app.command()(report)
    app.command()(together)
    app.command("resume-certificate")(resume_certificate)
    app.command("isolation-certificate")(isolation_certificate)
    app.add_typer(registry_app, name="registry")
    app.add_typer(privacy_app, name="privacy")
    app.add_typer(canaries_app, name="canaries")
    app.command()(version)
