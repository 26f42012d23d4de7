"""A file's bytes in pieces, unpacked where its name ends in .gz or .zst, so that size does not matter.

What is wrong with the file as a whole is raised as `Damage` after all bytes that could be had.
"""

import codecs
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from graftwork.data.sources.found import BYTE_MARK

CHUNK_BYTES = 1 << 18
ZSTD_STEP_BYTES = 1 << 11
"""Packed bytes given to zstd at once. It cannot be told to stop, and may make thousands of bytes of each."""

PACKED = (".gz", ".zst")
"""Endings of packed files, after the ending of what is in them."""

BEGINNINGS = {
    b"\x1f\x8b\x08": ("packed", "It is packed by gzip: give it a name that ends in .gz."),
    b"\x28\xb5\x2f\xfd": ("packed", "It is packed by zstd: give it a name that ends in .zst."),
    b"\xff\xfe": ("utf-16", "It begins as UTF-16 does: set encoding: utf-16, or save it as UTF-8."),
    b"\xfe\xff": ("utf-16", "It begins as UTF-16 does: set encoding: utf-16, or save it as UTF-8."),
    b"PK\x03\x04": ("binary file", "It is a zip archive or an office document: unpack it, or export it as text."),
    b"\x89PNG\r\n": ("binary file", "It is a picture."),
    b"\x7fELF": ("binary file", "It is a program."),
    b"%PDF-": ("binary file", "It is a PDF document: export it as text."),
    b"PAR1\x15": ("binary file", "It is Parquet: give it a name that ends in .parquet."),
    b"ARROW1\0\0": ("binary file", "It is Arrow: give it a name that ends in .arrow."),
}
MARKS = {"utf-8": codecs.BOM_UTF8, "gb18030": "\ufeff".encode("gb18030")}
"""Bytes that some programs write before the text of an encoding, and that are no part of it."""


MARKED = "graftwork.marked"
"""Way to decode that marks each byte that is no text."""


class Damage(Exception):  # noqa: N818  it says what the file has
    """A file that is not whole, or is no text: why, what is expected of it, and what to do."""

    def __init__(self, reason: str, value: object, expected: str, hint: str) -> None:
        super().__init__(reason, value, expected, hint)
        self.reason, self.value, self.expected, self.hint = reason, value, expected, hint


def chunks(path: Path, progress: Callable[[int], None]) -> Iterator[bytes]:
    """The file's bytes, unpacked.

    Args:
        progress: is told of bytes read, before unpacking.

    Raises:
        Damage: a packed file ends too early, holds more than it should, or cannot be unpacked.
    """
    unpack = {".gz": _gunzipped, ".zst": _unzstd}.get(path.suffix.lower())
    with path.open("rb", buffering=0) as file:
        pieces = _read(file.read, progress)
        yield from unpack(pieces) if unpack else pieces


def text_chunks(path: Path, encoding: str, progress: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a text file, unpacked and without a mark at their beginning; UTF-16 becomes UTF-8.

    Raises:
        Damage: as `chunks`; or it begins as a file of another kind does.
    """
    pieces = chunks(path, progress)
    beginning = b""
    for piece in pieces:
        beginning += piece
        if len(beginning) >= max(map(len, BEGINNINGS)):
            break
    if encoding == "utf-16":
        yield from _utf_8(beginning, pieces)
        return
    _refuse_other_kinds(beginning)
    yield beginning.removeprefix(MARKS.get(encoding, b""))
    yield from pieces


def decoder(encoding: str) -> Callable[[bytes, bool], str]:
    """Bytes that arrive in pieces to text, with a mark for each byte that is none; the flag tells the last piece."""
    return codecs.getincrementaldecoder(encoding)(MARKED).decode


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(BYTE_MARK + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(MARKED, _marked)


def _read(read: Callable[[int], bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    while piece := read(CHUNK_BYTES):
        progress(len(piece))
        yield piece


def _refuse_other_kinds(beginning: bytes) -> None:
    for mark, (reason, hint) in BEGINNINGS.items():
        if beginning.startswith(mark):
            raise Damage(reason, beginning[:8], "a text file", hint)


def _utf_8(beginning: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """UTF-16 as UTF-8. What is broken stays broken, so that only its own line is refused."""
    is_big = beginning.startswith(codecs.BOM_UTF16_BE)  # without a mark it is little, as Windows writes it
    decode = decoder("utf-16-be" if is_big else "utf-16-le")
    rest = beginning.removeprefix(codecs.BOM_UTF16_BE if is_big else codecs.BOM_UTF16_LE)
    for piece in chain((rest,), pieces):
        yield decode(piece, False).encode("utf-8", "surrogatepass")
    yield decode(b"", True).encode("utf-8", "surrogatepass")


def _gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    member, num_whole, begun = zlib.decompressobj(31), 0, False
    for piece in pieces:
        rest, is_full = piece, False
        while rest or is_full:
            if num_whole and not begun:
                rest = rest.lstrip(b"\0")  # tape archives fill their last block
            before = member.copy()
            try:
                made = member.decompress(rest, CHUNK_BYTES)
            except zlib.error as error:
                yield from _as_far_as_possible(before, rest)
                raise _unreadable(error, num_whole, begun) from error
            begun, is_full = begun or bool(rest), len(made) == CHUNK_BYTES
            if made:
                yield made
            rest = member.unconsumed_tail
            if member.eof:
                rest, is_full, num_whole, begun = member.unused_data, False, num_whole + 1, False
                member = zlib.decompressobj(31)
    if begun:
        raise _too_short()


def _as_far_as_possible(member: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    """What can be unpacked before a mistake, which takes along what came with it: so one byte at a time."""
    try:
        for i in range(len(packed)):
            yield member.decompress(packed[i : i + 1])
    except zlib.error:
        return


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    frame, num_whole, begun = zstandard.ZstdDecompressor().decompressobj(), 0, False
    for piece in pieces:
        for at in range(0, len(piece), ZSTD_STEP_BYTES):
            rest = piece[at : at + ZSTD_STEP_BYTES]
            while rest:
                try:
                    made = frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise _unreadable(error, num_whole, begun) from error
                begun, rest = True, b""
                if made:
                    yield made
                if frame.eof:
                    rest, num_whole, begun = frame.unused_data, num_whole + 1, False
                    frame = zstandard.ZstdDecompressor().decompressobj()
    if begun:
        raise _too_short()


def _too_short() -> Damage:
    hint = "What comes before its end is used. Copy or pack the file again."
    return Damage("truncated", "an end that is missing", "a packed file that is whole", hint)


def _unreadable(error: Exception, num_whole: int, begun: bool) -> Damage:
    if num_whole and not begun:
        hint = "What comes before them is used."
        return Damage("trailing bytes", "bytes after its end", "nothing after a packed file's end", hint)
    hint = "What comes before it is used. Copy or pack the file again."
    return Damage("damaged", str(error), "a packed file that can be unpacked", hint)
