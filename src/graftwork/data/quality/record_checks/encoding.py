"""Encoding: text that was read in the wrong encoding is repaired, control characters go, what is lost is told.

Repaired are UTF-8 read as a Western or Cyrillic encoding (by ftfy, https://github.com/rspeer/python-ftfy, told to touch
nothing else: no widths, quotes or ligatures) and UTF-8 read as GBK, the usual accident of Chinese files. A line is
repaired only when it can be read back without loss, so correct text stays as it is.
"""

import re
from collections.abc import Callable

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.edits import Edit
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined, Repaired
from graftwork.data.records import Record

LATIN = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
"""A first byte of UTF-8 and one that continues it, read as Latin-1 or Windows-1252."""

GBK_SIGNS = "锛銆鐨鏄鎴鈥"
"""Comma, stop, 的, 是, 我 and quotes in UTF-8, read as GBK; no correct text has these."""

GBK_LEADS = "紝" + "".join(bytes((a, b)).decode("gbk") for a in range(0xE4, 0xEA) for b in range(0x80, 0xA1))
"""What two bytes out of the three of a Chinese character are in GBK: characters that are rare in simplified Chinese.
They are tried, no more: traditional Chinese has some of them."""

GBK = re.compile(f"[{GBK_SIGNS}{GBK_LEADS}]")
NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
LOST = re.compile(f"\ufffd|锟斤拷|[{GBK_SIGNS}]")
"""What stands for lost text: the replacement character, two of them read as GBK, and what could not be read back."""

BREAKS = re.compile("[\x0b\x0c\x85]")
CONTROL = re.compile("\x1b\\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
"""Colours of a terminal, and control characters but for tab, line feed and carriage return."""

LATEX = re.compile(
    "\x07(?=lpha|pprox|ngle)|\x08(?=egin|eta|oxed|inom|ecause|ig[({|]|ar\\{)"
    "|\x0b(?=ec|ert|arepsilon|arphi)|\x0c(?=rac|orall|lat)"
)
"""Commands of LaTeX whose backslash was taken for an escape: a form feed and rac was frac."""

ESCAPED = {"\x07": "\\a", "\x08": "\\b", "\x0b": "\\v", "\x0c": "\\f"}

FIRST = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u00c2-\u00f4\ufffd锟{GBK_SIGNS}{GBK_LEADS}]")
"""What all of these begin with: one set of characters, which is looked for quickly."""

SHORTEST_GBK = 3
"""Characters of a stretch that is read back from GBK; two could be by chance."""


class EncodingSpec(Spec):
    """What becomes of text in the wrong encoding."""

    mojibake: bool = True
    """Whether text that was read in the wrong encoding is repaired, where that loses nothing."""

    control_characters: bool = True
    """Whether control characters, but for tabs and line ends, are removed."""

    max_lost_frac: float = Field(default=0.05, ge=0, le=1)
    """Largest share of characters that are lost, such as �; a record with more is set aside. 0.01 to 0.05 are usual."""

    max_lost: int = Field(default=1, ge=0)
    """Lost characters that are never too many, however short the record. One is most often an emoji."""


def decide(spec: EncodingSpec, record: Record) -> Decision:
    """Repaired where something could be, quarantined where too much is lost."""
    texts = [*(turn["content"] for turn in record.messages), record.rejected or ""]
    if not any(map(FIRST.search, texts)):
        return None
    fixed, how = record, dict[str, None]()
    while True:  # removing a character may bring together what can be read back; no round adds a control character
        before = fixed
        for name, edits_of in _repairs(spec):
            after = fixed.edited(edits_of)
            if after is not fixed:
                fixed, how[name] = after, None
        if fixed is before:
            break
    texts = [*(turn["content"] for turn in fixed.messages), fixed.rejected or ""]
    num_lost, num_characters = sum(map(_num_lost, texts)), sum(map(len, texts))
    if num_lost > max(spec.max_lost, spec.max_lost_frac * num_characters):
        found = f"{num_lost:,} of its {num_characters:,} characters are lost to a wrong encoding"
        limit = f"{spec.max_lost_frac:.1%} (max_lost_frac) or {spec.max_lost:,} (max_lost) may be"
        return Quarantined("encoding", f"{found}; {limit}")
    return Repaired(fixed, ", ".join(how)) if how else None


def _repairs(spec: EncodingSpec) -> list[tuple[str, Callable[[str], list[Edit]]]]:
    repairs: list[tuple[str, Callable[[str], list[Edit]]]] = []
    if spec.mojibake:
        repairs.append(("mojibake", _mojibake_edits))
    if spec.control_characters:
        repairs.append(("control characters", _control_edits))
    return repairs


def _control_edits(text: str) -> list[Edit]:
    found = CONTROL.finditer(text)
    return [Edit(m.start(), m.end(), _instead(text, m)) for m in found]


def _instead(text: str, found: re.Match[str]) -> str:
    """What a control character becomes: the backslash it swallowed, a line end, or nothing."""
    if LATEX.match(text, found.start()):
        return ESCAPED[found.group()]
    return "\n" if BREAKS.fullmatch(found.group()) else ""


def _mojibake_edits(text: str) -> list[Edit]:
    if not LATIN.search(text):
        return _gbk_edits(text)
    edits, at = [], 0
    for line in text.split("\n"):
        edits += _differing(line, _read_back(line), at) if LATIN.search(line) else []
        at += len(line) + 1
    return edits or _gbk_edits(text)


def _read_back(line: str) -> str:
    from ftfy import TextFixerConfig, fix_encoding

    config = TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        replace_lossy_sequences=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=False,
        remove_control_chars=False,
        normalization=None,
    )
    fixed = fix_encoding(line, config)
    return fixed if len(fixed) < len(line) else line


def _gbk_edits(text: str) -> list[Edit]:
    if not GBK.search(text):
        return []
    edits = []
    for found in NOT_ASCII.finditer(text):
        if len(found.group()) >= SHORTEST_GBK and GBK.search(found.group()):
            try:
                read = found.group().encode("gb18030").decode("utf-8")
            except UnicodeError:  # not all of it was read so: it stays, and counts as lost
                continue
            edits.append(Edit(found.start(), found.end(), read))
    return edits


def _differing(old: str, new: str, at: int) -> list[Edit]:
    """The stretch in which the two differ, as an edit of the text in which `old` begins at `at`."""
    if old == new:
        return []
    begin = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    most = min(len(old), len(new)) - begin
    same = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    return [Edit(at + begin, at + len(old) - same, new[begin : len(new) - same])]


def _num_lost(text: str) -> int:
    return sum(len(lost) for lost in LOST.findall(text))


CHECKS.add(
    "encoding",
    Check(
        name="encoding",
        place=10,
        about="Repairs text that was read in the wrong encoding and removes control characters.",
        spec=EncodingSpec,
        default=EncodingSpec(),
        decide=decide,
    ),
)
