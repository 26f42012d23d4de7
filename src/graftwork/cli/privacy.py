"""`graftwork privacy`: measure de-identification, try it on a text, restore pseudonyms, write a key."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from graftwork.cli.reply import answer
from graftwork.core.errors import ConflictError, NotFoundError, Problem, SpecError

if TYPE_CHECKING:
    from graftwork.data.privacy.deidentify import Deidentifier
    from graftwork.data.privacy.key import Key
    from graftwork.data.privacy.measure import Case, Measures, Rate

privacy_app = typer.Typer(
    name="privacy",
    help="Personal data: how well it is found, and back from pseudonyms.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Language = Annotated[str, typer.Option("--language", help="zh, en or both.")]


@privacy_app.command()
def measure(
    language: Language = "both",
    seed: Annotated[int, typer.Option("--seed", help="Other texts, other values.")] = 0,
    cases: Annotated[int, typer.Option("--cases", help="Texts a language.")] = 2000,
    json: Json = False,
) -> None:
    """How much personal data is found in generated texts, by kind.

    Names come from a list that the recognisers do not have.
    """
    from graftwork.data.privacy.labelled import LANGUAGES, labelled

    if language not in (*LANGUAGES, "both"):
        raise SpecError([Problem("--language", language, f"one of {', '.join((*LANGUAGES, 'both'))}")])
    languages = LANGUAGES if language == "both" else (language,)
    texts = {name: labelled(name, seed=seed, num_cases=cases) for name in languages}
    data = _measured(texts, _deidentifier())
    answer({"seed": seed, **data}, lambda console: _show_measures(console, data), as_json=json)


@privacy_app.command()
def find(
    text: Annotated[str | None, typer.Argument(help="A text.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A text file, UTF-8, instead.")] = None,
    json: Json = False,
) -> None:
    """What is found in a text: kinds and the masked text, never the values."""
    from graftwork.data.edits import edited

    if (text is None) == (file is None):
        raise SpecError([Problem("TEXT", text, "a text or --file, one of them")])
    given = text if text is not None else _read(Path(str(file)))
    cleaned = _deidentifier().clean(given)
    rows = [{"kind": f.kind, "start": f.start, "end": f.end, "score": round(f.score, 2)} for f in cleaned.found]
    data = {"found": rows, "masked": edited(given, cleaned.edits)}
    answer(data, lambda console: _show_found(console, rows, str(data["masked"])), as_json=json)


@privacy_app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A text file with pseudonyms.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New file.", show_default=False)],
    vault: Annotated[Path, typer.Option("--vault", help="The vault that was written with the data.")],
    key_file: Annotated[Path | None, typer.Option("--key-file", help="File with the key.")] = None,
    key_env: Annotated[str | None, typer.Option("--key-env", help="Environment variable with the key.")] = None,
    json: Json = False,
) -> None:
    """Put back what pseudonyms stand for, exactly as it was written.

    The new file is readable by its owner alone.
    """
    from graftwork.core.files import write_text
    from graftwork.data.privacy.vault import read_vault, restored

    if out.exists():
        raise ConflictError(f"{out} is there already. Choose another name or move it away.")
    text = restored(_read(source), read_vault(vault), _key(key_file, key_env))
    out.touch(mode=0o600, exist_ok=False)
    write_text(out, text)
    out.chmod(0o600)
    answer({"file": str(out)}, lambda console: console.print(f"restored: {out}"), as_json=json)


@privacy_app.command("new-key")
def new_key(
    file: Annotated[Path, typer.Argument(help="New file for the key.", show_default=False)], json: Json = False
) -> None:
    """Write a fresh key for pseudonyms, readable by its owner alone."""
    from graftwork.data.privacy.key import write_new_key

    write_new_key(file)
    answer(
        {"file": str(file)}, lambda console: console.print(f"key: {file}. Keep it apart from the data."), as_json=json
    )


def _deidentifier() -> "Deidentifier":
    from graftwork.core.spec import parse
    from graftwork.data.privacy.deidentify import Deidentifier
    from graftwork.data.privacy.spec import PrivacySpec

    return Deidentifier(parse(PrivacySpec, {}), None)


def _key(key_file: Path | None, key_env: str | None) -> "Key":
    from graftwork.data.privacy.key import key_from_env, key_from_file

    if key_file is not None and key_env is None:
        return key_from_file(key_file)
    if key_env is not None and key_file is None:
        return key_from_env(key_env)
    raise SpecError([Problem("--key-file", key_file and str(key_file), "--key-file or --key-env, one of them")])


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")  # as it is: no line end is changed
    except OSError as error:
        raise NotFoundError(f"{path} is not there, or is no file.") from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem(str(path), "bytes", "text in UTF-8", "Save it as UTF-8.")]) from error


def _measured(texts: "dict[str, list[Case]]", deidentifier: "Deidentifier") -> dict[str, Any]:
    from graftwork.data.privacy.measure import BAR_PRECISION, measured

    speeds: dict[str, float] = {}
    for language, cases in texts.items():
        began = time.process_time()
        for case in cases:
            deidentifier.find(case.text)
        speeds[language] = sum(len(case.text.encode()) for case in cases) / 1e6 / (time.process_time() - began)
    result = measured((case for cases in texts.values() for case in cases), deidentifier)
    return {
        "cases": result.num_cases,
        "kinds": _rows(result),
        "precision_bar": BAR_PRECISION,
        "megabytes_per_s": {language: round(speed, 2) for language, speed in speeds.items()},
    }


def _rows(result: "Measures") -> list[dict[str, Any]]:
    return [
        {
            "kind": row.kind,
            "language": row.language,
            "labels": row.recall.num,
            "recall": _told(row.recall),
            "precision": _told(row.precision),
            "bar": row.bar,
            "passes": row.passes,
        }
        for row in result.rows
    ]


def _told(rate: "Rate") -> dict[str, float | None]:
    low, high = rate.interval or (None, None)
    return {"value": rate.value, "low": low, "high": high}


def _show_measures(console: Console, data: dict[str, Any]) -> None:
    table = Table("kind", "language", "labels", "recall (95 %)", "precision (95 %)", "bar")
    for row in data["kinds"]:
        bar = "" if row["bar"] is None else f"{row['bar']:.2f} {'ok' if row['passes'] else 'MISSED'}"
        told = (_percent(row["recall"]), _percent(row["precision"]))
        table.add_row(row["kind"], row["language"], str(row["labels"]), *told, bar)
    console.print(table)
    for language, speed in data["megabytes_per_s"].items():
        console.print(f"{language}: {speed:.2f} MB/s on one core; these short texts are full of personal data")


def _percent(told: dict[str, float | None]) -> str:
    if told["value"] is None:
        return "-"
    return f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def _show_found(console: Console, rows: list[dict[str, Any]], masked: str) -> None:
    table = Table("kind", "from", "to", "score")
    for row in rows:
        table.add_row(row["kind"], str(row["start"]), str(row["end"]), f"{row['score']:.2f}")
    console.print(table)
    console.print(masked, markup=False)
