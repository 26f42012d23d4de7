"""Files that are there whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from graftwork.core.errors import IntegrityError, NotFoundError

DEEPEST_JSON = 32


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` so that a reader, or a crash, sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            _put(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to be written by another library, which takes the place of `path` when it is whole. It lies in a folder of
    its own beside it, and so does whatever that library writes on the way: a killed process leaves that folder alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as work:
        whole = Path(work) / "whole"
        yield whole
        _put(whole, path)


def _put(whole: Path, path: Path) -> None:
    with whole.open("rb") as file:
        os.fsync(file.fileno())
    whole.chmod(0o666 & ~_umask())
    whole.replace(path)


def _umask() -> int:
    """What the user lets nobody else do with new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def arriving(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to be filled, which gets its name when all that belongs in it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        whole = Path(work) / "whole"
        whole.mkdir()
        yield whole
        whole.rename(folder)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """`write_bytes` of indented JSON, readable by people and programs."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """`write_bytes` of one JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_json(path: Path) -> object:
    """Decode a JSON file that this package, or a tool it works with, wrote.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFoundError(f"{path} is not there, or is no file.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or a number too long to read
        raise IntegrityError(f"{path} is not whole JSON ({error}). Restore it from where it came.") from error


def read_foreign_json(path: Path, *, limit_bytes: int) -> object:
    """Decode a JSON file that anyone may have written: of bounded size and depth, no key twice, no number that is none.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no such JSON.
    """
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise IntegrityError(f"{path} has {size:,} bytes; at most {limit_bytes:,} are read.")
        with path.open("rb") as file:
            text = file.read(limit_bytes + 1).decode("utf-8")
        value = json.loads(text, object_pairs_hook=each_key_once, parse_constant=_refuse_constant)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFoundError(f"{path} is not there, or is no file.") from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is not whole JSON ({error}). Restore it from where it came.") from error
    if _is_deeper(value, DEEPEST_JSON):
        raise IntegrityError(f"{path} is nested more than {DEEPEST_JSON} levels deep. Restore it from where it came.")
    return value


def each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of `json.loads`, the `object_pairs_hook` that refuses a key that stands twice; raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"the key {twice!a} stands twice")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _is_deeper(value: object, levels: int) -> bool:
    """Whether lists and mappings are nested deeper than so many levels; without recursion of the same depth."""
    layer = [value]
    for _ in range(levels):
        layer = [
            item for v in layer for item in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())
        ]
        if not layer:
            return False
    return any(isinstance(v, dict | list) for v in layer)
