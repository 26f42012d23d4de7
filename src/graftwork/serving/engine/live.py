"""A request under way, with its tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from graftwork.serving.asked import Ask, Finish, Said, Update
from graftwork.serving.engine.choosing import chosen, told
from graftwork.serving.inbox import Request

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.serving.engine.step import Voice


class Live(Request):
    """One request.

    Attributes:
        tokens: prompt and answer.
    """

    __slots__ = ("tokens", "voice")

    def __init__(self, ask: Ask, told: Callable[[Update], None], voice: Voice) -> None:
        super().__init__(ask, told)
        self.tokens, self.voice = list(ask.prompt_T), voice

    def say(self, logits_V: Tensor, best: int) -> Finish | None:
        """Choose the next token and tell it; why the request has ended, if it has.

        Args:
            logits_V: float32 at least.
            best: the most likely token.
        """
        ask, num_prompt = self.ask, len(self.ask.prompt_T)
        said = self.tokens[num_prompt:]
        token = chosen(logits_V, ask.sampling, said, best)
        self.tokens.append(token)
        finish: Finish | None = None
        if token in ask.stop_ids:
            finish = "stop"
        elif len(said) + 1 == ask.sampling.max_new_tokens:
            finish = "length"
        words: tuple[Said, ...] = () if finish == "stop" else (told(logits_V, token, ask.sampling),)
        logits = logits_V.float().clone() if ask.keeps_logits and not said else None
        self.tell(Update(said=words, finish=finish, cached_tokens=self.cached_tokens, logits_V=logits))
        return finish
