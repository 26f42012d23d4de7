"""Numbers of medical records, cases, insurance and social security, right after words that name them."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

FORM = re.compile(
    r"(?:病案|病历|病例|住院|门诊|就诊|就诊卡|诊疗卡|病人|患者|检查|检验|标本|处方|医保|医保卡|社保|社保卡|社会保障|社会保障卡|保单|保险单|理赔|赔案|案件|案号|公积金|学籍|工伤|参保)"
    r"(?:编|卡|单)?(?:号码?|ID|id|编号)(?:码)?"
    r"[ :为是#（(【\[]{0,4}(?P<zh>[A-Za-z]{0,6}[0-9(\-]?[0-9A-Za-z\-]{4,22}[0-9A-Za-z])(?![0-9A-Za-z])"
    r"|(?:\bMRN|\b(?:medical|patient|hospital|health|member|subscriber|insurance|policy|claim|case|chart"
    r"|medicare|medicaid|beneficiary|group|encounter)"
    r"(?: record| file| chart| insurance| card| plan)?[ -]?(?:number|no\b\.?|num\b|id\b|ID\b|#))"
    r"(?:[ :#]|is|was|=|-){0,5}(?P<en>[A-Za-z]{0,5}[\-]?[0-9][0-9A-Za-z\-]{3,20})(?![0-9A-Za-z])",
    re.I,
)


def find(page: Page) -> Iterator[Hit]:
    """Values with at least four digits."""
    if not page.holds("号", "id", "mrn", "number", "no", "#"):
        return
    for match in page.near_digits(FORM):
        group = "zh" if match["zh"] else "en"
        if sum(character.isdecimal() for character in match[group]) >= 4:
            yield Hit(*match.span(group), 0.85)


RECOGNISERS.add("record_number", Recogniser("record_number", "record_number", find, min_digits=4))
