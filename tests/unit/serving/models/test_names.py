"""What can be the name of a model, and what cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.registry.stages import NAME
from graftwork.serving.models.names import SERVED, Called, called, called_text, unknown


@pytest.mark.parametrize(
    "text",
    ["", "Triage", "triage:", "triage:retired", "triage@", "triage@12345", "triage@XYZXYZ", "triage:canary@123456",
     "triage@" + "0" * 65, "-x", "a" * 101, "triage\n", "../x", "三"],
)  # fmt: skip
def test_no_name(text):
    assert called(text) is None


@given(st.from_regex(NAME, fullmatch=True), st.sampled_from(SERVED))
def test_a_name_at_a_stage_is_read_back(name, stage):
    assert called(called_text(name, stage)) == Called(name=name, stage=stage, prefix=None)


@given(st.from_regex(NAME, fullmatch=True), st.from_regex(r"[0-9a-f]{6,64}", fullmatch=True))
def test_a_name_with_a_version_is_read_back(name, prefix):
    assert called(f"{name}@{prefix}") == Called(name=name, stage="production", prefix=prefix)


def test_the_words_for_what_is_not_there():
    assert str(unknown("triag", ["base", "triage"])) == (
        "no model 'triag'. Did you mean 'triage'? /v1/models lists what there is."
    )
    assert str(unknown("qqqq", ["base"])) == "no model 'qqqq'. /v1/models lists what there is."
