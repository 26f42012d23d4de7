"""What the pages say: in both languages, for everything the data room has a name for."""

import re
from string import Formatter

import pytest

import graftwork.data.privacy.recognisers
import graftwork.data.quality.record_checks
import graftwork.data.quality.whole_checks
import graftwork.evaluation.dimensions
import graftwork.evaluation.perturbations  # noqa: F401  these fill the catalogs
from graftwork.data.privacy.recogniser import RECOGNISERS
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.quality.check import CHECKS
from graftwork.data.quality.whole import WHOLE_CHECKS
from graftwork.data.tally import STEPS
from graftwork.evaluation.dimension import DIMENSIONS
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS
from graftwork.pipeline.pages import evaluation_words, metric_words
from graftwork.pipeline.pages.glossary import GLOSSARY
from graftwork.pipeline.pages.words import LABELS, TERMS, label, repair, term

MEANINGS = (*GLOSSARY, *evaluation_words.GLOSSARY)
ALL = {**LABELS, **TERMS, **{pair[0]: pair for entry in MEANINGS for pair in entry}}
HAN = re.compile(r"[\u4e00-\u9fff]")
WITHOUT_CHINESE = {"made.graftwork", "Token", "caption_value", "caption_apart"}
WITHOUT_CHINESE |= {f"metric.{name}" for name in ("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l")}


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


def test_every_dimension_metric_and_disturbance_has_a_word_and_says_in_chinese_what_it_is():
    missing = []
    for name in DIMENSIONS:
        wanted = [f"dimension.{name}"]
        for metric in DIMENSIONS[name].metrics:
            wanted += [f"metric.{metric.name}", f"unit.{metric.unit}"]
        missing += [key for key in wanted if key not in TERMS]
        abouts = [name, *(f"{name}.{metric.name}" for metric in DIMENSIONS[name].metrics)]
        missing += [key for key in abouts if not HAN.search(metric_words.ABOUT.get(key, ""))]
    missing += [f"disturbance.{name}" for name in PERTURBATIONS if f"disturbance.{name}" not in TERMS]
    assert not missing


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
