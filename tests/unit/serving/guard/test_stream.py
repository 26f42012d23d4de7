"""However an answer is cut into pieces, what comes out of the guard is the same, and little is held back."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.core.spec import parse
from graftwork.serving.guard.finding import FILTERS
from graftwork.serving.guard.guard import Guard
from graftwork.serving.guard.spec import GuardSpec

SOURCE = ["In 2019 the office sold 1,200 houses on 5 March. " * 10]
OWN_WORDS = "silk\nask\nblister\nyou fool\nbliss\nkill\nass\nasshole\n坏蛋\n骗钱公司\n钱\u7b3c\n"
FILTERS_TRIED = {
    "words": {"filter": "words", "shipped": [], "lexicons": ["LIST"]},
    "personal_data": {"filter": "personal_data"},
    "names": {"filter": "personal_data", "kinds": ["person", "address", "birth_date", "phone", "email"]},
    "facts": {"filter": "facts"},
    "pattern": {"filter": "pattern", "name": "case", "pattern": r"(?:AZ-\d{2,6}|ab?a|x[ab]{1,3}y?)"},
    "bordered": {"filter": "pattern", "name": "word", "pattern": r"-\ba|\bfool\b|l\Bo\b"},
    "length": {"filter": "length", "most_characters": 20},
}
HELD = {"words": 140, "personal_data": 470, "names": 470, "facts": 601, "pattern": 9, "bordered": 5, "length": 0}
PIECES = st.sampled_from(
    [
        *(
            "blister",
            "b.l.i",
            "BLI",
            "ster",
            "you",
            " fool",
            "fool",
            "kil",
            "kill",
            "llll",
            "asshole",
            "as$",
            "sss",
            "ss",
        ),
        *(
            "坏",
            "蛋",
            "*",
            "钱",
            "公司",
            "騙",
            "\u200b",
            "\u0301",
            " ",
            "\n",
            "，",
            "。",
            ".",
            "-",
            "!",
            "1",
            "@",
            "|",
            "$",
        ),
        *("138 0013 8000", "13800138000", "+86", "at", "dot", "li.lei@example.com", "li", "com", "example", "call "),
        *("11010519491231002X", "6228 4855 5470 6140 994", "张伟", "住在北京市海淀区中关村大街27号", "京A12345", "我"),
        *("AZ-", "12", "345", "a", "b", "x", "ab", "1,200", " houses", "2019", "March 5, 2024", "三月五日", "一千二百"),
        *(" 12 High Street, ", "Dr. ", "Ruth Amari", "the ", "of"),
    ]
)
MIXED = st.lists(PIECES | st.characters(codec="utf-8"), max_size=24).map("".join)
CLOSE = {
    "words": st.lists(
        st.sampled_from([*"kilas坏蛋钱笼 .1$*", "ll", "sss", "lll", "\u200b", "\n", "you", "fool"]), max_size=14
    ),
    "personal_data": st.lists(
        st.sampled_from([*" 1a@.:，-", "at", "dot", "138", "0013", "8000", "li", "example", "com", "我", "  "]),
        max_size=16,
    ),
    "names": st.lists(
        st.sampled_from([*" .。,王伟", "Mr", "Ann", "Lee", "word", "12", "High", "Street", "the"]), max_size=16
    ),
    "facts": st.lists(st.sampled_from([*" .。3\n5", "12", "one", "2019", "houses", "三月", "五日"]), max_size=16),
    "pattern": st.text("abxyAZ-12", max_size=16),
    "bordered": st.text("a-folb ", max_size=16),
    "length": st.text("ab", max_size=30),
}
"""Texts of what each filter finds, whole and in parts."""


def texts(name):
    """Texts that are worth showing to the guard of this name."""
    own = CLOSE.get(name.split()[0])
    return MIXED if own is None else own.map("".join) | MIXED


@pytest.fixture(scope="module")
def guards(tmp_path_factory):
    """A guard for each filter and each thing that may be done, and one for several at once."""
    words = tmp_path_factory.mktemp("lists") / "own.txt"
    words.write_text(OWN_WORDS, "utf-8")
    raw = json.loads(json.dumps(FILTERS_TRIED).replace("LIST", str(words)))
    told = {
        f"{name} {action}": [{**one, "action": action}]
        for name, one in raw.items()
        for action in FILTERS[one["filter"]].actions
    }
    told["all flag"] = [{**one, "action": "flag"} for one in raw.values()]
    several = ("words", "mask"), ("pattern", "flag"), ("personal_data", "block"), ("facts", "flag"), ("words", "flag")
    told["several"] = [{**raw[name], "action": action} for name, action in several]
    told["two end it"] = [{**raw[name], "action": "block"} for name in ("names", "pattern", "words", "length")]
    models = {name: {"answer": filters, "blocked_text": "[ended]"} for name, filters in told.items()}
    return Guard(parse(GuardSpec, {"models": models}))


def passed(guard, text, cuts):
    """What comes out, what was done, and the most that was held back on the way."""
    stream = guard.stream(SOURCE)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    out, held = "", 0
    for start, end in pairwise(places):
        out += stream.push(text[start:end])
        held = max(held, stream.held)
    return out + stream.close(), stream.interventions, held


NAMES = [f"{n} {a}" for n, one in FILTERS_TRIED.items() for a in FILTERS[one["filter"]].actions]


@pytest.mark.parametrize("name", [*NAMES, "all flag", "several", "two end it"])
@settings(max_examples=150, deadline=None)
@given(data=st.data(), cuts=st.lists(st.integers(0, 10**6), max_size=40))
def test_pieces_make_no_difference(guards, name, data, cuts):
    guard, text = guards.for_model(name), data.draw(texts(name))
    whole = passed(guard, text, [])[:2]
    assert passed(guard, text, cuts)[:2] == whole
    assert passed(guard, text, range(len(text)))[:2] == whole


@pytest.mark.parametrize("name", FILTERS_TRIED)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), times=st.integers(1, 40))
def test_what_is_held_back_is_bounded(guards, name, data, times):
    text = data.draw(texts(name))
    kept = passed(guards.for_model(f"{name} flag"), text * times, range(len(text) * times))
    assert kept[0] == text * times
    assert kept[2] <= HELD[name]


@pytest.mark.parametrize("hostile", ["a" * 3000, "as" * 1500, "坏*" * 1500, "1 " * 1500, "b\u200b" * 1500, "*" * 3000])
@pytest.mark.parametrize("name", FILTERS_TRIED)
def test_no_text_makes_the_guard_hold_back_without_end(guards, name, hostile):
    assert passed(guards.for_model(f"{name} flag"), hostile, range(3000))[2] <= HELD[name]


@pytest.mark.parametrize("text", ["sillllk", "siiilllkkk", "a s s k k", "as​ssk", "kil", "kill", "killl"])
def test_letters_drawn_out_are_waited_for(guards, text):
    guard = guards.for_model("words mask")
    assert passed(guard, text, range(9))[:2] == passed(guard, text, [])[:2]
    assert (passed(guard, text, [])[0] == text) == (text in ("a s s k k", "kil", "killl"))


def test_plain_text_goes_out_as_it_comes(guards):
    stream = guards.for_model("all flag").stream([])
    assert stream.push("今天天气很好，我们去公园散步，") == ""  # names are looked for by the sentence
    stream = guards.for_model("personal_data mask").stream([])
    assert stream.push("今天天气很好，我们去公园散步") == "今天天气很好，我们去公园散步"
    assert stream.push(" one two three") == " one "  # the last word may go on, and the one before belongs to it


def test_what_was_done_says_nothing_of_what_was_said(guards):
    out, done, _ = passed(guards.for_model("several"), "坏*蛋 and 138 0013 8000, then more", [])
    assert out == "*** and [ended]"
    assert [(d.filter, d.kind, d.action, d.side, d.length) for d in done] == [
        ("words", "own", "mask", "answer", 3),
        ("personal_data", "phone", "block", "answer", 13),
    ]
    assert not re.search("坏|138", repr(done))


def test_nothing_comes_after_an_answer_was_ended(guards):
    stream = guards.for_model("words block").stream([])
    assert stream.push("fine 坏蛋") == "fine [ended]"
    assert stream.is_blocked
    assert stream.push("more") == "" == stream.close()
