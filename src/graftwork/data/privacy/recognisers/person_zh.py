"""Names of persons in Chinese.

Found are full names (one- and two-character surnames with one or two characters after them, names with a dot between
the parts), a surname with a title ("李先生"), and names written with a placeholder ("张某某", "李**"). A surname with a
title names a person to those who were there, so the whole mention counts; a title after a full name stays.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from graftwork.data.privacy.names_zh import (
    FULL_TITLES,
    HAN,
    PLACE,
    TITLES,
    WORD,
    after_weight,
    before_weight,
    name_weight,
    runs_on,
    tables,
)
from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

THRESHOLD = 1.0
NEVER = -3.0
"""Characters of this weight or less never follow a surname but after a label."""

HOPELESS = -5.0
"""Nothing around can make a name of it."""

STRAY = -2.0
"""One character would be left between the name and the next sign."""

BESIDE = ("、", "和", "与", "及")
AGAIN = -2.0
"""Enough for a name that the same text holds elsewhere for sure."""

SOUNDS = (
    "翰不都则萨阿艾安奥巴白拜保贝本比别宾波伯博布才查茨达大戴丹道德登邓迪蒂丁东杜顿多额厄恩尔法凡菲费芬弗"
    "福夫甘冈高戈格盖古哈海汉豪赫霍胡华吉基济加贾杰金卡凯坎康考科克肯孔库夸奎拉莱赖兰朗劳勒雷里理利丽莉历"
    "连列林琳卢鲁路露伦罗洛马玛迈麦曼芒毛梅门蒙米密明莫默木姆烈得彼卜那顺卡尔艾穆纳娜乃南瑙内尼妮涅宁牛纽农努诺欧帕派潘庞培"
    "佩彭皮平珀普齐奇恰乔切琴丘曲让热仁日荣茹瑞若撒萨塞赛桑瑟沙山尚舍史舒斯苏孙索他塔泰坦汤唐陶特滕提廷图"
    "吐托陀瓦万旺威韦维魏温文沃乌吾武西希锡夏香肖谢辛欣休许旭逊雅亚延扬伊依因英尤于约泽扎詹张珍朱孜卓兹宗"
    "佐江买合孜热木提汗尼亚依莎芭埃昂黛露蕾薇娅妲菈昆莫孟赵柯甫斯顿曼森普茅特托维耶果陀夫基亚姬汗力提迪丽"
    "古丽克孜迪力帕提阿依努尔扎西次仁卓玛央金旦增多吉巴桑格"
)
DOTTED = re.compile(rf"[{SOUNDS}]{{1,6}}(?:[·•・‧∙](?:[{SOUNDS}]{{1,7}}|[一-龥]{{1,3}}(?![一-龥]))){{1,3}}")
DOT = re.compile(r"[一-龥][·•・‧∙][一-龥]")
MASKED = r"(?:某某|某[一-龥]|某|[*＊×]{1,3}|[Xx]{2}|[一-龥][*＊×]|[*＊×][一-龥])"
RARE = -2.5
"""Surnames of this weight or less are usual words, and looked at only where a name may well begin."""

LED = (
    r" :，,。;；、!！?？\n\"“「(（=@人名者户叫是方员生师给和跟与由诉给找为到胞嘉"
    r"公婆夫妻子儿友学事爸妈哥姐弟妹奶爷亲刚才系意贺请谢长者至让听民医班客告任用警官姑姨伯下业收"
)
"""What a name may follow."""

NO_TITLE = frozenset(
    "班卫南司和于应向单对当家边水生解同从时能有经全那可成后上下公相花支计信文商官法平安干包管代主门关项连"
    "房路党宫费强权查储国原历商师农位"
)
"""Surnames that are usual words before a title: "向老师请教", "全经理会"."""


@dataclass(frozen=True, slots=True)
class Forms:
    """What may be a name, compiled once."""

    usual: re.Pattern[str]
    led: re.Pattern[str]
    double: re.Pattern[str]
    titled: re.Pattern[str]
    masked: re.Pattern[str]


@cache
def _forms() -> Forms:
    known = tables()
    single, double = "".join(known.surname), "|".join(sorted(known.compound))
    usual = "".join(surname for surname, weight in known.surname.items() if weight > RARE)
    never = "".join(character for character, weight in known.given.items() if weight <= NEVER)
    firsts, seconds = ("".join(sorted({name[at] for name in known.compound})) for at in (0, 1))
    return Forms(
        re.compile(rf"[{usual}](?=[一-龥㐀-䶿])(?=[^{never}])"),
        re.compile(rf"(?:(?<=[{LED}])|\A)[{single}](?=[一-龥㐀-䶿])"),
        re.compile(f"[{firsts}][{seconds}](?=[一-龥㐀-䶿])"),
        re.compile(rf"(?:{TITLES})(?!们|级|人|费|部|室|职|制)"),
        re.compile(rf"(?P<surname>{double}|[{single}])(?:{MASKED})(?![A-Za-z*])"),
    )


def find(page: Page) -> Iterator[Hit]:
    """Every place where the evidence for a name is strong enough."""
    text = page.text
    if text.isascii():
        return
    forms = _forms()
    full = list(_full(text, forms))
    yield from full
    yield from _with_titles(text, forms.titled, {hit.end for hit in full})
    if "某" in text or "*" in text or "×" in text or "xx" in text or "XX" in text or "＊" in text:
        yield from _masked(text, forms.masked)
    if DOT.search(text):
        yield from _dotted(text)


def _full(text: str, forms: Forms) -> Iterator[Hit]:
    """Full names, and those in doubt that the text holds elsewhere for sure or in a list with sure ones."""
    sure: list[tuple[int, int]] = []
    maybe: list[tuple[int, int]] = []
    places = {match.start(): match.group() for match in forms.usual.finditer(text)}
    places |= {match.start(): match.group() for match in forms.led.finditer(text)}
    compound = tables().compound
    places |= {match.start(): match.group() for match in forms.double.finditer(text) if match.group() in compound}
    for at, surname in places.items():
        best = _name_at(text, at, surname)
        if best is None:
            continue
        end, weight = best
        if weight >= THRESHOLD:
            sure.append((at, end))
            yield Hit(at, end, min(0.99, 0.6 + weight / 40))
        elif weight >= AGAIN:
            maybe.append((at, end))
    if sure and maybe:
        yield from _with_sure(text, sure, maybe)


def _with_sure(text: str, sure: list[tuple[int, int]], maybe: list[tuple[int, int]]) -> Iterator[Hit]:
    """Of names in doubt those that are elsewhere for sure, or stand in a list beside one that is."""
    names = {text[start:end] for start, end in sure}
    starts, ends = {start for start, _ in sure}, {end for _, end in sure}
    for start, end in (*sorted(maybe), *sorted(maybe, reverse=True)):
        follows = text[start - 1 : start] in BESIDE and start - 1 in ends
        leads = text[end : end + 1] in BESIDE and end + 1 in starts
        if follows or leads or text[start:end] in names:
            starts.add(start)
            ends.add(end)
            yield Hit(start, end, 0.6)


def _name_at(text: str, start: int, surname: str) -> tuple[int, float] | None:
    """Where the likeliest name at a surname ends, and what speaks for it."""
    begin = start + len(surname)
    if text[start : start + 3] in tables().places:
        return None
    stem = text[start : begin + 1]
    if len(surname) == 1 and (start and stem in tables().words and text[start - 1] not in LED):
        return None
    best: tuple[int, float] | None = None
    before: float | None = None
    for length in (2, 1):
        given = text[begin : begin + length]
        if len(given) < length or not ("一" <= given[-1] <= "龥" or "㐀" <= given[-1] <= "䶿"):
            continue
        weight = name_weight(surname, given)
        if weight < HOPELESS:
            continue
        if before is None:
            before = before_weight(text, start)
        after = after_weight(text, begin + length)
        if after == PLACE:
            break
        weight += before + after
        weight += _cut_weight(text, begin + length, is_stray=length == 1 and after < 0.0)
        if best is None or weight > best[1]:
            best = (begin + length, weight)
    return best


def _cut_weight(text: str, end: int, *, is_stray: bool) -> float:
    """What speaks against an end there: a usual word cut in two, or one character left before the next sign."""
    weight = WORD / 2 if runs_on(text, end) else 0.0
    return weight + STRAY if is_stray and not HAN.match(text[end + 1 : end + 2]) else weight


def _with_titles(text: str, form: re.Pattern[str], full: set[int]) -> Iterator[Hit]:
    """Surnames with a title; not the end of a full name before a title."""
    known = tables()
    for match in form.finditer(text):
        at, title = match.start(), match.group()
        if at in full or (title not in FULL_TITLES and title != "总"):
            continue
        if at > 1 and text[at - 2 : at] in known.compound:
            yield Hit(at - 2, match.end(), 0.7)
            continue
        surname = text[at - 1 : at]
        if surname not in known.surname or surname in NO_TITLE or text[max(0, at - 2) : at] in known.endings:
            continue
        if title[0] != "先" and surname + title[0] in known.words:
            continue
        if title == "总" and (known.surname[surname] < 0 or _goes_on(text, match.end())):
            continue
        yield Hit(at - 1, match.end(), 0.7)


def _goes_on(text: str, end: int) -> bool:
    return bool(re.match(r"[是共会结计体部理裁监统量数之算归额价和分公局行院会][一-龥]?", text[end : end + 2]))


def _masked(text: str, form: re.Pattern[str]) -> Iterator[Hit]:
    for match in form.finditer(text):
        pair = text[max(0, match.start() - 1) : match.start() + 1]
        if pair not in tables().endings and match["surname"] not in NO_TITLE:
            yield Hit(match.start(), match.end(), 0.75)


def _dotted(text: str) -> Iterator[Hit]:
    for match in DOTTED.finditer(text):
        yield Hit(match.start(), match.end(), 0.8)


def canonical(text: str) -> str:
    """The characters without spaces, and one kind of dot."""
    return re.sub(r"[•・‧∙]", "·", re.sub(r"\s", "", folded(text)))


RECOGNISERS.add("person_zh", Recogniser("person_zh", "person", find, canonical, is_han=True))
