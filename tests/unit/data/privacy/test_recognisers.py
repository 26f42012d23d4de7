"""What is found, in which written forms, and what is left alone."""

import itertools

import pytest

from graftwork.core.spec import parse
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.names_en import is_name
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, strongest
from graftwork.data.privacy.recognisers.resident_id import check_digit
from graftwork.data.privacy.spec import PrivacySpec

ALL = Deidentifier(parse(PrivacySpec, {}), None)


def found(text: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in ALL.find(text)]


FORMS = [
    ("phone", "请拨打{}联系我", "13800138000"),
    ("phone", "请拨打{}联系我", "１３８－００１３－８０００"),
    ("phone", "电话 {} 有人接", "138 0013 8000"),
    ("phone", "电话 {} 有人接", "+86 138-0013-8000"),
    ("phone", "电话 {} 有人接", "(010) 6552-9988 转 801"),
    ("phone", "电话 {} 有人接", "138–0013–8000"),
    ("phone", "电话 {} 有人接", "1 3 8 0 0 1 3 8 0 0 0"),
    ("phone", "电话 {} 有人接", "138\u200b0013\u200b8000"),
    ("phone", "我的号码是{}，记一下", "幺三八零零幺三八零零零"),
    ("phone", "Call me on {} tonight.", "(415) 555-2671"),
    ("phone", "Call me on {} tonight.", "020 7946 0958"),
    ("phone", "Call me on {} tonight.", "+44 20 7946 0958"),
    ("resident_id", "证件{}已核验", "11010519491231002X"),
    ("resident_id", "证件{}已核验", "11010519491231002x"),
    ("resident_id", "证件 {} 已核验", "110105 19491231 002X"),
    ("resident_id", "身份证{}（旧）", "110105491231002"),
    ("credit_code", "代码{}。", "91350100M000100Y43"),
    ("bank_card", "卡号{}，谢谢", "4111 1111 1111 1111"),
    ("bank_card", "charged to {} twice", "4111-1111-1111-1111"),
    ("bank_card", "卡号：{}，谢谢", "6222020200112233440"),
    ("iban", "Send it to {} today", "GB82 WEST 1234 5698 7654 32"),
    ("email", "写信到{}即可", "li.lei@example.com"),
    ("email", "写信到 {} 即可", "li.lei＠example．com"),
    ("email", "write to {} please", "li dot lei at example dot com"),
    ("ip_address", "来自 {} 的登录", "192.168.1.20"),
    ("ip_address", "来自 {} 的登录", "fe80::1ff:fe23:4567:890a"),
    ("mac_address", "网卡 {} 已绑定", "00:1A:2B:3C:4D:5E"),
    ("us_ssn", "his number is {} I think", "123-45-6789"),
    ("uk_nhs", "NHS number {} on file", "943 476 5919"),
    ("uk_nino", "NI: {} on file", "AB 12 34 56 C"),
    ("hong_kong_id", "香港身份证{}。", "A123456(3)"),
    ("macau_id", "澳门身份证{}。", "1234567(8)"),
    ("taiwan_id", "身分證{}。", "A123456789"),
    ("travel_permit", "回乡证号码{}。", "H1234567801"),
    ("passport", "护照号{}。", "E12345678"),
    ("licence_plate", "车牌{}停在路边", "京A·12345"),
    ("licence_plate", "车牌{}停在路边", "粤BD12345"),
    ("record_number", "病案号：{}，", "ZY20231188"),
    ("record_number", "MRN: {},", "00123456"),
    ("birth_date", "出生日期：{}，", "1990年3月5日"),
    ("birth_date", "DOB: {}.", "03/05/1990"),
    ("social_id", "加微信{}吧", "wxid_abc123"),
    ("social_id", "QQ：{}。", "123456789"),
    ("address", "地址：{}。", "北京市海淀区中关村大街27号院3号楼2单元501室"),
    ("address", "I live at {}.", "742 Evergreen Terrace, Springfield, IL 62704"),
    ("address", "Send it to {}.", "Flat 3, 27 Gloucester Terrace, London W2 3DA"),
    ("address", "Send it to {}.", "Studio 9\nWilliams mill\nNew Bethmouth\nG8 5PS"),
    ("address", "Send it to {}.", "45 Jackson Mission Suite 201, Lake Maryport, MT 59012"),
    ("address", "Send it to {}.", "PSC 4785, Box 0918, APO AP 96123"),
    ("address", "寄到{}。", "安徽省合肥县淄川秦路X座 200314"),
    ("phone", "Phone: {}.", "4155552671"),
    ("phone", "Call {}.", "+44 (0)20 7946 0958"),
]


@pytest.mark.parametrize(("kind", "frame", "value"), FORMS)
def test_a_value_is_found_whole_in_this_form(kind: str, frame: str, value: str):
    assert found(frame.format(value)) == [(kind, value)]


