"""What a recogniser is: one kind of personal data, how it is found, and what makes two written forms the same value."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from graftwork.core.catalog import Catalog
from graftwork.data.privacy.page import Page, folded

NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Hit:
    """A place that a recogniser takes for personal data.

    Attributes:
        score: from 0 to 1, how sure it is.
        proven: a checksum or an official numbering plan holds; it wins over longer ones that nothing holds.
    """

    start: int
    end: int
    score: float
    proven: bool = False


def bare(text: str) -> str:
    """Letters and digits only, in capitals: what is left of a number whatever way it is written.

    >>> bare("１３８-0013 8000"), bare("11010519491231002x")
    ('13800138000', '11010519491231002X')
    """
    return NOT_WORD.sub("", folded(text)).upper()


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One kind of personal data.

    Attributes:
        name: names it in the catalog and in a recipe.
        kind: what it finds; several recognisers may find one kind, such as phone numbers of two countries.
        find: every place in a page; places may overlap.
        canonical: one form for all written forms of a value.
        standard: the usual written form of a canonical one; it gets the shortest placeholder.
        min_digits: a text whose longest cluster of digits is shorter is not worth looking at; 1 asks for any digit.
        is_han: a text without Chinese characters is not worth looking at.
        is_latin: a text without Latin letters is not worth looking at.
        is_coded: a text where no digit stands behind a Latin letter is not worth looking at.
        words: a text that holds none of these, in small letters, is not worth looking at; empty asks for none.
    """

    name: str
    kind: str
    find: Callable[[Page], Iterable[Hit]]
    canonical: Callable[[str], str] = bare
    standard: Callable[[str], str] = str
    min_digits: int = 0
    is_han: bool = False
    is_latin: bool = False
    is_coded: bool = False
    words: tuple[str, ...] = ()


RECOGNISERS = Catalog[Recogniser]("recogniser")

NOT_PERSONAL = re.compile(
    r"(?:订单|单号|流水|批次|批号|编号|型号|货号|条码|快递|运单|序列|版本|发票|合同|工单|交易号|凭证|金额|价格|总额"
    r"|order|tracking|invoice|ticket|ref(?:erence)?|serial|sku|isbn|issn|doi|imei|model|version|batch|transaction|pmid"
    r"|amount|total|build|timestamp|commit|hash)"
    r"(?:号码?|码|序号|\s?id)?\s?(?:no|num|number)?[ .:#=是为]*$",
    re.I,
)
"""What stands right before a number that is no one's: an order, an invoice, an amount."""


def is_held_off(page: Page, start: int) -> bool:
    """Whether the words right before `start` say that the number there is no personal one."""
    return bool(NOT_PERSONAL.search(page.before(start, 28)))


def strongest(hits: Sequence[tuple[Hit, Recogniser]]) -> list[tuple[Hit, Recogniser]]:
    """Of overlapping hits those that win, in the order of the text: proven, then longer, then surer, then by name."""
    ranked = sorted(hits, key=lambda h: (not h[0].proven, h[0].start - h[0].end, -h[0].score, h[1].name, h[0].start))
    kept: list[tuple[Hit, Recogniser]] = []
    starts: list[int] = []
    ends: list[int] = []  # of those kept, in order; they are apart, so the ends are in order too
    for hit, recogniser in ranked:
        at = bisect_left(starts, hit.start)
        if (at == 0 or ends[at - 1] <= hit.start) and (at == len(starts) or hit.end <= starts[at]):
            starts.insert(at, hit.start)
            ends.insert(at, hit.end)
            kept.append((hit, recogniser))
    return sorted(kept, key=lambda h: h[0].start)
