"""How much speaks for a Chinese name at a place: the characters, the words they could be instead, and what is around.

Every part is an amount of evidence (a logarithm of odds), so the parts add up. The weights of characters are in
`lists/person_zh.txt`; those of the surroundings are below.
"""

import re
from dataclasses import dataclass
from functools import cache

from graftwork.data.privacy.lists import sections, word_set

UNSEEN = 1.0
"""Weight of a given-name character that is in no list: too rare to be part of usual words."""

WORD, WORD_INSIDE = -5.0, -3.5
"""The surname and what stands beside it are a usual word; so are two characters further on."""

COMMON = 6.0
"""Least weight of a given name that millions have, such as 建国: its characters are usual elsewhere."""

LIKELY_GIVEN = 4.5
"""Two characters of this weight or more are a given name even where they are a usual word, such as 建华."""

COMPOUND_WORDS = frozenset(
    {"东方", "第五", "百里", "南宫", "西门", "公孙", "单于", "太史", "公羊", "长孙", "东郭", "左丘", "钟离", "鲜于"}
)
"""Surnames of two characters that are usual words or places as well."""

LONG = 4.0
"""A surname of two characters that is nothing else is mostly followed by two more."""

SHORT = -1.0
"""Names of two characters are rarer than those of three."""

FIELD = re.compile(
    r"(?:姓名|名字|户名|持卡人|收件人|收货人|寄件人|联系人|申请人|被申请人|负责人|经办人|代表人|法人"
    r"|代理人|监护人|担保人|投保人|被保险人|保险人|受益人|承租人|出租人|借款人"
    r"|贷款人|买受人|出卖人|委托人|受托人|当事人|上诉人|被上诉人|被告人?|原告人?|证人|患者|病人|客户"
    r"|顾客|用户|会员|业主|车主|房东|租客|学生|员工|职员|家属|医师|医生|护士|甲方|乙方"
    r"|丙方|收款人|付款人"
    r"|汇款人|审核人?|审批人?|记录人?|登记人|签名|签字|署名|作者|记者|编辑|主编|导演|演员|店长|司机"
    r"|房主|户主|配偶|父亲|母亲|联络人|紧急联系人|审判长|审判员|书记员|律师|制单人?|操作员"
    r"|柜员|值班|主治|主刀|麻醉师|嘉宾|主持人|姓名[:：]?\s?)"
    r"(?:姓名|名称|名字)?[（(]?(?:签名|签字|盖章|签章|甲|乙|先生|女士)?[)）]?\s?[:：=|\t]\s{0,2}$"
)
ROLE = re.compile(
    r"(?:姓名|名字|户名|持卡人|收件人|收货人|寄件人|联系人|申请人|负责人|经办人|代表人|法人|代理人"
    r"|监护人|担保人|投保人|保险人|受益人|承租人|出租人|借款人|贷款人|委托人|当事人|被告人?"
    r"|原告人?|证人|患者|病人"
    r"|客户|顾客|用户|业主|车主|房东|租客|学生|员工|职员|家属|医师|医生|护士|甲方|乙方|收款人|付款人"
    r"|作者|记者|编辑|导演|演员|歌手|作家|画家|诗人|教授|院长|校长|局长|市长|省长|县长"
    r"|主席|总理|总统|部长|董事长|总裁|总经理|经理|主任"
    r"|书记|店长|司机|队长|教练|律师|法官|审判长|书记员|警察|民警|嫌疑人|同事|朋友|同学|同桌|室友"
    r"|老师|班主任|丈夫|妻子|老公|老婆|爱人|儿子|女儿|父亲|母亲|爸爸|妈妈|哥哥|姐姐|弟弟"
    r"|妹妹|爷爷|奶奶|邻居|老板|秘书|助理|专员|顾问|工程师"
    r"|教师|博士|同志|主刀|受理人|护工|保姆|店员|客服|经纪人|候选人|选手|队员|球员|烈士|先烈|诗人"
    r"|村民|市民|居民|同胞|旅客|乘客|女孩|男孩|男子|女子|老人|青年|少年|孩子|宝宝|签收人"
    r"|持有人|出资人|股东|合伙人|继承人|评委|馆长|站长|所长|团长|社长|会长|厂长|行长)\s?[\"“「]?$"
)
WORDS_BEFORE = re.compile(
    r"(?:叫|这是|是|找|联系|致电|告诉|通知|转告|拨打给|转账给|打给|转给|汇给|交给|发给|寄给|还给"
    r"|@|由|与|和|跟|同|及|给|请|问|让|被|对|向|为|、)\s?[\"“「]?$"
)
STRONG_LABEL = re.compile(
    r"(?:姓名|名字|户名|持卡人|件人|货人|联系人|申请人|负责人|经办人|代表人|代理人|监护人|担保人"
    r"|投保人|保险人|受益人|租人|款人|委托人|当事人|患者|病人|客户|顾客|家属|嫌疑人|业主|车主"
    r"|原告人?|被告人?|证人|员工|学生|记者|法官|律师|审判长|书记员"
    r"|我叫|名叫|叫做|他叫|她叫|我是|本人)(?:是|为|叫|名叫)?\s?[\"“「]?$"
)
ITEM = re.compile(r"(?:^|\s)[0-9]{1,2}[.、)）]\s?$")
LEADING = re.compile(
    r"(?:昨天|今天|昨日|今日|明天|近日|日前|会上|随后|后来|这时|当时|其中|据|经|而|老师说|我|你|他|她|名|位|[0-9])$"
)
TITLES = (
    "先生|女士|小姐|太太|医生|大夫|医师|主任|教授|老师|经理|护士|护士长|律师|法官|师傅|阿姨|叔叔"
    "|大爷|大妈|大哥|大姐|奶奶|爷爷|伯伯|警官|检察官|审判员|会计|院长|校长|局长|处长|科长"
    "|董事长|董事|董|总监|总裁|总经理|总|工程师|工|书记|秘书|助理|专员|同学|同志|店长|老板|队长"
    "|教练|主管|部长|市长|县长|镇长|村长|厂长|行长|博士|院士|药师|技师|客服|夫人|某某|某"
)
TITLE = re.compile(TITLES)
FULL_TITLES = word_set("person_zh.txt", "titles")
AFTER = re.compile(
    r"(?P<sex>[，,、 （(]{0,2}(?:男|女|性别)(?![朋友儿生孩人士方])|[，,、 （"
    r"(]{0,2}[0-9]{1,3}岁|[，,、 （(:：]{0,2}(?:身份证|手机|电话|联系方式"
    r"|住址|出生|生于|卡号|账号|病案|住院|保单|护照|现住|家住|户籍|系|曾用名|联系电话|微信|邮箱"
    r"|tel|mobile|1[3-9][0-9]{9}|[0-9]{6}))"
    r"|(?P<own>的(?:卡|账|工资|存款|贷款|手机|电话|身份证|账户|账号|银行卡|地址|住址|邮箱"
    r"|微信|病历|病情|联系|号码|订单|合同|家|妻|丈夫|儿子|女儿|父|母|名字|姓名))"
    r"|(?P<verb>(?:[一二三四五六七八九十两]{1,2}[人位名]|等[人一二三四五六七八九十]|签收"
    r"|经手|转|说|表示|认为|指出|告诉|称|介绍|回答|问|答|回复|因|于|自|向|将|把|已|曾"
    r"|在|与|和|及|被|从|对|给|来|去|到|是|你|您|的|负责|提交|签|申请|办理|购买|投诉|反映|致电"
    r"|来电|入院|就诊|主诉|诉|现|今|昨|您好|你好|、|预约|要求|确认|同意|收|还|借|欠"
    r"|委托|担任|出席|拨打|转账|汇款|支付|等))"
)
HAN = re.compile(r"[一-龥㐀-䶿]")


