"""In which script a text is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.script import script_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "other"),
        ("12:30, +49 (0)", "other"),
        ("Привет", "other"),
        ("退款需要几天？", "zh"),
        ("退款需要几天？请联系客服，我们会在三个工作日内处理您的 VIP 申请。", "zh"),
        ("㐀", "zh"),
        ("How many days does a refund take?", "latin"),
        ("Prüfe größere Beträge", "latin"),
        ("The word 中 means middle, in the middle of everything else", "latin"),
        ("用 Visa card 付款", "zh + latin"),
    ],
)
def test_a_text_is_told_by_its_characters_and_words(text, expected):
    assert script_of(text) == expected


@given(st.text())
def test_every_text_has_one_of_four_names(text):
    assert script_of(text) in ("zh", "latin", "zh + latin", "other")


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_tenth_of_the_other_script_makes_it_both(han, latin):
    told = script_of("中" * han + " word" * latin)
    if not han + latin:
        assert told == "other"
    elif 9 * han < latin:
        assert told == "latin"
    elif 9 * latin < han:
        assert told == "zh"
    else:
        assert told == "zh + latin"
