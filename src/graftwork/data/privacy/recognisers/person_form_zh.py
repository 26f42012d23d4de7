"""Chinese names in forms, tables and JSON: what stands alone between a word for a person and the next sign.

There a name needs a surname and no more: "经办人：钱多多；审核：周 杰". Also names with a space between their
characters, and further names of the same field.
"""

import re
from collections.abc import Iterator
from functools import cache

from graftwork.data.privacy.lists import word_set
from graftwork.data.privacy.names_zh import FIELD, tables
from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser
from graftwork.data.privacy.recognisers.person_zh import canonical

SIGN = re.compile(r"[:=|]\s{0,3}[\"“]?(?=[一-龥㐀-䶿])")
HAN = "[一-龥㐀-䶿]"
VALUE = re.compile(
    rf"(?P<name>{HAN} {{1,3}}{HAN}(?: {{1,3}}{HAN})?|{HAN}{{2,4}})"
    r"(?=$|[\s,，。;；、|\"”“（(<【/.&])",
    re.M,
)
NEXT = re.compile(r"(?:[、,，/&]| ?和 ?) ?(?=[一-龥])")
SPACED = re.compile(
    rf"(?:客户|患者|用户|[一-龥]人|姓名|家属|业主|原告|被告|学生|员工|先生|女士)\s?"
    rf"(?P<name>{HAN} {HAN})(?=[\s,，。;；])"
)


@cache
def _no_names() -> frozenset[str]:
    return word_set("person_zh.txt", "values that are no names")


def find(page: Page) -> Iterator[Hit]:
    """Values of fields for persons that begin with a surname."""
    text = page.text
    for sign in SIGN.finditer(text):
        if not FIELD.search(text[max(0, sign.start() - 16) : sign.end()]):
            continue
        at: int | None = sign.end()
        while at is not None and (value := VALUE.match(text, at)) and _is_name(value["name"]):
            yield Hit(*value.span("name"), 0.9)
            more = NEXT.match(text, value.end())
            at = more.end() if more else None
    for match in SPACED.finditer(text):
        if _is_name(match["name"]):
            yield Hit(*match.span("name"), 0.7)


def _is_name(value: str) -> bool:
    name, known = value.replace(" ", ""), tables()
    if name in _no_names() or name[-2:] in _no_names():
        return False
    if name[:2] in known.compound and len(name) > 2:
        return True
    return name[0] in known.surname and len(name) < 4


RECOGNISERS.add(
    "person_form_zh",
    Recogniser("person_form_zh", "person", find, canonical, is_han=True, words=(":", "：", "=", "|", " ")),
)
