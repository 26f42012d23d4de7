"""Random values of personal data for test texts, in the odd forms that people write. Names are not the recognisers'."""

from collections.abc import Callable
from functools import cache
from random import Random

from graftwork.data.privacy.lists import sections
from graftwork.data.privacy.recognisers.bank_card import luhn_digit
from graftwork.data.privacy.recognisers.credit_code import ALPHABET, check_character
from graftwork.data.privacy.recognisers.hong_kong_id import check_character as hong_kong_check
from graftwork.data.privacy.recognisers.resident_id import check_digit
from graftwork.data.privacy.recognisers.taiwan_id import LETTERS
from graftwork.data.privacy.recognisers.taiwan_id import check_digit as taiwan_check
from graftwork.data.privacy.recognisers.uk_nhs import check_digit as nhs_check

WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
REGIONS = (
    "110105", "310104", "440305", "330106", "510107", "420106", "320102",
    "610113", "210102", "500103", "350203", "450103", "650102", "540102",
)  # fmt: skip
MAILS = (
    "qq.com",
    "163.com",
    "126.com",
    "gmail.com",
    "outlook.com",
    "sina.com.cn",
    "foxmail.com",
    "corp.example.cn",
    "mail.example.org",
    "yahoo.co.uk",
)
ROADS = (
    "中山路",
    "人民路",
    "解放大道",
    "建国门外大街",
    "文三路",
    "科技南路",
    "滨江东路",
    "和平里北街",
    "学府路",
    "长江路",
)
CITIES = (
    "北京市朝阳区",
    "上海市徐汇区",
    "广东省深圳市南山区",
    "浙江省杭州市西湖区",
    "四川省成都市武侯区",
    "湖北省武汉市洪山区",
    "江苏省南京市鼓楼区",
    "陕西省西安市雁塔区",
)
STREETS = (
    "Maple Street",
    "Oak Avenue",
    "High Street",
    "Church Road",
    "Elm Drive",
    "Station Road",
    "Sunset Blvd",
    "King's Lane",
    "Park Avenue",
    "Willow Court",
)
TOWNS = (
    ("Springfield", "IL", "62704"),
    ("Austin", "TX", "78701"),
    ("Portland", "OR", "97205"),
    ("Albany", "NY", "12207"),
    ("Denver", "CO", "80202"),
)


@cache
def _names(heading: str) -> tuple[str, ...]:
    return tuple(" ".join(sections("sample_names.txt")[heading]).split())


def _digits(random: Random, num: int) -> str:
    return "".join(random.choices("0123456789", k=num))


def _written(random: Random, digits: str, groups: tuple[int, ...]) -> str:
    """Digits as people write them: in one piece, in groups with a space, dash or dot, or full-width."""
    style = random.random()
    if style < 0.5:
        return digits
    gap = random.choice(" -") if style < 0.85 else "－"
    parts, at = [], 0
    for size in groups:
        parts.append(digits[at : at + size])
        at += size
    text = gap.join([*parts, digits[at:]] if at < len(digits) else parts)
    return text.translate(WIDE) if style > 0.93 else text


def person_zh(random: Random) -> str:
    """A Chinese name: one in fourteen with a dot, the rest of two to four characters."""
    if random.random() < 0.05:
        return random.choice(_names("zh dotted"))
    common, usual, compound, rare = sections("sample_names.txt")["zh surnames"]
    pool = random.choices((common, usual, rare), (0.35, 0.45, 0.2))[0]
    surname = random.choice(compound.split()) if random.random() < 0.03 else random.choice(pool)
    return surname + random.choice(_names("zh given"))


def person_en(random: Random) -> str:
    """An English name: given name and surname, sometimes a middle initial."""
    given, surname = random.choice(_names("en given")), random.choice(_names("en surnames")).replace("_", " ")
    middle = f" {random.choice('ABCDEFGHJKLMPRSTW')}." if random.random() < 0.12 else ""
    return f"{given}{middle} {surname}"


def mobile(random: Random) -> str:
    """A mobile number of the mainland."""
    number = f"1{random.choice('3456789')}{_digits(random, 9)}"
    country = random.choice(("", "", "", "", "+86 ", "+86-", "0086", "(+86)"))
    return country + _written(random, number, (3, 4, 4))


def landline(random: Random) -> str:
    """A land line with its area code."""
    area = random.choice(("010", "021", "0755", "0571", "028", "027"))
    local = random.choice("2345678") + _digits(random, 7)
    form = random.choice(("{a}-{n}", "({a}) {n}", "{a} {n}", "（{a}）{n}", "{a}{n}"))
    extension = random.choice(("", "", "", "转801", " 转 6023"))
    return (
        form.format(a=area, n=random.choice((local, f"{local[:4]}-{local[4:]}", f"{local[:4]} {local[4:]}")))
        + extension
    )


