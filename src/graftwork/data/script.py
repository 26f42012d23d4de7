"""In which script a text is, cheaply. Pure."""

import re

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+")
FEW = 0.1


def script_of(text: str) -> str:
    """`zh`, `latin`, `zh + latin` or `other`, by characters of Chinese and words of Latin script.

    >>> script_of("退款流程"), script_of("How do refunds work?"), script_of("用 Visa card 付款"), script_of("123")
    ('zh', 'latin', 'zh + latin', 'other')
    """
    han, latin = len(HAN.findall(text)), len(LATIN.findall(text))
    if not han and not latin:
        return "other"
    share = han / (han + latin)
    return "zh" if share > 1 - FEW else "latin" if share < FEW else "zh + latin"