@dataclass(frozen=True, slots=True)
class Tables:
    """Weights of characters and the usual words around surnames."""

    surname: dict[str, float]
    compound: frozenset[str]
    given: dict[str, float]
    names: frozenset[str]
    whole: frozenset[str]
    places: frozenset[str]
    words: frozenset[str]
    endings: frozenset[str]


@cache
def tables() -> Tables:
    """The lists, read once."""
    told = sections("person_zh.txt")
    return Tables(
        _weights(told["surnames"]),
        frozenset(" ".join(told["compound surnames"]).split()),
        _weights(told["given"]),
        word_set("person_zh.txt", "given names"),
        word_set("person_zh.txt", "whole names"),
        word_set("person_zh.txt", "places that begin with a surname"),
        frozenset(_pairs(told["words that begin with a surname"], surname_first=True)),
        frozenset(_pairs(told["words that end with a surname"], surname_first=False)),
    )


def _weights(lines: list[str]) -> dict[str, float]:
    return {character: float(line.split()[0]) for line in lines for character in line.split()[1]}


def _pairs(lines: list[str], *, surname_first: bool) -> list[str]:
    groups = [group.split(":") for group in " ".join(lines).split()]
    return [surname + other if surname_first else other + surname for surname, others in groups for other in others]


def before_weight(text: str, start: int) -> float:
    """What stands before says for a name that begins at `start`."""
    if start == 0:
        return 1.0
    head = text[max(0, start - 12) : start]
    if FIELD.search(head):
        return 7.0
    if STRONG_LABEL.search(head):
        return 4.0
    if ROLE.search(head) or ITEM.search(head):
        return 3.0
    if WORDS_BEFORE.search(head):
        return 1.5
    if LEADING.search(head):
        return 1.0
    if not HAN.match(head[-1]):
        return 1.0
    return WORD if text[start - 1 : start + 1] in tables().endings else -0.5


def after_weight(text: str, end: int) -> float:
    """What stands after says for a name that ends before `end`."""
    if end >= len(text):
        return 1.0
    if TITLE.match(text, end):
        return 3.5
    told = AFTER.match(text, end)
    if told:
        return {"sex": 3.5, "own": 3.0, "verb": 0.8}[str(told.lastgroup)]
    return -0.7 if HAN.match(text[end]) else 1.0


def name_weight(surname: str, given: str) -> float:
    """What the characters themselves say, and whether they are usual words instead."""
    known = tables()
    if surname + given in known.whole:
        return COMMON
    weight = known.surname[surname] if len(surname) == 1 else -3.0 if surname in COMPOUND_WORDS else 4.5
    of_given = known.given.get(given[0], UNSEEN) + (known.given.get(given[1], UNSEEN) if len(given) == 2 else 0.0)
    if given in known.names:
        of_given = max(of_given, COMMON)
    weight += of_given
    if len(surname) == 1 and surname + given[0] in known.words:
        weight += WORD / 2 if given in known.names else WORD
    if len(given) == 2 and given in known.words and of_given < LIKELY_GIVEN:
        weight += WORD_INSIDE
    if len(surname) == len(given) == 2 and surname not in COMPOUND_WORDS:
        weight += LONG
    return weight if len(given) == 2 else weight + SHORT


def runs_on(text: str, end: int) -> bool:
    """Whether the last character before `end` and the next one are a usual word."""
    return text[end - 1 : end + 1] in tables().words
