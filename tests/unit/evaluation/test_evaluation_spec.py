"""What a recipe may ask of the evaluation."""

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse, plain
from graftwork.evaluation.spec import EvaluationSpec


def test_a_bare_name_is_short_for_a_mapping():
    short, long = (
        {"dimensions": [one], "baseline": b} for one, b in (("accuracy", "full"), ({"kind": "accuracy"}, {}))
    )
    assert parse(EvaluationSpec, short) == parse(EvaluationSpec, long)


def test_what_was_asked_fed_back_asks_the_same():
    asked = {
        "dimensions": ["forgetting", {"kind": "efficiency", "repetitions": 5}],
        "baseline": {"rates": [1e-5]},
        "margins": {"forgetting.choice": 0.02},
        "general": {"path": "a.jsonl"},
    }
    spec = parse(EvaluationSpec, asked)
    assert parse(EvaluationSpec, plain(spec)) == spec


def test_an_evaluation_without_dimensions_says_nothing_of_them():
    assert plain(parse(EvaluationSpec, {})) == {"answers": 100, "max_new_tokens": 64, "batch_size": 16}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"dimensions": ["eficiency"]}, "Did you mean 'efficiency'?"),
        ({"dimensions": [{"kind": "eficiency"}]}, "Did you mean 'efficiency'?"),
        ({"dimensions": [{"kind": "efficiency", "repetitons": 5}]}, "Did you mean 'repetitions'?"),
        ({"dimensions": ["accuracy", "accuracy"]}, "each dimension once"),
        ({"dimensions": ["accuracy"], "margins": {"robustness.drop": 0.1}}, "a dimension that is asked"),
        ({"dimensions": ["accuracy"], "general": "of"}, "Did you mean 'off'?"),
        ({"margins": {"accuracy.exact": 0.1}}, "nothing without dimensions"),
        ({"general": "off"}, "nothing without dimensions"),
        ({"dimensions": ["accuracy"], "baseline": {"rates": []}}, "1 or more entries"),
    ],
)
def test_what_cannot_be_is_refused_in_words(asked, told):
    with pytest.raises(SpecError) as raised:
        parse(EvaluationSpec, asked)
    assert told in str(raised.value)
