"""What is asked of an engine, and what it tells back. Values: no tensor, no socket.

Legend: T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.bank import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """The version that answers a request from its first token to its last, whatever its name points to meanwhile.

    Attributes:
        name: as the client asked for it.
        version: digest of the version in the registry; None for the base alone.
        content: digest of what the adapters compute, that of the base's weights where there are none. Keys and values
            of one content are never used for another.
        row: what of the bank answers.
    """

    name: str
    version: str | None
    content: str
    row: Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How each next token is chosen.

    Attributes:
        max_new_tokens: at least 1.
        temperature: 0 takes the most likely token; else logits are divided by it.
        top_k: only so many of the most likely tokens; all when None.
        top_p: only the most likely tokens that have this share of the probability together.
        seed: what chance is drawn from. Whoever asks draws one where the client gives none, for a receipt to say it.
        logprobs: so many of the most likely tokens are told beside the chosen one; none of either when None.
        frequency_penalty: taken off a token's logit for each time that it was said.
        presence_penalty: taken off once, if it was said at all.
        logit_bias: added to logits, by token.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0
    logprobs: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request.

    Attributes:
        id: no other that is under way has it.
        tenant: who shares the machine with whom.
        stop_ids: tokens that end the answer; such a token is not told.
        keeps_logits: whether the logits behind the whole prompt, or what the engine knows of them, are told with the
            first token; for proofs.
        is_urgent: goes before all others; for proofs, which others wait for.
    """

    id: str
    tenant: str
    served: Served
    prompt_T: tuple[int, ...]
    sampling: Sampling
    stop_ids: frozenset[int]
    keeps_logits: bool = False
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One token of an answer.

    Attributes:
        logprob: natural logarithm of its probability, before temperature and whatever else bends it; None if not asked.
        likely: the most likely tokens and theirs, the first one first.
    """

    token: int
    logprob: float | None = None
    likely: tuple[tuple[int, float], ...] = ()


Finish = Literal["stop", "length", "cancelled", "failed"]
"""stop: a stop token came. length: max_new_tokens were said. cancelled: `cancel`. failed: `Update.reason` says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """What became of a request in one step; the last one has `finish`, and nothing comes after it.

    Attributes:
        cached_tokens: of the prompt, keys and values that were there already; with the first update.
        logits_V: float32, where they were asked for; with the first update.
        logprobs_V: float32, in place of logits, from an engine that tells none: natural logarithms of the
            probabilities of all tokens, which are logits less a number that is one for all of them.
    """

    said: tuple[Said, ...] = ()
    finish: Finish | None = None
    reason: str = ""
    cached_tokens: int = 0
    logits_V: Tensor | None = None
    logprobs_V: Tensor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineReport:
    """How an engine stands.

    Attributes:
        waiting: requests without a place.
        running: requests with one.
        kv_tokens: places for keys and values that requests hold.
        kv_tokens_kept: places that hold beginnings for later requests, free for any other use; None where
            the engine does not tell.
        steps: forward passes since the start.
        prompt_tokens: computed since the start, those from the cache not among them.
        new_tokens: said since the start.
    """

    waiting: int
    running: int
    kv_tokens: int
    kv_tokens_kept: int | None
    kv_tokens_total: int
    steps: int
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
