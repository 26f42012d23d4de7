"""Numbers in place of numbers: same length, same signs between, checksum right again, and one for one.

The free digits of a number are permuted by a Feistel network over HMAC-SHA512, walking on until the result is in range,
so that two values never share a stand-in. Restoring goes through the vault; the network is never run backwards.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta

from graftwork.data.privacy.page import folded
from graftwork.data.privacy.pseudonym import Pseudonyms
from graftwork.data.privacy.recognisers import bank_card, iban, resident_id

ROUNDS = 10
FIRST_DAY, NUM_DAYS = date(1930, 1, 1), 29_200
"""Dates of birth of stand-ins: 1930 to 2009."""


def permuted(pseudonyms: Pseudonyms, purpose: str, number: int, size: int) -> int:
    """Where `number` of 0 to `size` - 1 goes, one for one."""
    half = ((size - 1).bit_length() + 1) // 2 or 1
    mask = (1 << half) - 1
    while True:
        left, right = number >> half, number & mask
        for turn in range(ROUNDS):
            mixed = pseudonyms.number(f"{purpose} {size} {turn}", right.to_bytes(16, "big"), 16)
            left, right = right, left ^ (mixed & mask)
        number = left << half | right
        if number < size:
            return number


def _digits(pseudonyms: Pseudonyms, purpose: str, digits: str) -> str:
    return f"{permuted(pseudonyms, purpose, int(digits), 10 ** len(digits)):0{len(digits)}}"


def _phone(pseudonyms: Pseudonyms, value: str) -> str | None:
    """All but what says country, network or area: the last eight digits, or seven of a short number."""
    free = 8 if len(value) >= 11 else 7
    return value[:-free] + _digits(pseudonyms, f"phone {value[:-free]}", value[-free:])


def _bank_card(pseudonyms: Pseudonyms, value: str) -> str | None:
    if len(value) < 13 or bank_card.luhn_digit(value[:-1]) != value[-1]:
        return None
    stem = value[:6] + _digits(pseudonyms, f"card {value[:6]}", value[6:-1])
    return stem + bank_card.luhn_digit(stem)


def _resident_id(pseudonyms: Pseudonyms, value: str) -> str | None:
    """Province kept; city and district, date of birth and sequence changed together."""
    if len(value) != 18 or resident_id.check_digit(value) != value[17]:
        return None
    day = (date(int(value[6:10]), int(value[10:12]), int(value[12:14])) - FIRST_DAY).days
    if not 0 <= day < NUM_DAYS:
        return None
    number = (int(value[2:6]) * NUM_DAYS + day) * 1000 + int(value[14:17])
    changed = permuted(pseudonyms, f"resident {value[:2]}", number, 10_000 * NUM_DAYS * 1000)
    rest, sequence = divmod(changed, 1000)
    region, day = divmod(rest, NUM_DAYS)
    stem = f"{value[:2]}{region:04}{FIRST_DAY + timedelta(days=day):%Y%m%d}{sequence:03}"
    return stem + resident_id.check_digit(stem)


def _iban(pseudonyms: Pseudonyms, value: str) -> str | None:
    """Digits of the account changed, letters kept, check digits right again."""
    if not iban.is_valid(value):
        return None
    places = [at for at in range(4, len(value)) if value[at].isdecimal()]
    letters = "".join("0" if character.isdecimal() else character for character in value[:2] + value[4:])
    new = _digits(pseudonyms, f"iban {letters}", "".join(value[at] for at in places))
    body = list(value)
    for at, digit in zip(places, new, strict=True):
        body[at] = digit
    rest = "".join(body[4:])
    check = 98 - int("".join(str(int(c, 36)) for c in f"{rest}{value[:2]}00")) % 97
    return f"{value[:2]}{check:02}{rest}"


def _us_ssn(pseudonyms: Pseudonyms, value: str) -> str | None:
    """Area, group and serial of the numbers that may be given out: none of them all zeros, area not 666."""
    area, group, serial = int(value[:3]), int(value[3:5]), int(value[5:])
    if area in (0, 666) or not group or not serial:
        return None
    number = ((area - 1 - (area > 666)) * 99 + group - 1) * 9999 + serial - 1
    rest, serial = divmod(permuted(pseudonyms, "ssn", number, 998 * 99 * 9999), 9999)
    area, group = divmod(rest, 99)
    return f"{area + 1 + (area >= 665):03}{group + 1:02}{serial + 1:04}"


STAND_INS: dict[str, Callable[[Pseudonyms, str], str | None]] = {
    "phone": _phone,
    "bank_card": _bank_card,
    "resident_id": _resident_id,
    "iban": _iban,
    "us_ssn": _us_ssn,
}
"""Kinds that have stand-ins; the others keep placeholders in either style."""


def stand_in(pseudonyms: Pseudonyms, kind: str, canonical: str, written: str) -> str | None:
    """A number of the same form for `written`; None when its kind or its form has none."""
    make = STAND_INS.get(kind)
    plain = folded(written)
    found = re.sub(r"[^0-9A-Za-z]", "", plain).upper()
    if make is None or not found.endswith(canonical) or not canonical[-6:-1].isdecimal():
        return None
    new = make(pseudonyms, canonical)
    if new is None or new == canonical:
        return None
    return _laid_over(written, plain, found[: len(found) - len(canonical)] + new)


def _laid_over(written: str, plain: str, value: str) -> str:
    """`value` with the signs between, the width and the case of `written`."""
    out, rest = [], iter(value)
    for old, simple in zip(written, plain, strict=True):
        if not (simple.isascii() and simple.isalnum()):
            out.append(old)
            continue
        character = next(rest)
        character = character.lower() if simple.islower() else character
        out.append(chr(ord(character) + 0xFEE0) if old != simple else character)
    return "".join(out)