def phone_en(random: Random) -> str:
    """A number of the United States, Britain or another country; none that is free to call."""
    area, middle, last = (
        f"{random.choice('235679')}{random.randint(0, 8)}{random.randint(1, 6)}",
        f"{random.randint(200, 999)}",
        _digits(random, 4),
    )
    forms = (
        f"({area}) {middle}-{last}",
        f"{area}-{middle}-{last}",
        f"{area}.{middle}.{last}",
        f"+1 {area} {middle} {last}",
        f"+1-{area}-{middle}-{last}",
        f"+44 20 7946 0{_digits(random, 3)}",
        f"020 7946 0{_digits(random, 3)}",
        f"07700 900{_digits(random, 3)}",
        f"+44 7700 900{_digits(random, 3)}",
        f"+49 30 {_digits(random, 8)}",
        f"+852 9{_digits(random, 3)} {_digits(random, 4)}",
        f"{area}-{middle}-{last} ext. {_digits(random, 3)}",
    )
    return random.choice(forms)


def resident(random: Random) -> str:
    """An identity number of the mainland."""
    stem = (
        random.choice(REGIONS)
        + f"{random.randint(1940, 2012)}{random.randint(1, 12):02}{random.randint(1, 28):02}"
        + _digits(random, 3)
    )
    number = stem + check_digit(stem)
    return _written(random, number.lower() if random.random() < 0.3 else number, (6, 8, 4))


def card(random: Random) -> str:
    """A bank card that holds the checksum."""
    start, length = random.choice(
        (("622202", 19), ("621700", 19), ("622848", 19), ("4", 16), ("51", 16), ("37", 15), ("6225", 16))
    )
    stem = start + _digits(random, length - len(start) - 1)
    groups = (4, 6, 5) if length == 15 else (4, 4, 4, 4)
    return _written(random, stem + luhn_digit(stem), groups)


def credit_code(random: Random) -> str:
    """A unified social credit code."""
    stem = "91" + random.choice(REGIONS) + "".join(random.choices(ALPHABET, k=9))
    return stem + check_character(stem)


def email(random: Random) -> str:
    """An e-mail address, now and then with a full-width sign or spelt out."""
    name = (
        "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(4, 9)))
        + random.choice(("", "_", "."))
        + random.choice(("", "88", "1990", "x"))
    )
    name = name.strip("._")
    host = random.choice(MAILS)
    style = random.random()
    if style < 0.85:
        return f"{name}@{host}"
    return f"{name}＠{host}" if style < 0.94 else f"{name} at {host.replace('.', ' dot ')}"


def iban(random: Random) -> str:
    """An international account number of Germany or Britain."""
    country, body = random.choice(
        (("DE", _digits(random, 18)), ("GB", "NWBK" + _digits(random, 14)), ("FR", _digits(random, 23)))
    )
    rest = int("".join(str(int(character, 36)) for character in f"{body}{country}00")) % 97
    number = f"{country}{98 - rest:02}{body}"
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if random.random() < 0.5 else number


def hong_kong(random: Random) -> str:
    """An identity number of Hong Kong."""
    stem = random.choice("ABCDEGHKMPRVYZ") + _digits(random, 6)
    return f"{stem}({hong_kong_check(stem)})"


def taiwan(random: Random) -> str:
    """An identity number of Taiwan."""
    stem = random.choice(LETTERS) + random.choice("12") + _digits(random, 7)
    return stem + taiwan_check(stem)


def plate(random: Random) -> str:
    """A licence plate, one in three of a new-energy vehicle."""
    head = random.choice("京沪粤浙苏川鲁豫") + random.choice("ABCDEFGH") + random.choice(("", "·", " "))
    if random.random() < 0.33:
        return f"{head}{random.choice('DF')}{_digits(random, 5)}"
    return head + random.choice("ABCDEFGHJK") + random.choice("ABCDEFGHJK23456789") + _digits(random, 3)


def passport(random: Random) -> str:
    """A Chinese passport number."""
    return random.choice(("E1", "G2", "EA", "EB")) + _digits(random, 7)


def record(random: Random) -> str:
    """A number of a medical record or the like."""
    return random.choice(("", "ZY", "A", "MR-")) + _digits(random, random.randint(6, 10))


def address_zh(random: Random) -> str:
    """An address in a Chinese city."""
    room = random.choice(
        (
            "",
            f"{random.randint(1, 30)}号楼{random.randint(1, 6)}单元{random.randint(101, 2602)}室",
            f"{random.randint(1, 20)}栋{random.randint(101, 1800)}",
        )
    )
    return f"{random.choice(CITIES)}{random.choice(ROADS)}{random.randint(1, 999)}号{room}"


def address_en(random: Random) -> str:
    """A street address in the United States."""
    town, state, code = random.choice(TOWNS)
    flat = random.choice(("", f", Apt {random.randint(1, 99)}", f" Suite {random.randint(100, 900)}"))
    return f"{random.randint(1, 9999)} {random.choice(STREETS)}{flat}, {town}, {state} {code}"


def birthday_zh(random: Random) -> str:
    """A date, in Chinese forms."""
    year, month, day = random.randint(1940, 2015), random.randint(1, 12), random.randint(1, 28)
    return random.choice(
        (
            f"{year}年{month}月{day}日",
            f"{year}-{month:02}-{day:02}",
            f"{year}/{month}/{day}",
            f"{year}.{month:02}.{day:02}",
        )
    )


