"""How people who know each other are called in Chinese: 小王, 老张, 阿强, 陈哥, 孙工.

Such words are names only by what is around them ("小王说", "老张的电话"), so both sides are asked: something that leads
to a person or a beginning before, and something that a person does or has after.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

COMMON = (
    "王李张刘陈杨赵黄周吴徐孙朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜苏魏吕丁任沈姚卢姜崔"
    "钟谭陆汪范廖贾夏韦付邹孟熊秦邱尹薛闫段侯陶黎贺顾郝龚邵钱覃武戴莫孔向景"
)
"""Surnames that make no usual word with 小, 老 and the like: not 马, 米, 高, 白, 江, 龙."""

GIVEN = "强伟军明勇杰辉斌峰华芳丽珍玲娟梅兰红英霞燕萍莲香娇花珠凤宝福贵财旺东平龙飞虎豪"
FORM = re.compile(
    r"(?:\A|(?<=[^一-龥])|(?<=[和跟给找让叫问由被把与对请是见等陪帮替喊的下告业])|(?<=同事)|(?<=朋友)|(?<=谢谢)|(?<=联系)|(?<=隔壁)|(?<=邻居)"
    r"|(?<=司机)|(?<=刚才)|(?<=今天)|(?<=昨天)|(?<=通知)|(?<=告诉))"
    rf"(?P<name>[小老][{COMMON}](?![子头家])|阿[{GIVEN}]|[{COMMON}马高石龙江方叶金][哥姐叔姨婶嫂工](?![作程具厂资业]))"
    r"(?=\Z|[\s,，。、！？!?;；:~～…\"”）)]|[说问讲收签取周送把转让叫给把和跟与都也就还又在去来到的刚今昨明他她你打发告回请不没是会要有已帮负联接带同那这吗呢吧啊呀哥姐叔什怎为出下上正想走喊拿送])"
)
THINGS = re.compile(r"小(?:于|余|段)|老(?:向|于)")


def find(page: Page) -> Iterator[Hit]:
    """Such words with something before and after that speaks for a person."""
    for match in FORM.finditer(page.text):
        if not THINGS.match(match["name"]):
            yield Hit(*match.span("name"), 0.65)


RECOGNISERS.add(
    "person_nick_zh",
    Recogniser("person_nick_zh", "person", find, is_han=True, words=("小", "老", "阿", *"哥姐叔姨婶嫂工")),
)
