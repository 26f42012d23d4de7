"""Prompt tuning: trained vectors in front of the tokens' embeddings.

    inputs = [soft_1 ... soft_P, embedding(token_1), embedding(token_2), ...]

Legend: P positions, V tokens in the vocabulary, H features.

Source: Lester et al. 2021, https://arxiv.org/abs/2104.08691, sections 2 and 2.1.
Departs from it: rows of the vocabulary are drawn from all of it, not from its most common tokens; in a causal decoder
the soft tokens are read once an adapter, not once a row (`sites.context`), which gives the same logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.targets import EmbeddingSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.form import Frozen
    from graftwork.base.facts import EmbeddingPlace

NUM_SAMPLED = 1024
"""Tokens that the spread of the vocabulary is taken from."""


class PromptTuningSpec(EmbeddingSpec):
    """A request for prompt tuning."""

    method: Literal["prompt_tuning"] = "prompt_tuning"
    """Says which method this is."""

    init: Literal["vocabulary", "normal"] = "vocabulary"
    """How the vectors start: as embeddings of random tokens, or as numbers with the mean and spread of all embeddings.
    The vocabulary learns faster (Lester et al., figure 3b)."""


def shapes(spec: PromptTuningSpec, place: EmbeddingPlace) -> Shapes:
    """One vector a position."""
    return {"soft_PH": (spec.positions, place.features)}


def init(spec: PromptTuningSpec, frozen: Frozen, generator: Generator) -> Params:
    """Vectors like those of the vocabulary, as the base scales them."""
    import torch  # here, so that what only reads specs and shapes never loads it

    num_tokens = frozen.weight.shape[0]
    if spec.init == "vocabulary":
        tokens_P = torch.randint(num_tokens, (spec.positions,), generator=generator)
        return {"soft_PH": frozen.looked_up(tokens_P).float().cpu()}
    sample = frozen.looked_up(torch.randint(num_tokens, (NUM_SAMPLED,), generator=generator)).float().cpu()
    soft_PH = torch.empty(spec.positions, sample.shape[1])
    return {"soft_PH": soft_PH.normal_(float(sample.mean()), float(sample.std()), generator=generator)}


def act(spec: PromptTuningSpec, params: Params) -> Tensor:
    """The vectors themselves: soft_PH."""
    return params["soft_PH"]


METHODS.add(
    "prompt_tuning",
    Method(
        name="prompt_tuning",
        site="input_embedding",
        spec=PromptTuningSpec,
        source="https://arxiv.org/abs/2104.08691",
        shapes=shapes,
        init=init,
        act=act,
        neutral="no",
    ),
)
