"""Folding keeps every place, and what is pre-filtered is never needed."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.spec import parse
from graftwork.data.privacy.choice import chosen
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.labelled import labelled
from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.spec import PrivacySpec

ALL = Deidentifier(parse(PrivacySpec, {}), None)


@given(st.text(max_size=60))
def test_a_folded_text_is_as_long_as_before(text: str):
    assert len(folded(text)) == len(text)


@given(st.text(alphabet="０１２３ＡＢ－＠．abc12-@. 王小明", max_size=40))
def test_folding_twice_is_folding_once(text: str):
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=80))
def test_any_text_gives_places_inside_it_in_order_and_apart(text: str):
    places = ALL.find(text)
    assert all(0 <= f.start < f.end <= len(text) for f in places)
    assert all(a.end <= b.start for a, b in itertools.pairwise(places))


def test_a_recogniser_that_is_not_asked_would_have_found_nothing():
    for language in ("zh", "en"):
        for case in labelled(language, seed=11, num_cases=150):
            page = Page(case.text)
            for by in chosen(()):
                asked = page.most_digits >= by.min_digits
                asked = asked and (page.is_han or not by.is_han) and (page.is_latin or not by.is_latin)
                assert asked or not list(by.find(Page(case.text))), (by.name, case.text)
