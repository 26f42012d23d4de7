"""Internet addresses, version 4 and 6; version and section numbers, loopback and mask addresses are held off."""

import ipaddress
import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
V4 = re.compile(rf"(?<![0-9A-Za-z_.\-]){OCTET}(?:\.{OCTET}){{3}}(?![0-9A-Za-z_]|\.[0-9])")
V6 = re.compile(
    r"(?<![0-9A-Za-z.])(?<![0-9A-Fa-f]:)(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|[0-9.]{7,15})(?![0-9A-Za-z:])"
)
VERSION = re.compile(
    r"(?:\bv|ver|version|release|build|版本号?|固件|升级到|更新到|section|chapter|第|章|节|§|OID|firmware)[ "
    r".:号为是]*$",
    re.I,
)
CONTEXT = re.compile(r"\bip|地址|登录|address|host|server|服务器|来自|from", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Addresses that a machine can have."""
    for match in page.near_digits(V4, 4, CLOSE) if page.text.count(".") > 2 else ():
        before = page.before(match.start(), 20)
        small = all(int(part) < 20 for part in match.group().split("."))
        if VERSION.search(before) or (small and not CONTEXT.search(before)):
            continue
        if not match.group().startswith(("127.", "0.", "255.")):
            yield Hit(match.start(), match.end(), 0.9)
    if page.text.count(":") >= 2:
        for match in V6.finditer(page.text):
            if sum(c in "0123456789abcdefABCDEF" for c in match.group()) >= 4 and _is_v6(match.group()):
                yield Hit(match.start(), match.end(), 0.95)


def _is_v6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def canonical(text: str) -> str:
    """The shortest way to write the address."""
    return str(ipaddress.ip_address(folded(text)))


RECOGNISERS.add("ip_address", Recogniser("ip_address", "ip_address", find, canonical, min_digits=1))
