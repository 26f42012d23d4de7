"""Chinese addresses: from province down to the room, as far as they are given.

An address is found by its end (a number of a house, building or room, or a road after a district) and read back to
where it begins: the largest unit before it, or the word that leads to it ("住在", "地址：").
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南"
    "|广东|海南|四川|贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
NUMBER = r"(?:[0-9A-Za-z一二三四五六七八九十百甲乙丙]{1,5}(?:-[0-9A-Za-z]{1,5}){0,2})"
HAN = r"[一-龥]"
NAMELIKE = r"[一-龥A-Za-z0-9]"
ROAD = r"(?:路|街|大街|大道|道|巷|弄|胡同|里|村|屯|组|公路|条)"
ESTATE = r"(?:小区|花园|家园|苑|公寓|大厦|广场|新村|庄园|名城|城|府|湾|庭|居|园|社区|宿舍|中心|国际)"
UNIT = rf"(?:{NUMBER}(?:号楼|号院|号|弄|栋|幢|座|单元|室|层|楼|房|组|户|门|区|院)(?!线))"
WIDE = rf"(?:(?:{PROVINCES})(?:省|市|壮族自治区|回族自治区|维吾尔自治区|自治区|特别行政区)?)"
LEVELS = (
    rf"(?:{HAN}{{2,6}}?(?:市|自治州|地区|盟))?(?:{HAN}{{1,6}}?(?:区|县|旗|市))?(?:{HAN}{{1,7}}?(?:镇|乡|街道|开发区"
    rf"|新区))?"
)
ROADS = rf"(?:{HAN}{{1,10}}?{ROAD}(?:{HAN}{{1,3}}段)?)"
TAIL = rf"(?:{UNIT}|{HAN}{{1,10}}?{ESTATE}{UNIT}?)"
FULL = re.compile(
    rf"{WIDE} ?{LEVELS} ?(?:{ROADS} ?{TAIL}{{0,1}}|{TAIL}) ?(?:{NAMELIKE}{{0,10}}?{UNIT} ?){{0,4}}(?:{NUMBER}"
    rf"(?![0-9年月日时点分元个]))?(?: ?[0-9]{{6}}(?![0-9]))?"
)
SHORT = re.compile(
    rf"(?P<lead>{HAN}{{2,12}}?(?:{ROAD}|{ESTATE})) ?{UNIT} ?(?:{NAMELIKE}{{0,10}}?{UNIT} ?){{0,4}}(?:[0-9]{{3,4}}"
    rf"(?![0-9年月日时点分元个]))?"
)
NUMBERED = re.compile(r"[0-9A-Za-z一二三四五六七八九十](?:号|弄|栋|幢|座|单元|室)(?!线|码|称|召)")
NAMED = re.compile(rf"(?:{PROVINCES})[省市]?{HAN}{{2,7}}[市区县]{HAN}{{1,12}}{ROAD}")
LEADS = re.compile(
    r".*(?:住在|家住|住址|地址|位于|位於|搬到|寄到|送到|送至|寄往|来到|坐落于|坐落在|现居|居住于"
    r"|居住在|住于|籍贯|户籍|开到|赶到|收货|发到|邮寄|快递|[在到去往至是为住从于我的家我们你您他她])"
)
SERVED = re.compile(r"(?:地铁|号线|航班|第[0-9一二三四五六七八九十]+|试卷|选项|[0-9]号$|周|星期)")


def find(page: Page) -> Iterator[Hit]:
    """Addresses with a province or city, and roads or estates with a number."""
    if page.holds("号", "弄", "栋", "幢", "座", "单元", "室"):
        yield from _ending_in(page, NUMBERED)
    if page.holds("路", "街", "道", "巷", "胡同") and page.holds("市", "区", "县"):
        yield from _ending_in(page, NAMED)


def _ending_in(page: Page, form: re.Pattern[str]) -> Iterator[Hit]:
    end = 0
    for hint in form.finditer(page.text):
        if hint.start() < end:
            continue
        begin = max(end, hint.start() - 42, page.text.rfind("\n", 0, hint.start()) + 1)
        hit = _full(page, begin, hint) or _short(page, begin, hint)
        if hit:
            end = hit.end
            yield hit


def _full(page: Page, begin: int, hint: re.Match[str]) -> Hit | None:
    for match in FULL.finditer(page.text, begin, min(len(page.text), hint.end() + 40)):
        if match.start() <= hint.start() and hint.end() <= match.end() and match.end() - match.start() >= 8:
            return Hit(match.start(), match.end(), 0.85)
    return None


def _short(page: Page, begin: int, hint: re.Match[str]) -> Hit | None:
    for match in SHORT.finditer(page.text, begin, min(len(page.text), hint.end() + 40)):
        if hint.end() > match.end():
            continue
        lead = LEADS.match(match["lead"])
        start = match.start() + (lead.end() if lead else 0)
        if match.start() + len(match["lead"]) - start >= 3 and not SERVED.search(match.group()):
            return Hit(start, match.end(), 0.6)
    return None


RECOGNISERS.add("address_zh", Recogniser("address_zh", "address", find, is_han=True))
