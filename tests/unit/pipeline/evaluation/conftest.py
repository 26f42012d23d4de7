"""Base and two adapters in one bank, a model of its own, and questions of all kinds."""

import pytest

from graftwork.adapters.bank import AdapterBank
from graftwork.evaluation.item import Question
from graftwork.pipeline.evaluation.questions import written
from graftwork.pipeline.evaluation.replies import question_key
from graftwork.pipeline.evaluation.subjects import at_hand
from graftwork.pipeline.sides import Side


def user(text):
    """A conversation that asks `text`."""
    return ({"role": "user", "content": text},)


QUESTIONS = (
    Question(prompt=user("say ab"), max_new_tokens=5),
    Question(prompt=user("and now a rather longer thing to say, please"), max_new_tokens=5),
    Question(prompt=user("one more"), max_new_tokens=3),
    Question(prompt=user("which colour has the sky on a clear day?"), options=("blue", "green", "no colour at all")),
    Question(prompt=user("the capital of France"), options=("Paris", "Rome")),
    Question(prompt=(), options=("A text that stands by itself.", "天空是蓝色的。"), is_text=True),
)


@pytest.fixture
def questions(bank):
    """The questions above, as the tiny base reads them, by name."""
    return {question_key(one): written(one, bank.base.chat, None) for one in QUESTIONS}


@pytest.fixture
def subjects(bank, lively, load):
    """Base, two adapters and another model."""
    rows = {"base": (), "first": (lively(bank, 1),), "second": (lively(bank, 2, rank=2),)}
    other = AdapterBank(load("qwen2"))
    told = [
        at_hand(Side(bank=bank, row=row), name=name, kind="adapter" if row else "base") for name, row in rows.items()
    ]
    return [*told, at_hand(Side(bank=other), name="other", kind="full")]
