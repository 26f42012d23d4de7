"""Kinds of files, by the ending of their names. One more kind is one more file in `kinds` and one import line there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from graftwork.core.catalog import Catalog
from graftwork.core.errors import Problem
from graftwork.data.records import Origin
from graftwork.data.sources.chunks import PACKED, Damage, text_chunks
from graftwork.data.sources.found import Bad, Found, bad

LONGEST_BYTES = 64 << 20
"""Longest line, entry or cell; a longer one is refused without being held."""


def unheard(_: int) -> None:
    """Progress that nobody listens to."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file to read.

    Attributes:
        encoding: of its text; utf-16 is decoded on the way, so that readers see utf-8.
        progress: is told of bytes read.
    """

    path: Path
    encoding: str = "utf-8"
    progress: Callable[[int], None] = unheard

    @property
    def name(self) -> str:
        """The file as origins name it."""
        return str(self.path)

    @property
    def text_encoding(self) -> str:
        """The encoding of what `chunks` gives."""
        return "utf-8" if self.encoding == "utf-16" else self.encoding

    def chunks(self) -> Iterator[bytes]:
        """The bytes of its text. Raises Damage at the end of a file that is not whole."""
        return text_chunks(self.path, self.encoding, self.progress)

    def unheard(self) -> "Opened":
        """The same, telling nobody: for a look that is no reading."""
        return replace(self, progress=unheard)

    def damaged(self, damage: Damage, line: int, raw: str | bytes) -> Bad:
        """What `damage` says, at `line`, where the file stops."""
        problem = Problem(self.name, damage.value, damage.expected, damage.hint)
        return bad(Origin(self.name, line), damage.reason, problem, raw)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        name: what its users call it.
        read: its rows and what is none, lazily; raises OSError alone.
        is_text: whether it is text, which has an encoding and may be packed.
    """

    name: str
    read: Callable[[Opened], Iterator[Found]]
    is_text: bool = True


READERS: Catalog[Kind] = Catalog("kind of file")
"""By the ending of the file's name."""


def kind_of(path: Path) -> Kind | None:
    """The kind of file that the name `path` says, or None."""
    packed = path.suffix.lower() in PACKED
    ending = (Path(path.stem) if packed else path).suffix.lower().removeprefix(".")
    if ending not in READERS:
        return None
    kind = READERS[ending]
    return kind if kind.is_text or not packed else None


def endings() -> str:
    """The endings there are, in words."""
    return f"{', '.join('.' + name for name in READERS)} (text also with {' or '.join(PACKED)})"
