"""Folding keeps every place, and what is pre-filtered is never needed."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.spec import parse
from graftwork.data.privacy.asking import Asking
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
    asking = Asking(chosen(()))
    for language in ("zh", "en"):
        cases = labelled(language, seed=11, num_cases=150)
        for text in (*(case.text for case in cases), "\n".join(case.text for case in cases[:20])):
            page = Page(text)
            asked = {by.name for by in asking.about(page)}
            for by in chosen(()):
                assert by.name in asked or not list(by.find(Page(text))), (by.name, text)
