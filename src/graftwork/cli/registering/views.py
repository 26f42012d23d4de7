"""What the registry's commands say, as plain data and as tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graftwork.core.units import bytes_text, count_text

if TYPE_CHECKING:
    from graftwork.registry.checking import Checked
    from graftwork.registry.collecting import Garbage
    from graftwork.registry.stages import Move
    from graftwork.registry.versions import Version

SHORT = 12
NONE = "-"


def short(digest: str | None) -> str:
    """A digest as tables show it."""
    return digest[:SHORT] if digest else NONE


def show_table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of texts."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def moment_text(time_us: int | None) -> str:
    """A moment as tables show it, to the second."""
    from graftwork.registry.interface import time_text

    return NONE if time_us is None else time_text(time_us)[:19].replace("T", " ") + " UTC"


def move_data(move: "Move") -> dict[str, Any]:
    """A move as plain data."""
    from graftwork.registry.interface import time_text

    return {
        "sequence": move.sequence,
        "time": time_text(move.time_us),
        "stage": move.stage,
        "before": move.before,
        "after": move.after,
        "actor": move.actor,
        "reason": move.reason,
    }


def show_moves(console: Console, name: str, moves: Sequence["Move"]) -> None:
    """The moves of a name, the first one first."""
    rows = [
        (moment_text(m.time_us), m.stage, short(m.before), short(m.after), m.actor, m.reason or NONE) for m in moves
    ]
    show_table(console, f"Moves of {name}", ("time", "stage", "from", "to", "by", "why"), rows)


def version_data(version: "Version", stages: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """A version as plain data, with the stages of names that point to it if these are known."""
    from graftwork.core.spec import plain
    from graftwork.registry.interface import time_text

    return {
        "version": version.digest,
        "trainer": version.trainer,
        "added": time_text(version.added_us),
        "signed": version.envelope is not None,
        "files_given_up": version.collected_us is not None,
        **({} if stages is None else {"names": {name: list(at) for name, at in stages.items()}}),
        "manifest": dict(plain(version.manifest)),
    }


def show_version(console: Console, data: Mapping[str, Any]) -> None:
    """Where a version comes from, what was measured, its files."""
    manifest = data["manifest"]
    measured = manifest["evaluation"]
    fields = {
        "version": data["version"],
        "what": f"{manifest['kind']} {short(manifest['content'])}"
        + (f" on {short(on)}" if (on := manifest["on"]) else ""),
        "base": f"{manifest['base']['ref']} (weights {short(manifest['base']['weights'])})",
        "recipe": short(manifest["recipe"]),
        "data": f"train {short(manifest['data']['train'])}, held out {short(manifest['data']['evaluation'])}",
        "training": f"{manifest['num_steps']} steps, seed {manifest['seed']}",
        "trained with": ", ".join(f"{name} {number}" for name, number in manifest["versions"].items()),
        "put in": f"{data['added'][:19].replace('T', ' ')} UTC by {data['trainer']}",
        "signed": "yes" if data["signed"] else "no",
        "certificate": short(measured["certificate"]) if measured else NONE,
        "names": ", ".join(f"{name} ({', '.join(at)})" for name, at in data.get("names", {}).items()) or NONE,
    }
    table = Table(show_header=False, box=None)
    for name, value in fields.items():
        table.add_row(name, escape(str(value)))
    console.print(table)
    if data["files_given_up"]:
        console.print("Its files were given up: nothing points to it. Add its run again to have them.")
    if measured and measured["verdicts"]:
        rows = [(one["dimension"], one["reference"], one["verdict"]) for one in measured["verdicts"]]
        show_table(console, "Verdicts", ("dimension", "beside", "verdict"), rows)
    files = [(one["path"], bytes_text(one["num_bytes"]), short(one["digest"])) for one in manifest["files"]]
    show_table(console, "Files", ("path", "size", "digest"), files)


def checked_data(found: "Checked") -> dict[str, Any]:
    """What `verify` found, as plain data."""
    return {
        "is_whole": not found.problems,
        "problems": list(found.problems),
        "ledger": {"entries": found.num_entries, "head": found.head[1], "signed_up_to": found.signed_up_to},
        "rows": found.num_rows,
        "versions": found.num_versions,
        "signed_by_trusted_keys": found.num_signed,
        "blobs": found.num_blobs,
        "bytes": found.num_bytes,
    }


def show_checked(console: Console, data: Mapping[str, Any]) -> None:
    """What was looked at, and all that is wrong."""
    for problem in data["problems"]:
        console.print(problem, markup=False)
    ledger = data["ledger"]
    console.print(
        f"{_many(ledger['entries'], 'ledger entry', 'ledger entries')} (signed up to {ledger['signed_up_to']}), "
        f"{_many(data['rows'], 'row', 'rows')}, {_many(data['versions'], 'version', 'versions')} "
        f"({data['signed_by_trusted_keys']} signed by a trusted key), {_many(data['blobs'], 'blob', 'blobs')}, "
        f"{bytes_text(data['bytes'])} read.",
        markup=False,
    )
    wrong = len(data["problems"])
    console.print(_many(wrong, "problem", "problems") + "." if wrong else "All is as it was written.")


def _many(count: int, noun: str, nouns: str) -> str:
    return f"{count_text(count)} {noun if count == 1 else nouns}"


def garbage_data(found: "Garbage", *, is_done: bool) -> dict[str, Any]:
    """What is given up, as plain data."""
    return {
        "done": is_done,
        "versions": list(found.versions),
        "kept": dict(found.kept),
        "blobs": [blob.digest for blob in found.blobs],
        "bytes": found.num_bytes,
    }


def show_garbage(console: Console, data: Mapping[str, Any]) -> None:
    """What stays and why, what goes."""
    if data["kept"]:
        rows = [(short(digest), why) for digest, why in data["kept"].items()]
        show_table(console, "Needed", ("version", "why"), rows)
    what = (
        f"{_many(len(data['versions']), 'version', 'versions')}, {_many(len(data['blobs']), 'blob', 'blobs')} "
        f"of {bytes_text(data['bytes'])}"
    )
    if data["done"]:
        console.print(f"Given up: the files of {what}. Versions stay on record.")
    else:
        console.print(f"Not needed: the files of {what}. To give them up: graftwork registry gc --yes")
