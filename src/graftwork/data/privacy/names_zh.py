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
"""A surname of two characters that is nothing else is mostly followed by two more, if the second is one of names."""

SHORT = -1.0
"""Names of two characters are rarer than those of three."""

LABEL_ENDS = ":=|\t"
FIELD = re.compile(
    r"(?:姓 {0,4}名|名 {0,2}字|户名|[一-龥]人(?:员|全称)?|甲方|乙方|丙方|[一-龥]者|[一-龥]员|[一-龥]师|[一-龥]长"
    r"|医生|护士|[一-龥]官|律师|会计|出纳|审核|复核|核对|校对|制单|制表|审批|批准"
    r"|记录|登记|填报|签名|签字|署名|签收|经办|报送|抄送|主送"
    r"|原告|被告|患者|病人|客户|顾客|用户|会员|户主|房主|业主|车主|机主|房东|租客|司机|学生|同学|家属|家长|导师|教练|教授"
    r"|值班|主刀|主治|主编|责编|编辑|导演|主演|编剧|嘉宾|主持|主讲|柜员|坐席|客服|秘书|助理|店长|经理|主任|书记|父亲|母亲"
    r"|配偶|丈夫|妻子|儿子|女儿|监护|联系|负责|收款方?户名|付款方?户名)"
    r"(?:姓名|名称|名字|全称)?[0-9]?(?:/[一-龥/]{1,14})?(?:[（(【][^）)】\n]{1,6}[)）】])?[\"”]?\s?[:=|\t]\s{0,3}[\"“]?$"
)
ITEM = re.compile(r"(?:^|\s)[0-9]{1,2}[.、)）]\s?$")
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
    r"|(?P<verb>(?:处理|变更|收到|复合|下的|下单|送来|交来|组成|恢复|喂|哈喽|一起|打电话|打来|最|多次|反馈|推荐|各|分别|出具|没|不在|不来|已经|昨天|今天|明天|签发|诉|系|持|驾驶|也|就|还|又|要|会|都|购买|撰|写|[一二三四五六七八九十两]{1,2}[人位名]|等[人一二三四五六七八九十]|签收"
    r"|经手|转|说|表示|认为|指出|告诉|称|介绍|回答|问|答|回复|因|于|自|向|将|把|已|曾"
    r"|在|与|和|及|被|从|对|给|来|去|到|是|你|您|的|负责|提交|签|申请|办理|购买|投诉|反映|致电"
    r"|来电|入院|就诊|主诉|诉|现|今|昨|您好|你好|、|预约|要求|确认|同意|收|还|借|欠"
    r"|委托|担任|出席|拨打|转账|汇款|支付|等))"
)
PLACE = -4.0
PLACE_AFTER = re.compile(
    r"(?:[路街巷村镇桥寺庙塔店馆轩菜面粉粥锅饼鸭鸡](?![，。的说]?先生)|食府|餐厅|烤|红烧|火锅|白肉|驴肉|饭[店庄馆]|酒[店家楼]|宾馆|山庄|大剧院|剧院|大厦|广场|公园"
    r"|故居|纪念|医院|(?:小学|中学|大学)(?!同学|同窗|毕业|室友|老师|生)|[（(][一-龥]{1,8}店[)）]|集团|公司|有限|牌)"
)
"""After the name of a shop, a street or another place."""

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
    strong: frozenset[str]
    roles: frozenset[str]
    leads: frozenset[str]
    starts: frozenset[str]


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
        word_set("person_zh.txt", "words of a person that a name follows for sure"),
        word_set("person_zh.txt", "words of a person that a name may follow"),
        word_set("person_zh.txt", "words that a name may follow"),
        word_set("person_zh.txt", "words that lead into a sentence"),
    )


def _weights(lines: list[str]) -> dict[str, float]:
    return {character: float(line.split()[0]) for line in lines for character in line.split()[1]}


def _pairs(lines: list[str], *, surname_first: bool) -> list[str]:
    groups = [group.split(":") for group in " ".join(lines).split()]
    return [surname + other if surname_first else other + surname for surname, others in groups for other in others]


def before_weight(text: str, start: int) -> float:
    """What stands before says for a name that begins at `start`."""
    head = text[max(0, start - 16) : start]
    bare = head.rstrip(' "“「')
    if not bare:
        return 1.0
    if bare[-1] in LABEL_ENDS:
        return 7.0 if FIELD.search(head) else 1.0
    known = tables()
    if _ends_in(bare, known.strong) or (bare[-1] in "是为叫" and _ends_in(bare[:-1].removesuffix("名"), known.strong)):
        return 4.0
    if _ends_in(bare, known.roles) or ITEM.search(head):
        return 3.0
    if _ends_in(bare, known.leads):
        return 1.5
    if _ends_in(bare, known.starts) or not HAN.match(head[-1]):
        return 1.0
    return WORD if text[start - 1 : start + 1] in known.endings else -0.5


def _ends_in(text: str, words: frozenset[str]) -> bool:
    """Whether `text` ends in one of `words`, which have up to four characters."""
    return text[-2:] in words or text[-3:] in words or text[-1:] in words or text[-4:] in words


def after_weight(text: str, end: int) -> float:
    """What stands after says for a name that ends before `end`."""
    if end >= len(text):
        return 1.0
    if PLACE_AFTER.match(text, end):
        return PLACE
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
    if len(surname) == 2 and surname not in COMPOUND_WORDS:
        second = known.given.get(given[1], UNSEEN) if len(given) == 2 else 0.0
        return weight + (LONG if second > -2.0 or given[1:] == "儿" else 0.0)
    return weight if len(given) == 2 else weight + SHORT


def runs_on(text: str, end: int) -> bool:
    """Whether the last character before `end` and the next one are a usual word."""
    return text[end - 1 : end + 1] in tables().words
