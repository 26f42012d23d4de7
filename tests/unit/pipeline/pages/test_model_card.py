"""The model card: what it says in both languages, and that no text in it becomes Markdown or HTML of its own."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.evaluated import RESULT

from graftwork.pipeline.pages.card_words import CARD
from graftwork.pipeline.pages.markdown import code, inline, quoted
from graftwork.pipeline.pages.model_card import CardFacts, model_card

HAN = re.compile(r"[\u4e00-\u9fff]")
FACTS = CardFacts(
    name="hotline",
    told={
        "intended_use": "Sorting tickets.\nBy staff.",
        "not_for": None,
        "data": "Our tickets, CC BY 4.0",
        "licence": "mit",
    },
    recipe={
        "base": "owner/model@0123abc",
        "dtype": "bfloat16",
        "adapter": {"method": "lora", "rank": 8, "targets": ["all"], "layers": None},
        "training": {"learning_rate": 5e-4},
    },
    recipe_digest="ee" * 32,
    card={
        "base": {"ref": "owner/model@0123abc", "weights": "aa" * 32, "template": "bb" * 32},
        "digest": "cc" * 32,
        "provenance": {"seed": 7, "data": {"train": "dd" * 32}, "versions": {"torch": "2.13.0"}},
    },
    training={"num_params": 4_884_480, "num_base_params": 134_515_008, "num_steps": 90},
    result=RESULT,
)


@pytest.fixture
def facts(report):
    return lambda **changes: replace(FACTS, **{"data": report(), **changes})


def test_the_card_says_all_that_was_asked_for(facts):
    card = model_card(facts())
    assert card.startswith('---\nlibrary_name: "peft"\n')
    assert 'base_model: "owner/model"' in card
    assert 'license: "mit"' in card
    assert "> Sorting tickets.\n> By staff." in card
    assert "2,299 rows read, 2,251 used, 48 kept back with reasons" in card
    assert "Personal data was found in 3 records; what was done with it: replaced by a word for its kind" in card
    assert "4,884,480 (3.6 % of the base's)" in card
    assert "| Accuracy | exact answers (share of answers) | 0.0\u2009% (−3.0 – 3.0\u2009%) | 75.0\u2009%" in card
    assert 'PeftModel.from_pretrained(base, "FOLDER")' in card
    for digest in ("aa", "bb", "cc", "dd", "ee"):
        assert digest * 32 in card


def test_the_card_says_the_same_in_chinese(facts):
    english, chinese = model_card(facts()), model_card(facts(), "zh")
    assert english.count("\n## ") == chinese.count("\n## ") == 8
    assert re.findall(r"[0-9a-f]{64}", english) == re.findall(r"[0-9a-f]{64}", chinese)
    headings = re.findall(r"\n## (.+)", chinese)
    assert all(HAN.search(heading) for heading in headings)
    for pair in CARD.values():
        assert HAN.search(pair[1])
        assert not HAN.search(pair[0])
        assert sorted(re.findall(r"\{(\w+)\}", pair[0])) == sorted(re.findall(r"\{(\w+)\}", pair[1]))


def test_what_nobody_told_and_what_was_not_looked_for_is_said(facts, report):
    off = {"mode": "off", "num_records": 0, "kinds": {}}
    card = model_card(facts(told={}, result=None, data=report(personal_data=off)))
    assert card.count("Nobody told") == 5
    assert "Personal data was not looked for." in card
    assert "It was not evaluated." in card
    assert "license" not in card


def test_limits_of_the_evaluation_stand_on_the_card(facts):
    card = model_card(facts())
    assert "There is no certificate" in card
    assert "consistency: beside its base, too few items" in card
    assert "There is no certificate" not in model_card(facts(has_certificate=True))


def test_an_adapter_that_other_tools_cannot_read_and_a_tuned_model_say_how_they_load(facts):
    assert "PeftModel" not in model_card(facts(is_exchangeable=False))
    model = model_card(facts(card={**FACTS.card, "kind": "model"}))
    assert 'AutoModelForCausalLM.from_pretrained("FOLDER")' in model
    assert "PeftModel" not in model


@given(st.text(max_size=60))
def test_text_from_outside_stays_text_on_one_line(text):
    told = inline(text)
    assert len(told.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>|`*\[\]#]", told)
    fenced = code(text)
    assert len(fenced.splitlines()) == 1
    assert not re.search(r"(?<!\\)\|", fenced)
    assert all(line.startswith(">") for line in quoted(text).splitlines())


def test_a_hostile_name_of_a_file_breaks_no_table(facts, report):
    files = [{"file": "a|b`<script>\n|.jsonl", "layout": "chat", "num_rows": 2299, "num_usable": 2265}]
    card = model_card(facts(data=report(sources=files)))
    (row,) = (line for line in card.splitlines() if ".jsonl" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert row.startswith("| ``a")
