"""Bank cards: 13 to 19 digits, a known issuer and the Luhn checksum; account numbers after words that say so.

Source: ISO/IEC 7812-1.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare, is_held_off

FORM = re.compile(r"[1-9](?<![0-9A-Za-z_].)(?<![0-9][.\-/].)(?:[ .\-]{0,2}[0-9]){11,18}(?![0-9A-Za-z_]|[.\-][0-9])")
CONTEXT = re.compile(
    r"卡号|银行卡|信用卡|借记卡|储蓄卡|储值卡|账号|帐号|账户|帐户|工资卡|尾号|\bcard|account|\ba/?c\b|acct|银联|运通|unionpay|visa|mastercard|amex|debit|credit",
    re.I,
)
ISSUERS = (
    (re.compile(r"62|81"), range(16, 20)),
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),
    (re.compile(r"3(?:0[0-5]|[689])"), (14, 16)),
    (re.compile(r"6(?:011|4[4-9]|5)"), (16, 19)),
    (re.compile(r"5[06-8]|6[03-9]"), range(13, 20)),
    (re.compile(r"9[0-9]"), (16, 17, 18, 19)),
)


def find(page: Page) -> Iterator[Hit]:
    """Card numbers by issuer and checksum, and numbers that are called a card or an account."""
    for match in page.near_digits(FORM, 12, CLOSE):
        number = bare(match.group())
        told = CONTEXT.search(page.before(match.start(), 20))
        if is_held_off(page, match.start()) and not told:
            continue
        if luhn_digit(number[:-1]) == number[-1] and (told or _is_issued(number)):
            yield Hit(match.start(), match.end(), 0.97, proven=True)
        elif told:
            yield Hit(match.start(), match.end(), 0.7)


def _is_issued(number: str) -> bool:
    return any(len(number) in lengths and start.match(number) for start, lengths in ISSUERS)


def luhn_digit(payload: str) -> str:
    """The last digit of a card number that begins with `payload`.

    >>> luhn_digit("411111111111111")
    '1'
    """
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(payload))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


RECOGNISERS.add("bank_card", Recogniser("bank_card", "bank_card", find, min_digits=12))
