"""`graftwork plan`: will it fit, how long, what does it cost; a table, or JSON. Ends with 3 when it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graftwork.cli.reply import answer
from graftwork.core.units import bytes_text, count_text, seconds_text

if TYPE_CHECKING:
    from graftwork.pipeline.plan import Planned

PARTS = {
    "runtime": "Python, torch and imports, or the GPU's context",
    "weights": "base",
    "adapter": "adapter",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "casts": "adapter in the base's format",
    "activations": "kept for the backward pass",
    "logits": "logits of one chunk",
    "holes": "held by the allocator",
}


def plan(  # noqa: PLR0913  its words
    recipe: Annotated[Path | None, typer.Argument(help="The recipe, a YAML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run. [default: runs/<recipe name>]")] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Another base: a folder, or a known one such as llama-3-70b.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="h100, h200, a100-80g, 4090, l4. [default: this machine]")
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, max=4096, help="How many of that device.")] = 1,
    tokens: Annotated[int | None, typer.Option("--tokens", min=2, help="Tokens of a record, not the data's.")] = None,
    targets: Annotated[int | None, typer.Option("--targets", min=1, help="Learned tokens of a record.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure the bits in the data with the base.")] = False,
    headroom: Annotated[float, typer.Option("--headroom", min=1, help="Times the data's bits to hold.")] = 1.0,
    tasks: Annotated[int, typer.Option("--tasks", min=1, help="Tasks to keep, for the storage.")] = 10,
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of one device for an hour.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this machine once, best while it is idle.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Foretell memory, time, cost and rank of a training.

    Ends with 3 when it does not fit, and says what would.
    """
    from graftwork.pipeline import plan as planning
    from graftwork.pipeline.recipes import read_request

    if recipe is None and not calibrate:
        raise typer.BadParameter("give a recipe, or --calibrate")
    if calibrate:
        _calibrate(as_json=json, is_all=recipe is None)
    if recipe is None:
        return 0
    where = device or planning.HERE
    planning.refuse_counted(where, gpus)
    spec = read_request(recipe, settings or [])
    asked = planning.Asked(
        base=base, device=where, count=gpus, tokens=tokens, targets=targets, measures=measure,
        price_per_hour=price, tasks=tasks, headroom=headroom,
    )  # fmt: skip
    made = planning.planned(spec, asked, out or Path("runs") / spec.name)
    answer(planning.plan_data(made), lambda console: show_plan(console, made), as_json=json)
    return 3 if made.plan.fits is False else 0


def _calibrate(*, as_json: bool, is_all: bool) -> None:
    """Measure, and say what came of it; with `is_all` as the command's own answer, else beside it."""
    import os
    import sys
    import time

    from graftwork.pipeline.calibrate import calibrate, profile_file, rates_of, threads_here

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    profile = calibrate(threads_here(), time.perf_counter, say, lambda: sum(os.times()[:4]))
    rates = {name: rates_of(speed.products) for name, speed in profile.speeds.items()}

    def view(console: Console) -> None:
        for name, told in rates.items():
            shown = ", ".join(f"{rate:.0f} with {tokens} tokens" for tokens, rate in told.items())
            console.print(f"{name}: GFLOP/s of products: {shown}", soft_wrap=True)
        console.print(f"kept at {profile_file()}", soft_wrap=True)

    if is_all:
        answer({"file": str(profile_file()), "gflops": rates}, view, as_json=as_json)
    else:
        view(Console(stderr=True, highlight=False))


def show_plan(console: Console, made: Planned) -> None:
    """The plan for people: the verdict first."""
    made_plan = made.plan
    console.print(_verdict(made))
    table = Table("memory at the peak", "", title_justify="left")
    table.columns[1].justify = "right"
    for name, num in made_plan.memory.parts.items():
        if num:
            table.add_row(PARTS[name], bytes_text(num))
    table.add_section()
    table.add_row(f"together, {made_plan.memory.moment}", bytes_text(made_plan.memory.total))
    console.print(table)
    for line in _lines(made):
        console.print(line, soft_wrap=True)
    if made_plan.alternatives:
        console.print("What would fit:")
        for one in made_plan.alternatives:
            words = " ".join(f"--set {setting}" for setting in one.settings)
            console.print(f"  {words}   ({bytes_text(one.total_bytes)})", soft_wrap=True)
    elif made_plan.fits is False:
        console.print("None of the settings nearby fits. Take a smaller base, shorter records or more memory.")
    for note in made.notes:
        console.print(f"- {note}", style="dim", soft_wrap=True)


def _verdict(made: Planned) -> Text:
    plan, machine = made.plan, made.machine
    where = machine.name if machine.count == 1 else f"{machine.count} x {machine.name}"
    if plan.fits is None:
        return Text(f"{where}: nothing says how much memory there is.")
    room = bytes_text(machine.memory_bytes or 0)
    each = " on each" if machine.count > 1 else ""
    if not plan.fits:
        missing = bytes_text(plan.shortfall_bytes)
        return Text(f"DOES NOT FIT {where}: {missing} are missing{each}, {room} may be taken.", style="bold red")
    spread = ", the base spread over all" if plan.spread == "spread" else ""
    taken = bytes_text(plan.memory.total)
    return Text(f"fits {where}: {taken}{each} of {room} that may be taken{spread}.", style="bold green")


def _lines(made: Planned) -> list[str]:
    plan, request = made.plan, made.request
    share = plan.trained / plan.num_base
    lines = [
        f"trained: {count_text(plan.trained)} numbers, {share:.3%} of {count_text(plan.num_base)}",
        f"operations: {plan.operations.total:.3g} multiply-adds a step, {plan.over_full:.2f} of full tuning's",
    ]
    if plan.seconds is None or plan.step_seconds is None:
        lines.append(f"time: unknown here, {count_text(plan.workload.num_steps)} steps")
    else:
        steps = count_text(plan.workload.num_steps)
        lines.append(f"time: {_step_text(plan.step_seconds)} a step, {seconds_text(plan.seconds)} for {steps} steps")
    if plan.cost is not None:
        lines.append(f"cost: {plan.cost:,.2f} at {request.price_per_hour:g} a device hour")
    kept = plan.storage
    lines.append(
        f"storage of {kept.tasks} tasks: {bytes_text(kept.copies)} as full copies, {bytes_text(kept.adapters)} as one "
        f"base and adapters; an adapter is {kept.smaller:,.0f} times smaller than a copy"
    )
    return [*lines, *_capacity(made), _rate(made)]


def _step_text(seconds: float) -> str:
    return seconds_text(seconds) if seconds >= 0.1 else f"{1000 * seconds:.2g} ms"


def _capacity(made: Planned) -> list[str]:
    found = made.plan.capacity
    how = "measured with the base" if found.is_measured else "assumed"
    verdict = "holds them" if found.covers else "is too small"
    data, held = f"{found.data_bits:,.0f} bits in the data ({how})", f"{found.adapter_bits:,.0f} in the adapter"
    told = f"capacity: {data}, {held}: {verdict}"
    if found.rank is None:
        return [told]
    tiers = f", or {'/'.join(map(str, found.tiers))} from the bottom third to the top" if found.tiers else ""
    return [told, f"least rank that holds them: {found.rank}{tiers}"]


def _rate(made: Planned) -> str:
    rate, asked = made.plan.rate, made.request.learning_rate
    told = f"learning rate: the recipe's {asked:g}"
    return f"{told}; {rate.why}" + (f": {rate.rate:.1e}" if rate.rate else "")
