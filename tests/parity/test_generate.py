"""Answers of a mixed batch are those of each prompt alone, token by token."""

import json

import pytest
from tests.support.greedy import naive
from tests.support.tiny_base import FAMILIES, make_base

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.core.errors import SpecError, WorkError
from graftwork.serving.generate import answers

SAID = ("hi", "what is the longest of these prompts?", "", "why")


def prompts():
    return [[{"role": "user", "content": text}] for text in SAID]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_answers_as_each_prompt_alone(load, lively, family):
    bank = AdapterBank(load(family))
    a, b = lively(bank, 1, rank=8, alpha=64.0), lively(bank, 2)
    rows = [a, None, b, a]
    mixed = answers(bank, prompts(), rows, max_new_tokens=12)
    alone = [answers(bank, [p], [row], max_new_tokens=12)[0] for p, row in zip(prompts(), rows, strict=True)]
    by_hand = [naive(bank, p, row, 12) for p, row in zip(prompts(), rows, strict=True)]
    assert mixed == alone == by_hand
    assert mixed != answers(bank, prompts(), [None] * 4, max_new_tokens=12)


@pytest.mark.parametrize("max_new_tokens", [1, 5])
def test_an_answer_is_no_longer_than_asked(load, max_new_tokens):
    bank = AdapterBank(load())
    (said,) = answers(bank, prompts()[:1], [None], max_new_tokens=max_new_tokens)
    assert said == naive(bank, prompts()[0], None, max_new_tokens)


def test_settings_that_came_with_the_base_do_not_bend_a_greedy_answer(tmp_path):
    folder = make_base(tmp_path / "base")
    told = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**told, "repetition_penalty": 5.0}))
    bank = AdapterBank(load_base(str(folder), dtype="float64"))
    (said,) = answers(bank, prompts()[:1], [None], max_new_tokens=24)
    assert said == naive(bank, prompts()[0], None, 24)


def test_a_prompt_that_leaves_no_room_is_refused_by_number(load):
    bank = AdapterBank(load())
    asked = [*prompts()[:1], [{"role": "user", "content": "x" * 500}]]
    length = len(bank.base.chat.prompt(asked[1]))
    with pytest.raises(SpecError) as raised:
        answers(bank, asked, [None, None], max_new_tokens=20)
    assert str(raised.value) == f"prompt 2 = '{length} tokens': expected at most 492 for this base"


def test_a_prompt_that_just_fits_is_answered(load):
    bank = AdapterBank(load())
    room = 512 - len(bank.base.chat.prompt([{"role": "user", "content": ""}])) - 3
    fits, too_long = ([{"role": "user", "content": "x" * n}] for n in (room, room + 1))
    assert len(answers(bank, [fits], [None], max_new_tokens=3)) == 1
    with pytest.raises(SpecError):
        answers(bank, [too_long], [None], max_new_tokens=3)


def test_other_rows_than_prompts_are_refused(load, lively):
    bank = AdapterBank(load())
    with pytest.raises(WorkError, match="rows"):
        answers(bank, prompts()[:2], [lively(bank)], max_new_tokens=2)


def test_generating_changes_no_byte_of_the_base(load, lively):
    bank = AdapterBank(load())
    before = bank.base.tensor_digest()
    answers(bank, prompts(), [lively(bank), None, None, None], max_new_tokens=3)
    assert bank.base.tensor_digest() == before
