"""The next token: chance as asked, from the seed alone."""

from collections import Counter

import pytest
import torch

from graftwork.serving.asked import Sampling
from graftwork.serving.engine.choosing import chosen, told

LOGITS = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))


def shares(num=4000, **asked):
    """How often each token comes, over seeds."""
    counts = Counter(chosen(LOGITS, Sampling(max_new_tokens=1, seed=seed, **asked), []) for seed in range(num))
    return [counts[token] / num for token in range(4)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.0}, [1, 0, 0, 0]),
        ({"top_k": 2}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.6}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.5}, [1, 0, 0, 0]),
        ({"top_p": 1e-9}, [1, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.8}, [0.625, 0.375, 0, 0]),
        ({"temperature": 2.0}, [0.379, 0.294, 0.208, 0.120]),
        ({"logit_bias": {0: -100.0}}, [0, 0.6, 0.3, 0.1]),
    ],
)
def test_tokens_come_as_often_as_asked(asked, expected):
    assert shares(**asked) == pytest.approx(expected, abs=0.03)


def test_penalties_count_what_was_said():
    greedy = {"max_new_tokens": 9, "temperature": 0.0}
    assert chosen(LOGITS, Sampling(presence_penalty=0.6, **greedy), [0]) == 1
    assert chosen(LOGITS, Sampling(presence_penalty=0.4, **greedy), [0, 0, 0]) == 0
    assert chosen(LOGITS, Sampling(frequency_penalty=0.4, **greedy), [0, 0]) == 1


def test_the_same_seed_draws_the_same_and_every_token_anew():
    asked = Sampling(max_new_tokens=50, seed=7)
    flat = torch.zeros(1000)

    def text():
        said = []
        for _ in range(50):
            said.append(chosen(flat, asked, said))
        return said

    assert text() == text()
    assert len(set(text())) > 40


def test_a_long_tail_is_cut_where_sorting_all_would_cut_it():
    logits = torch.randn(49152, generator=torch.Generator().manual_seed(0)) * 3
    ordered, tokens = torch.sort(torch.softmax(logits.double() / 1.5, -1), descending=True)
    for top_p in (0.05, 0.5, 0.95, 0.999999):
        allowed = set(tokens[: int((ordered.cumsum(-1) - ordered < top_p).sum())].tolist())
        asked = [Sampling(max_new_tokens=1, temperature=1.5, top_p=top_p, seed=seed) for seed in range(200)]
        assert {chosen(logits, one, []) for one in asked} <= allowed


def test_logprobs_are_the_models_own():
    asked = Sampling(max_new_tokens=1, temperature=0.3, logprobs=2, logit_bias={3: 50.0})
    said = told(LOGITS, 3, asked)
    assert said.logprob == pytest.approx(-2.9957, abs=1e-3)
    assert [token for token, _ in said.likely] == [0, 1]
    assert said.likely[0][1] == pytest.approx(-0.6931, abs=1e-3)
