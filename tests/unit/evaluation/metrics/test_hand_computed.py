"""Metrics of Chinese and English answers, computed by hand."""

from math import log

import pytest

from graftwork.evaluation.metrics import bits, choice, chrf, exact, exact_loose, f1, rouge
from graftwork.evaluation.metrics.metric import TEXT_METRICS, Weighed, is_short
from graftwork.evaluation.metrics.text import loose, units


def test_word_for_word_forgives_white_space_alone():
    assert exact.exact(" 退款 \n", "退款").total == 1
    assert exact.exact("退款。", "退款").total == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("physiology.", "Physiology"),
        ("“退款”。", "退款"),
        ("ＡＢＣ１２３", "abc123"),
        ("约 1,200 元", "约1200元"),
        ("follow up", "follow-up"),
        ("3 天", "3天"),
        ("《论语》", "论语"),
        ("−5", "-5"),
    ],
)
def test_loosely_equal_are_answers_that_differ_in_writing_alone(said, expected):
    assert exact_loose.exact_loose(said, expected).total == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("15", "1.5"),
        ("5", "-5"),
        ("1030", "10:30"),
        ("5%", "5"),
        ("$5", "5"),
        ("x2", "x²"),
        ("C", "C++"),
        ("1/2", "12"),
    ],
)
def test_a_difference_of_value_is_never_one_of_writing(said, expected):
    assert exact_loose.exact_loose(said, expected).total == 0
    assert loose(said) != loose(expected)


def test_f1_counts_chinese_characters_each_as_often_as_both_have_it():
    # said 7, expected 6; shared: 饭 后 服 用, and 每 天 are not in the other
    assert f1.f1("请在饭后服用药", "饭后服用每天").total == pytest.approx(2 * 4 / (7 + 6))
    assert f1.f1("好好好", "好").total == pytest.approx(2 * 1 / (3 + 1))


def test_rouge_of_chinese_by_hand():
    said, expected = "患者发热三天", "患者发热两天余"
    # single: 患 者 发 热 天 = 5 of 6 and 7; pairs: 患者 者发 发热 = 3 of 5 and 6; in order: 患者发热天 = 5
    assert rouge.rouge_n(said, expected, order=1).total == pytest.approx(2 * 5 / 13)
    assert rouge.rouge_n(said, expected, order=2).total == pytest.approx(2 * 3 / 11)
    assert rouge.rouge_l(said, expected).total == pytest.approx(2 * 5 / 13)
    assert rouge.rouge_l("热发者患", "患者发热").total == pytest.approx(2 * 1 / 8)


def test_chrf_of_chinese_by_hand():
    # orders 1 to 3 are in both: matches 3 of 4 and 3, 2 of 3 and 2, 1 of 2 and 1; order 4 only in what was said
    precision, recall = (3 / 4 + 2 / 3 + 1 / 2) / 3, 1.0
    assert chrf.chrf("头很痛啊", "头很痛").total == pytest.approx(5 * precision * recall / (4 * precision + recall))


def test_a_choice_by_hand():
    weighed = Weighed(options=("no", "certainly not", "yes"), right=1, nats=(2.0, 3.0, 4.0), tokens=(1, 3, 1))
    assert choice.chosen(weighed, (1, 1, 1)).total == 0
    assert choice.chosen(weighed, weighed.tokens).total == 1
    tie = Weighed(options=("a", "b"), right=0, nats=(1.0, 1.0), tokens=(1, 1))
    assert choice.chosen(tie, (1, 1)).total == 0


def test_bits_per_byte_counts_bytes_of_utf_8():
    score = bits.bits(Weighed(options=("退款",), right=0, nats=(12 * log(2),), tokens=(2,)))
    assert (score.total, score.weight) == (pytest.approx(12), 6)


def test_units_are_words_numbers_and_chinese_characters():
    assert units("用Visa付1,200.5元，don't ＯＫ ﹖") == ["用", "visa", "付", "1,200.5", "元", "don't", "ok"]
    assert units("かな 漢字 한글") == ["か", "な", "漢", "字", "한", "글"]


def test_word_for_word_is_not_asked_of_long_answers_nor_bleu_of_short_ones():
    assert is_short("退款")
    assert not is_short("药" * 33)
    assert not is_short("🙂")
    assert TEXT_METRICS["bleu"].applies("药" * 16)
    assert not TEXT_METRICS["bleu"].applies("药" * 15)
    assert TEXT_METRICS["rouge_2"].applies("退款")
    assert not TEXT_METRICS["rouge_2"].applies("退")
