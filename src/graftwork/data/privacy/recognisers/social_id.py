"""Accounts of chat and payment services (WeChat, QQ, Weibo, Alipay and others), right after words that name them."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.lists import word_set
from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

NAMED = r"(?:号码|账号|帐号|账户|号|id|ID)?[ :=是为（(]{0,4}(?:is )?@?"
WECHAT = re.compile(
    rf"(?:微信|薇信|威信|V信|加[vVＶ]|wechat|weixin|\bwx|\bvx|企业微信)(?: ?(?:id|account|number|handle))?{NAMED}"
    r"(?P<id>(?:[A-Za-z][A-Za-z0-9_\-]{4,19}|1[3-9][0-9]{9}|[A-Za-z0-9_\-]{2,12}[0-9_\-][A-Za-z0-9_\-]{2,12}))"
    r"(?![0-9A-Za-z_.@])",
    re.I,
)
QQ = re.compile(
    rf"(?:(?<![A-Za-z])QQ(?: ?(?:id|account|number))?|扣扣|企鹅号){NAMED}(?P<id>[1-9][0-9]{{4,11}})(?![0-9A-Za-z_@]"
    rf"|\.[0-9A-Za-z])",
    re.I,
)
OTHERS = re.compile(
    r"(?:微博|支付宝|抖音|快手|小红书|钉钉|淘宝|telegram|instagram|twitter|skype|facebook|snapchat|discord|linkedin)"
    r"(?:号码|账号|帐号|账户|号|用户名|ID| ?id| ?handle| ?account| ?username)[ :=是为（(]{0,4}(?:is )?@?"
    r"(?P<id>[A-Za-z0-9_][A-Za-z0-9_.\-]{3,28}[A-Za-z0-9_])(?![0-9A-Za-z@])",
    re.I,
)
SERVICES = [
    "微博",
    "支付宝",
    "抖音",
    "快手",
    "小红书",
    "钉钉",
    "淘宝",
    "telegram",
    "instagram",
    "twitter",
    "skype",
    "facebook",
    "snapchat",
    "discord",
    "linkedin",
]
WORDS = word_set("person_en.txt", "words that are no account")


WORDS_OF_SERVICES = ("信", "v信", "加v", "wechat", "weixin", "wx", "vx", "qq", "扣扣", "企鹅", *SERVICES)


def find(page: Page) -> Iterator[Hit]:
    """Account names and numbers that are called so."""
    if page.holds("信", "加v", "wechat", "weixin", "wx", "vx"):
        yield from _named(WECHAT, page)
    if page.most_digits >= 5 and page.holds("qq", "扣扣", "企鹅"):
        yield from _named(QQ, page)
    if page.holds(*SERVICES):
        yield from _named(OTHERS, page)


def _named(pattern: re.Pattern[str], page: Page) -> Iterator[Hit]:
    for match in pattern.finditer(page.text):
        if match["id"].lower() not in WORDS:
            yield Hit(*match.span("id"), 0.8)


def canonical(text: str) -> str:
    """Case does not matter in account names."""
    return folded(text).strip().lower()


RECOGNISERS.add("social_id", Recogniser("social_id", "social_id", find, canonical, words=WORDS_OF_SERVICES))
