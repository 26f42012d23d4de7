"""What is asked of vLLM is exactly what was asked, or refused with all that is wrong."""

import pytest
from tests.support.asking import ask

from graftwork.core.errors import SpecError
from graftwork.serving.vllm.sampling import params_of, refuse_impossible

ROOM = {"vocab_size": 100, "context_tokens": 50, "kv_tokens": 40}


def problems(asked, **room):
    with pytest.raises(SpecError) as caught:
        refuse_impossible(asked, **{**ROOM, **room})
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_everything_that_was_asked_is_passed_on():
    asked = ask(
        [1, 2],
        stop_ids=(9, 3),
        max_new_tokens=7,
        temperature=0.5,
        top_k=4,
        top_p=0.9,
        seed=11,
        logprobs=3,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        logit_bias={5: 2.0},
    )
    refuse_impossible(asked, **ROOM)
    assert params_of(asked) == {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_k": 4,
        "top_p": 0.9,
        "seed": 11,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "logit_bias": {5: 2.0},
        "logprobs": 3,
        "flat_logprobs": True,
        "stop_token_ids": [3, 9],
        "ignore_eos": True,
        "detokenize": False,
    }


def test_what_was_not_asked_is_not_passed_on():
    told = params_of(ask([1]))
    assert (told["top_k"], told["top_p"], told["seed"], told["logit_bias"]) == (0, 1.0, None, None)
    assert (told["logprobs"], told["stop_token_ids"]) == (0, [])
    assert params_of(ask([1], keeps_logits=True))["logprobs"] == -1


def test_what_vllm_would_take_for_something_else_is_refused():
    assert problems(ask([1], temperature=0.001)) == {
        "temperature": "temperature = 0.001: expected 0, or 0.01 to 2. vLLM takes no other."
    }
    assert list(problems(ask([1], temperature=1.0, seed=-1))) == ["seed"]


def test_all_that_is_wrong_is_told_at_once():
    wrong = ask(
        [1, 100],
        stop_ids=(-1,),
        max_new_tokens=0,
        temperature=3.0,
        top_k=0,
        top_p=0.0,
        seed=2**63,
        logprobs=101,
        frequency_penalty=2.5,
        presence_penalty=float("nan"),
        logit_bias={100: 1.0},
    )
    assert set(problems(wrong)) == {
        "max_tokens", "temperature", "top_k", "top_p", "seed", "top_logprobs", "frequency_penalty", "presence_penalty",
        "logit_bias", "messages", "stop",
    }  # fmt: skip


@pytest.mark.parametrize(("num_prompt", "max_new", "what"), [(30, 21, "50 tokens"), (30, 11, "40 tokens"), (0, 1, "")])
def test_what_has_no_room_is_refused(num_prompt, max_new, what):
    told = problems(ask([1] * num_prompt, max_new_tokens=max_new), context_tokens=50)
    assert what in " ".join(told.values())


def test_what_just_fits_is_taken():
    refuse_impossible(ask([1] * 30, max_new_tokens=10), **ROOM)
