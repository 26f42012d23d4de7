"""What the pages say: in both languages, for everything the data room has a name for."""

import re
from string import Formatter

import pytest

import graftwork.data.privacy.recognisers
import graftwork.data.quality.record_checks
import graftwork.data.quality.whole_checks  # noqa: F401  these fill the catalogs
from graftwork.data.privacy.recogniser import RECOGNISERS
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.quality.check import CHECKS
from graftwork.data.quality.whole import WHOLE_CHECKS
from graftwork.data.tally import STEPS
from graftwork.pipeline.pages.words import GLOSSARY, LABELS, TERMS, label, repair, term

ALL = {**LABELS, **TERMS, **{word[0]: pair for word, meaning in GLOSSARY for pair in (word, meaning)}}
HAN = re.compile(r"[\u4e00-\u9fff]")
WITHOUT_CHINESE = {"made.graftwork", "Token"}


def names_in(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


@pytest.mark.parametrize("key", ALL)
def test_what_is_said_in_english_is_said_in_chinese_with_the_same_numbers(key):
    english, chinese = ALL[key]
    assert names_in(english) == names_in(chinese)
    assert not HAN.search(english)
    assert HAN.search(chinese) or key in WITHOUT_CHINESE


def test_every_step_check_and_kind_of_personal_data_has_a_word():
    names = [f"{group}.{step}" for step in STEPS for group in ("step", "about")]
    names += [f"reason.{name}" for name in (*CHECKS, *WHOLE_CHECKS)]
    names += [f"kind.{RECOGNISERS[name].kind}" for name in RECOGNISERS]
    names += [f"mode.{mode}" for mode in PrivacySpec.model_fields["mode"].annotation.__args__]
    assert not [name for name in names if name not in TERMS]


def test_a_name_without_a_word_is_shown_as_it_is():
    assert term("reason", "too_blue") == ("too_blue", "too_blue")
    assert repair("too_blue") == ("too_blue", "too_blue")
    assert repair("whitespace: blank lines, too_blue") == (
        "white space: blank lines, too_blue",
        "空白字符：多余空行、too_blue",
    )


def test_a_label_takes_its_numbers():
    assert label("headline", rows="9", used="7", kept_back="2") == (
        "9 rows: 7 used, 2 kept back, none lost without a reason.",
        "共 9 行：采用 7 行，隔离 2 行，无一行去向不明。",
    )
