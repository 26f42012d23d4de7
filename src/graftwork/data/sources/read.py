"""A source to rows: which files it has, how large they are, and what is in them, lazily."""

from collections.abc import Callable, Iterator
from pathlib import Path

from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.fields import renamed
from graftwork.data.sources.found import Found, bad, of_file
from graftwork.data.sources.hub import hub_rows
from graftwork.data.sources.reader import READERS, Opened, endings, kind_of, unheard
from graftwork.data.sources.saved import is_saved, saved_files


def files_of(source: SourceSpec) -> list[Path]:
    """The files of a source in order of their names; none for one on the hub.

    Raises:
        NotFoundError: there is nothing at its path, or no file that it asks for.
        SpecError: a file of a kind that cannot be read, a folder of several kinds, or a request that fits no file.
    """
    if source.is_on_hub:
        return []
    path = Path(source.path)
    if not path.is_dir():
        files = [_file(path)]
        _refuse_what_fits_no_file(source)
    elif is_saved(path):
        if source.files:
            raise SpecError([Problem("files", source.files, "none with a folder that datasets saved", "Use split.")])
        files = saved_files(path, source.split)
    else:
        if source.split:
            raise SpecError([Problem("split", source.split, "none with a folder of files", "Use files.")])
        files = _in_folder(path, source.files)
    _refuse_an_encoding_of_no_text(source, files)
    return files


def size_bytes(source: SourceSpec) -> int:
    """Bytes of its files as they lie on the disk; 0 for one on the hub, which cannot be told before."""
    return sum(path.stat().st_size for path in files_of(source))


def rows(source: SourceSpec, *, progress: Callable[[int], None] = unheard) -> Iterator[Found]:
    """All that is found in a source, in order, lazily: memory does not grow with its size.

    Args:
        progress: is told of bytes read, of packed files before unpacking.

    Raises:
        NotFoundError, SpecError, IntegrityError: as `files_of`; nothing for what is in a file.
    """
    found = hub_rows(source) if source.is_on_hub else _of_files(files_of(source), source, progress)
    if not source.fields:
        return found
    return (renamed(one, source.fields) for one in found)


def _of_files(files: list[Path], source: SourceSpec, progress: Callable[[int], None]) -> Iterator[Found]:
    for path in files:
        yield from _of_file(Opened(path, source.encoding, progress))


def _of_file(opened: Opened) -> Iterator[Found]:
    kind, one = kind_of(opened.path), None
    assert kind is not None, opened.path  # files_of gives no other
    try:
        for one in kind.read(opened):
            yield one
    except OSError as error:
        problem = Problem(opened.name, error.strerror or str(error), "a file that can be read")
        yield bad(of_file(opened.name), "unreadable", problem, "")
        return
    if one is None:
        yield bad(of_file(opened.name), "empty file", Problem(opened.name, 0, "at least one record"), "")


def _file(path: Path) -> Path:
    if not path.is_file():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NotFoundError(f"no data file at {path}. {did_you_mean(path.name, beside)}".strip())
    if kind_of(path) is None:
        raise SpecError([Problem("data file", str(path), f"a file that ends in {endings()}")])
    return path


def _refuse_what_fits_no_file(source: SourceSpec) -> None:
    asked = {"files": source.files, "split": source.split}
    if problems := [Problem(key, value, "none with a single file") for key, value in asked.items() if value]:
        raise SpecError(problems)


def _in_folder(folder: Path, pattern: str | None) -> list[Path]:
    files = sorted(path for path in _matching(folder, pattern or "**/*") if _is_meant(path, folder))
    if not files:
        there = sorted({path.name for path in folder.iterdir()})
        near = did_you_mean(pattern or "", there) or (f"There are: {', '.join(there[:10])}." if there else "")
        raise NotFoundError(f"no data file {f'like {pattern!r} ' if pattern else ''}in {folder}. {near}".strip())
    if unknown := [path for path in files if kind_of(path) is None]:
        hint = f'Say which files to read with files, such as "*.{next(iter(READERS))}".'
        raise SpecError([Problem("data file", str(unknown[0]), f"a file that ends in {endings()}", hint)])
    kinds = {kind.name: path for path in files if (kind := kind_of(path))}
    if len(kinds) > 1 and not pattern:
        hint = f'Say which files to read with files, such as "*{next(iter(kinds.values())).suffix}".'
        raise SpecError([Problem("data folder", str(folder), f"files of one kind, not {', '.join(kinds)}", hint)])
    return files


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        if ".." in Path(pattern).parts:
            raise ValueError(pattern)
        return [path for path in folder.glob(pattern) if path.is_file()]
    except (ValueError, NotImplementedError) as error:  # an absolute pattern, or one with a mistake
        problem = Problem("files", pattern, "a pattern for files in the folder", 'Such as "*.jsonl" or "**/*.txt".')
        raise SpecError([problem]) from error


def _is_meant(path: Path, folder: Path) -> bool:
    """Whether a file of a folder is data: what begins with a dot is some program's own."""
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _refuse_an_encoding_of_no_text(source: SourceSpec, files: list[Path]) -> None:
    if source.encoding == "utf-8":
        return
    if tables := [path for path in files if (kind := kind_of(path)) and not kind.is_text]:
        hint = f"{tables[0].name} is no text."
        raise SpecError([Problem("encoding", source.encoding, "none but utf-8 with such files", hint)])
