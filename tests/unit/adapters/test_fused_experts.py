"""A base that keeps its experts in fused tensors: what cannot be reached is not passed over in silence."""

import pytest
from tests.support.tiny_base import make_base

from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.adapters.targets import select
from graftwork.base.load import facts_from_config
from graftwork.core.errors import SpecError
from graftwork.core.spec import parse


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return facts_from_config(make_base(tmp_path_factory.mktemp("moe") / "mixtral", "mixtral"))


@pytest.mark.parametrize("target", ["all", "experts"])
def test_asking_for_what_they_hold_is_refused(facts, target):
    with pytest.raises(SpecError, match="keeps its experts in fused tensors"):
        select(parse(LoraSpec, {"targets": [target]}), METHODS["lora"], facts)


def test_asking_for_attention_is_fine(facts):
    chosen = select(parse(LoraSpec, {"targets": ["attention"]}), METHODS["lora"], facts)
    assert {place.role for place in chosen} == {"attention.q", "attention.k", "attention.v", "attention.out"}