PERSONS = [
    ("{}说他明天到。", "王小明"),
    ("客户{}来电。", "欧阳娜娜"),
    ("患者{}，男，56岁", "张某某"),
    ("{}您好，请坐。", "李先生"),
    ("请{}看一下。", "赵医生"),
    ("居民{}来访。", "买买提·艾山江"),
    ("姓名：{}", "高兴"),
    ("Yesterday {} came in.", "Dr. Siobhan O'Connor-Smith"),
    ("{} signed it.", "Nguyen Van An"),
    ("Name on file: {}", "SMITH, John"),
    ("hello, my name is {} and i lost my card", "jane doe"),
    ("{} arrived late.", "Xochitl Brown"),
    ("Dear {},", "Ms. Abernathy"),
    ("We met {} there.", "Zhang Wei"),
    ("I asked {} again.", "John F. Kennedy"),
    ("经办人：{}；日期：今天", "钱多多"),
    ("审核：{}；日期：今天", "周 杰"),
    ("签收人：{}，已签收", "和平"),
    ("嫌疑人{}多次使用他人证件。", "覃雯"),
    ("{}说他明天不来了", "小王"),
    ("你把{}的电话发我一下", "老张"),
    ("{}写了出师表。", "诸葛亮"),
    ("{}砸缸。", "司马光"),
    ("居民{}来访。", "安德烈·彼得罗夫"),
    ("Then {} left.", "María García-López"),
    ("{} has an appointment at 9.", "Nguyễn Thị Mai"),
    ("I met {} there.", "Ludwig van der Berg"),
    ("I met {} there.", "Fatima al-Zahra"),
    ("{} signed.", "J. K. Rowling"),
    ("{} called.", "Robert Downey Jr."),
    ("Contact {} before Friday.", "Xiao-Ming Zhang"),
    ("NAME: {}", "JOHN SMITH"),
    ("hi i'm {} from accounts", "sarah"),
    ("hey it's {}, can you resend it", "mike"),
    ("We saw {}, who left.", "Lea Vogel"),
]


@pytest.mark.parametrize(("frame", "name"), PERSONS)
def test_a_name_is_found_whole(frame: str, name: str):
    assert found(frame.format(name)) == [("person", name)]


NOTHING = [
    "大家都很高兴，方法很简单，周一到周五都行。",
    "王牌节目在白天播出，黄金时段是晚上八点。",
    "北京大学和清华大学都在海淀区。",
    "Will you be there in May? Washington is far from Paris.",
    "My Apple Watch shows that Crohn's disease and Parkinson are in the news.",
    "2024-01-01 发布 v1.2.3.4，版本 10.15.7.1 已停用。",
    "合计¥12,345,678.00，订单号202401150000123456。",
    "订单号13800138000，金额 13800138000 元。",
    "The amount 13800138000 was paid on account.",
    "服务热线95588、400-800-8888。",
    "ISBN 978-7-111-54742-6, ICD-10 E11.9, 0.25g tid, 140/90mmHg",
    "时间戳1705300000123，哈希9f86d081884c7d659a2feaa0c55ad015。",
    "std::vector<int> a; // see https://example.org/a/20240115/123456",
    "地铁3号线在5号出口，12345热线。",
    "小心地滑，老实说小区门口的小米手机很好，老师让小组讨论，小张贴告示。",
    "梅兰芳大剧院和宋庆龄故居周末开放。",
    "单号13912345678查物流，快递单号:6217001234567890123，IMEI：490154203237518。",
    "Order number 4111111111111111 shipped, tracking no. 6011000990139424.",
    "Russell silver syndrome, the circle of Willis, Duncan placental separation, a Smith fracture.",
    "Hyperbaric Oxygenation",
    "GET /api/v2/items/13800138000?page=2",
    "向阳小学开展活动，三位同志参加。",
    "Page 4, Section 12, Paul Street.",
    "May I reactivate my card?",
    "The Kaplan-Meier estimate and Cox regression agree.",
    "",
]


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_personal_data_is_left_alone(text: str):
    assert found(text) == []


def test_a_wrong_checksum_is_no_identity_number_unless_it_is_called_one():
    assert found("编码110105194912310021") == []
    assert found("身份证号110105194912310021") == [("resident_id", "110105194912310021")]


def test_a_name_that_is_found_once_is_found_again_where_nothing_speaks_for_it():
    assert found("John Abernathy called. Then Abernathy left.")[1] == ("person", "Abernathy")


def test_a_mixed_text_gives_everything_in_order_and_apart():
    text = "我是王小明，my email is li@example.com，手机13800138000，身份证11010519491231002X"
    places = ALL.find(text)
    assert [f.kind for f in places] == ["person", "email", "phone", "resident_id"]
    assert all(left.end <= right.start for left, right in itertools.pairwise(places))


def test_a_right_checksum_over_a_day_that_never_was_is_no_identity_number():
    stem = "11010519491331002"
    assert found(f"编码{stem}{check_digit(stem)}") == []


def test_of_places_that_overlap_the_proven_wins_then_the_longer_then_the_surer():
    by = RECOGNISERS["email"]
    proven, longer, surer = Hit(2, 5, 0.5, proven=True), Hit(0, 9, 0.9), Hit(20, 25, 0.8)
    hits = [(hit, by) for hit in (longer, Hit(20, 25, 0.7), surer, proven, Hit(22, 24, 1.0))]
    assert [hit for hit, _ in strongest(hits)] == [proven, surer]


def test_a_usual_word_beside_a_surname_makes_no_name():
    assert not is_name(["Garcia", "Payment"])
    assert is_name(["Garcia", "Quillfeather"])


def test_what_a_checksum_holds_wins_over_what_is_called_otherwise():
    text = "住院号：11010519491231002X"
    assert found(text) == [("resident_id", "11010519491231002X")]


def test_every_recogniser_is_in_the_catalog_under_its_own_name():
    assert all(RECOGNISERS[name].name == name for name in RECOGNISERS)
    assert len(RECOGNISERS) == 32
