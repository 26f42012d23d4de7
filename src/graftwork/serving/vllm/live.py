"""A request that vLLM answers, and what it says in our words."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import torch

from graftwork.serving.asked import Ask, Finish, Said, Update
from graftwork.serving.inbox import Request

FINISHES: dict[str | None, Finish | None] = {None: None, "stop": "stop", "length": "length", "abort": "cancelled"}
"""vLLM's reasons; any other is a failure."""


class Live(Request):
    """One request.

    Attributes:
        num_said: tokens that were told.
        has_begun: whether vLLM has read its prompt.
    """

    __slots__ = ("_vocab_size", "has_begun", "num_said")

    def __init__(self, ask: Ask, told: Callable[[Update], None], vocab_size: int) -> None:
        super().__init__(ask, told)
        self._vocab_size, self.has_begun, self.num_said = vocab_size, False, 0

    def say(self, output: Any) -> Finish | None:
        """Tell what came in one step of vLLM; why the request has ended, if it has.

        Args:
            output: vLLM's `RequestOutput`, with what is new alone.
        """
        (new,) = output.outputs
        tokens, logprobs = list(new.token_ids), new.logprobs
        is_first, self.has_begun = not self.has_begun, True
        self.cached_tokens = output.num_cached_tokens or 0
        finish = FINISHES.get(new.finish_reason, "failed")
        reason = f"vLLM ended it: {new.finish_reason}." if finish == "failed" else ""
        said = [self._said(token, logprobs, position) for position, token in enumerate(tokens)]
        if not all(one.logprob is None or isfinite(one.logprob) for one in said):
            finish, reason, said = "failed", "the adapter's logits are not finite.", []
        if finish == "stop" and said and said[-1].token in self.ask.stop_ids:
            said.pop()
        self.num_said += len(said)
        if self.ask.sampling.logprobs is None:
            said = [Said(one.token) for one in said]
        all_V = self._all_logprobs(logprobs) if is_first and self.ask.keeps_logits and finish != "failed" else None
        self.tell(
            Update(said=tuple(said), finish=finish, reason=reason, cached_tokens=self.cached_tokens, logprobs_V=all_V)
        )
        return finish

    def _said(self, token: int, logprobs: Any, position: int) -> Said:
        """A token with its probability: the first of its position, before the most likely ones."""
        start, end = logprobs.start_indices[position], logprobs.end_indices[position]
        assert logprobs.token_ids[start] == token, "vLLM tells the chosen token first"
        num = min(self.ask.sampling.logprobs or 0, end - start - 1)
        likely = slice(start + 1, start + 1 + num)
        pairs = zip(logprobs.token_ids[likely], logprobs.logprobs[likely], strict=True)
        return Said(token, logprobs.logprobs[start], tuple(pairs))

    def _all_logprobs(self, logprobs: Any) -> torch.Tensor:
        logprobs_V = torch.full((self._vocab_size,), float("nan"))
        where = slice(logprobs.start_indices[0], logprobs.end_indices[0])
        logprobs_V[list(logprobs.token_ids[where])] = torch.tensor(list(logprobs.logprobs[where]))
        return logprobs_V
