"""What is remembered of every record for the checks that need all of them: small, and the same however it is cut up.

Legend: N records, B bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import TYPE_CHECKING

from graftwork.data.quality.signature import NUM_BANDS, bands, rows_in_band
from graftwork.data.quality.text import DENSE, PART, Parts, is_label, parts

if TYPE_CHECKING:
    from graftwork.data.quality.signature import Array
    from graftwork.data.quality.spec import QualitySpec
    from graftwork.data.records import Record

NONE = 0
"""Stands for no digest: a record without a question, or with one too short to say anything."""

IN_BANDS = 2048
"""Records whose signatures are made at once, so that memory does not grow with the chunk."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Of N records: arrays of N entries each, 109 bytes a record.

    Attributes:
        content_N2: names all that is said, without differences of case, width and white space; uint64.
        input_N: names all before the last answer; uint64, NONE where there is nothing.
        question_N: the same without system messages, only of long questions; uint64, NONE elsewhere.
        answer_N: names the last answer; uint64.
        is_label_N: whether the answer is like a label: short, and no sentence; bool.
        length_N: characters that are compared; uint32.
        bands_NB: signatures; uint32. No bands when nothing asks for likeness.
    """

    content_N2: Array
    input_N: Array
    question_N: Array
    answer_N: Array
    is_label_N: Array
    length_N: Array
    bands_NB: Array

    def __len__(self) -> int:
        return len(self.answer_N)

    @classmethod
    def joined(cls, several: Sequence[Traits]) -> Traits:
        """The traits of the records of `several`, at least one, one after the other."""
        import numpy as np

        columns = ([getattr(one, field.name) for one in several] for field in fields(cls))
        return cls(*map(np.concatenate, columns))


def lowest_threshold(spec: QualitySpec) -> float | None:
    """The least likeness that any check of `spec` asks about; None when none does."""
    asked = [check.threshold for check in (spec.near_duplicates, spec.leakage) if check != "off"]
    return min(asked, default=None)


def traits(records: Sequence[Record], spec: QualitySpec) -> Traits:
    """The traits of `records`, each of its own record alone."""
    told = [parts(record) for record in records]
    label_characters = 0 if spec.contradictions == "off" else spec.contradictions.max_characters
    question_characters = None if spec.leakage == "off" else spec.leakage.question_characters
    return _columns(records, told, _bands(told, lowest_threshold(spec)), (label_characters, question_characters))


def _columns(
    records: Sequence[Record], told: Sequence[Parts], bands_NB: Array, characters: tuple[int, int | None]
) -> Traits:
    import numpy as np

    label_characters, question_characters = characters
    content = b"".join(_content(record, part) for record, part in zip(records, told, strict=True))
    return Traits(
        content_N2=np.frombuffer(content, np.uint64).reshape(-1, 2),
        input_N=np.array([_input(part) for part in told], np.uint64),
        question_N=np.array([_question(part, question_characters) for part in told], np.uint64),
        answer_N=np.array([_digest(f"{part.answered}{PART}{part.rejected}") for part in told], np.uint64),
        is_label_N=np.array([is_label(part.answered, label_characters) for part in told], bool),
        length_N=np.array([len(part.content) for part in told], np.uint32),
        bands_NB=bands_NB,
    )


def _bands(told: Sequence[Parts], threshold: float | None) -> Array:
    import numpy as np

    if threshold is None:
        return np.zeros((len(told), 0), np.uint32)
    rows = rows_in_band(threshold)
    pieces = [told[at : at + IN_BANDS] for at in range(0, len(told), IN_BANDS)]
    made = [bands([part.content for part in piece], rows=rows) for piece in pieces]
    return np.concatenate([np.zeros((0, NUM_BANDS), np.uint32), *made])


def weight(text: str) -> int:
    """Length of `text`, characters of Chinese, Japanese and Korean counted twice.

    >>> weight("ab"), weight("中文")
    (2, 4)
    """
    return len(text) if text.isascii() else len(text) + sum(character >= DENSE for character in text)


def _content(record: Record, told: Parts) -> bytes:
    roles = ",".join(turn["role"] for turn in record.messages)
    whole = PART.join((roles, told.setting, told.asked, told.answered, told.rejected))
    return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _input(told: Parts) -> int:
    return _digest(f"{told.setting}{PART}{told.asked}") if told.asked else NONE


def _question(told: Parts, fewest: int | None) -> int:
    if fewest is None or not told.asked or weight(told.asked) < fewest:
        return NONE
    return _digest(told.asked)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