def birthday_en(random: Random) -> str:
    """A date, in English forms."""
    year, month, day = random.randint(1940, 2015), random.randint(1, 12), random.randint(1, 28)
    return random.choice(
        (f"{month:02}/{day:02}/{year}", f"{year}-{month:02}-{day:02}", f"{day} March {year}", f"April {day}, {year}")
    )


def ssn(random: Random) -> str:
    """A social security number."""
    return f"{random.randint(1, 665):03}-{random.randint(1, 99):02}-{random.randint(1, 9999):04}"


def nhs(random: Random) -> str:
    """An NHS number."""
    while True:
        stem = _digits(random, 9)
        if (check := nhs_check(stem)) != "X":
            return random.choice((f"{stem[:3]} {stem[3:6]} {stem[6:]}{check}", stem + check))


def nino(random: Random) -> str:
    """A national insurance number."""
    stem = "".join(random.choices("ABCEHJKLMPRSTWXYZ", k=2)).replace("ZZ", "AB")
    number = _digits(random, 6)
    return random.choice((f"{stem}{number}C", f"{stem} {number[:2]} {number[2:4]} {number[4:]} A"))


def wechat(random: Random) -> str:
    """An account name."""
    return random.choice("abcdwx") + "".join(random.choices("abcdefghijk_0123456789", k=random.randint(6, 12))) + "7"


def qq(random: Random) -> str:
    """A QQ number."""
    return str(random.randint(10_001, 3_999_999_999))


def ip(random: Random) -> str:
    """An internet address; none of a machine to itself."""
    return random.choice(
        (
            f"{random.randint(128, 223)}.{random.randint(0, 255)}.{random.randint(0, 255)}.{random.randint(1, 254)}",
            f"2001:db8::{random.randint(4096, 65535):x}:{random.randint(4096, 65535):x}",
        )
    )


def mac(random: Random) -> str:
    """A hardware address."""
    return random.choice(":-").join(f"{random.randint(0, 255):02X}" for _ in range(6))


def titled_zh(random: Random) -> str:
    """A surname with a title."""
    common, usual, *_ = sections("sample_names.txt")["zh surnames"]
    return random.choice(common[:60] + usual) + random.choice(("先生", "女士", "医生", "老师", "经理", "主任", "律师"))


def titled_en(random: Random) -> str:
    """A title with a surname."""
    title = random.choice(("Mr.", "Mrs.", "Ms.", "Dr.", "Mr", "Prof."))
    return f"{title} {random.choice(_names('en surnames')).replace('_', ' ')}"


def nick_zh(random: Random) -> str:
    """How people who know each other are called."""
    surname = random.choice(sections("sample_names.txt")["zh surnames"][1][:30])
    return random.choice(("小", "老")) + surname if random.random() < 0.7 else surname + random.choice("姐哥")


def address_gb(random: Random) -> str:
    """A street address in Britain."""
    code = f"{random.choice(('SW', 'N', 'LS', 'M', 'EH', 'B'))}{random.randint(1, 20)} {random.randint(1, 9)}"
    flat = random.choice(("", f"Flat {random.randint(1, 40)}, "))
    town = random.choice(("London", "Leeds", "Edinburgh", "Manchester"))
    return f"{flat}{random.randint(1, 200)} {random.choice(STREETS)}, {town} {code}{random.choice(('AB', 'XY', 'TQ'))}"


VALUES: dict[str, tuple[str, Callable[[Random], str]]] = {
    "姓名": ("person", person_zh),
    "称呼": ("person", titled_zh),
    "昵称": ("person", nick_zh),
    "手机": ("phone", mobile),
    "座机": ("phone", landline),
    "身份证": ("resident_id", resident),
    "卡号": ("bank_card", card),
    "代码": ("credit_code", credit_code),
    "邮箱": ("email", email),
    "住址": ("address", address_zh),
    "生日": ("birth_date", birthday_zh),
    "车牌": ("licence_plate", plate),
    "护照": ("passport", passport),
    "编号": ("record_number", record),
    "微信": ("social_id", wechat),
    "扣扣": ("social_id", qq),
    "港证": ("hong_kong_id", hong_kong),
    "台证": ("taiwan_id", taiwan),
    "网址": ("ip_address", ip),
    "网卡": ("mac_address", mac),
    "name": ("person", person_en),
    "titled": ("person", titled_en),
    "phone": ("phone", phone_en),
    "email": ("email", email),
    "card": ("bank_card", card),
    "british": ("address", address_gb),
    "address": ("address", address_en),
    "born": ("birth_date", birthday_en),
    "ssn": ("us_ssn", ssn),
    "nhs": ("uk_nhs", nhs),
    "nino": ("uk_nino", nino),
    "iban": ("iban", iban),
    "record": ("record_number", record),
    "passport": ("passport", passport),
    "ip": ("ip_address", ip),
    "mac": ("mac_address", mac),
}
"""What stands in braces in a template: its kind and how one is drawn."""
