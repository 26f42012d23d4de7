"""The measure measures, and the bars hold on names that no recogniser has in its lists."""

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.labelled import labelled
from graftwork.data.privacy.lists import sections
from graftwork.data.privacy.measure import BAR_PRECISION, Case, Label, Measures, Rate, measured
from graftwork.data.privacy.names_en import PART, kind
from graftwork.data.privacy.spec import PrivacySpec

ALL = Deidentifier(parse(PrivacySpec, {}), None)


@pytest.fixture(scope="module", params=["zh", "en"])
def told(request: pytest.FixtureRequest) -> tuple[str, Measures]:
    return request.param, measured(labelled(request.param, seed=2026, num_cases=1000), ALL)


def test_every_bar_holds(told: tuple[str, Measures]):
    _, measures = told
    short = [(row.kind, row.recall.value, row.bar) for row in measures.rows if not row.passes]
    assert not short, measures.misses[:20]


def test_precision_holds(told: tuple[str, Measures]):
    language, measures = told
    value = measures.row("all", language).precision.value
    assert value is not None
    assert value >= BAR_PRECISION, measures.false_alarms[:20]


def test_a_case_that_is_missed_and_a_false_alarm_are_counted():
    cases = [
        Case("手机13800138000", "zh", (Label("phone", 2, 13),)),
        Case("手机13900139000", "zh", ()),
        Case("暗号是芝麻", "zh", (Label("phone", 3, 5),)),
    ]
    row = measured(cases, ALL).row("phone", "zh")
    assert (row.recall, row.precision) == (Rate(1, 2), Rate(1, 2))


def test_punctuation_at_the_ends_of_a_label_does_not_count():
    case = Case("（13800138000）", "zh", (Label("phone", 0, 13),))
    assert measured([case], ALL).row("phone", "zh").recall == Rate(1, 1)


def test_half_a_value_is_not_found():
    case = Case("13800138000 内线", "zh", (Label("phone", 0, 14),))
    assert measured([case], ALL).row("phone", "zh").recall == Rate(0, 1)


def test_the_same_seed_gives_the_same_cases_and_labels_lie_on_their_values():
    assert labelled("zh", seed=3, num_cases=30) == labelled("zh", seed=3, num_cases=30)
    assert labelled("zh", seed=3, num_cases=30) != labelled("zh", seed=4, num_cases=30)
    case = next(c for c in labelled("en", seed=1, num_cases=50) if any(label.kind == "email" for label in c.labels))
    assert all(0 <= label.start < label.end <= len(case.text) for label in case.labels)


def test_most_sample_names_are_in_no_list_of_the_recognisers():
    names = [n for h in ("en given", "en surnames") for n in " ".join(sections("sample_names.txt")[h]).split()]
    unseen = [name for name in names if not kind(name) & PART]
    assert len(unseen) / len(names) > 0.5


def test_another_language_is_refused():
    with pytest.raises(SpecError, match="expected one of zh, en"):
        labelled("fr", seed=0, num_cases=1)
    with pytest.raises(SpecError, match="expected a value >= 1"):
        labelled("zh", seed=0, num_cases=0)
