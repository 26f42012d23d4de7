"""Numbers, dates and names of an answer against its source, however each is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.facts.chinese import value_of
from graftwork.data.facts.dates import Day, dates
from graftwork.data.facts.numbers import numbers
from graftwork.data.facts.support import facts
from graftwork.evaluation.authored import every

DIGITS = "零一二三四五六七八九"


def in_chinese(number):
    """A number below a hundred million in Chinese characters, by the rules of school, naively."""
    if number >= 10_000:
        rest = number % 10_000
        between = "零" if 0 < rest < 1000 else ""
        return in_chinese(number // 10_000) + "万" + between + (in_chinese(rest) if rest else "")
    told, pending = "", False
    for power, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // power % 10
        if digit:
            told += ("零" if pending and told else "") + DIGITS[digit] + unit
            pending = False
        else:
            pending = True
    return told


@given(st.integers(1, 99_999_999))
def test_a_number_in_chinese_characters_is_read_as_what_it_is(number):
    assert value_of(in_chinese(number)) == number


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("十二", 12),
        ("二十", 20),
        ("一百零五", 105),
        ("两千", 2000),
        ("一亿二千万", 120_000_000),
        ("壹仟贰佰", 1200),
        ("一九九八", 1998),
    ],
)
def test_known_numerals(written, value):
    assert value_of(written) == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("It costs $1,200.50 or 12%.", {"1200.5", "12%"}),
        ("3.5万元，约合4.8 thousand dollars", {"35000", "4800"}),
        ("百分之七十，即0.7", {"70%", "0.7"}),
        ("twenty-three boats and two hundred and five nets", {"23", "205"}),
        ("1. Open it.\n2. Close it after 15 minutes.", {"15"}),
        ("one of them, 一个, 十分好, 万一下雨, 千万不要", set()),
        ("version2 of x86", set()),
        ("共一百二十名", {"120"}),
    ],
)
def test_numbers_have_one_form_and_words_that_look_like_them_are_none(text, values):
    assert {value for value, _ in numbers(text)} == values


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-05",
        "2024/3/5",
        "2024年3月5日",
        "二〇二四年三月五日",
        "March 5, 2024",
        "5 March 2024",
        "the 5th of March 2024",
    ],
)
def test_a_date_is_the_same_however_it_is_written(text):
    assert [found.day for found in dates(text)] == [Day(2024, 3, 5)]


def test_what_is_no_day_is_no_date():
    assert dates("13/13/13, 2024-13-40, may be, march on") == []


SOURCE = "On 14 May 1907 Elena Fisk opened the harbour of Westmoor with 23 berths. It cost 4.1 million crowns."


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("It was opened on 14 May 1907.", []),
        ("It was opened in 1907 and has twenty-three berths.", []),
        ("It was opened on 15 May 1907.", ["15 May 1907"]),
        ("It has 24 berths and cost 4,100,000 crowns.", ["24"]),
        ("It was opened by Oscar Wilde.", ["Oscar Wilde"]),
        ("It was opened by Fisk, in Westmoor.", []),
        ("一九〇七年五月十四日启用，有二十三个泊位。", []),
        ("由《海港时报》报道。", ["《海港时报》"]),
        ("I do not know.", []),
        ("", []),
    ],
)
def test_what_a_source_does_not_say_is_found(answer, missing):
    assert [fact.written for fact in facts(answer, SOURCE) if not fact.is_supported] == missing


def test_a_chinese_organisation_and_person_are_looked_for():
    source = "林致远在青河大学任教，年薪二十万元。"
    assert all(fact.is_supported for fact in facts("林致远在青河大学工作，年薪20万元。", source))
    missing = {fact.written for fact in facts("王建国在南山大学工作，年薪30万元。", source) if not fact.is_supported}
    assert "30万" in missing
    assert any("南山大学" in one for one in missing)


def test_every_right_answer_of_our_own_is_supported_and_a_changed_number_is_not():
    for language, row in every("grounded"):
        told = facts(row["answer"], row["source"])
        assert told, (language, row["id"])
        assert all(fact.is_supported for fact in told), (language, row["id"], told)
        wrong = facts(row["answer"] + " 98765", row["source"])
        assert sum(not fact.is_supported for fact in wrong) == 1
