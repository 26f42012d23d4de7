"""A side of ours as a model of lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness, MIT): its
interface, version 0.4. This file alone imports it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from graftwork.core.errors import Problem, SpecError
from graftwork.pipeline.harness.answering import generated, likelihoods
from graftwork.pipeline.sides import Side

NEW_TOKENS = 256
"""Of an answer at most, where a task does not say."""

GREEDY = {"do_sample": (False, None), "temperature": (0, 0.0, None)}
"""What a task may say of how to answer."""


class BankModel(TemplateLM):
    """Base or adapters of a bank, for one run of the harness.

    Attributes:
        num_cut: contexts that were cut on the left, having no room; told with the result.
    """

    def __init__(self, side: Side, *, batch_size: int, context_tokens: int) -> None:
        super().__init__()
        self.side, self.batch_size, self.context_tokens = side, batch_size, context_tokens
        self.tokenizer = side.bank.base.chat.tokenizer
        self.num_cut = 0

    @property
    def eot_token_id(self) -> int:
        """What ends a text."""
        told = self.tokenizer.eos_token_id
        return int(told if told is not None else min(self.side.bank.base.chat.stop_ids))

    @property
    def prefix_token_id(self) -> int:
        """What a text begins with whose first token is weighed too."""
        told = self.tokenizer.bos_token_id
        return int(told) if told is not None else self.eot_token_id

    @property
    def tokenizer_name(self) -> str:
        """Names the tokenizer in caches."""
        return str(self.side.bank.base.fingerprint.tokenizer)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as text, by the base's own template."""
        text: str = self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Text as tokens; what a text already begins with is not put there twice."""
        begins = self.tokenizer.bos_token and string.startswith(self.tokenizer.bos_token)
        special = not begins if add_special_tokens is None else add_special_tokens
        tokens: list[int] = self.tokenizer.encode(string, add_special_tokens=special)
        return tokens

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any) -> list[Any]:
        asked = [self._fitted(context, rest) for _, context, rest in requests]
        return [
            (one.log_likelihood, one.is_greedy) for one in likelihoods(self.side, asked, batch_size=self.batch_size)
        ]

    def loglikelihood_rolling(self, requests: Iterable[Any], disable_tqdm: bool = False) -> list[float]:
        """Of whole texts, each token weighed once, in windows of the base's context."""
        each = [self._windows(request.args[0]) for request in requests]
        flat = [window for windows in each for window in windows]
        weighed = iter(likelihoods(self.side, flat, batch_size=self.batch_size))
        return [sum(next(weighed).log_likelihood for _ in windows) for windows in each]

    def generate_until(self, requests: Iterable[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy answers.

        Raises:
            SpecError: a task wants them drawn at random.
        """
        return [text for batch in self._batches(list(requests)) for text in batch]

    def _batches(self, requests: Sequence[Any]) -> Iterable[list[str]]:
        told = [_asked(request.args[1]) for request in requests]
        at = 0
        while at < len(requests):
            end = at + 1
            while end < len(requests) and end - at < self.batch_size and told[end] == told[at]:
                end += 1
            until, most = told[at]
            prompts = [self._prompt(request.args[0], most) for request in requests[at:end]]
            yield generated(self.side, prompts, until=until, max_new_tokens=most)
            at = end

    def _prompt(self, text: str, most: int) -> list[int]:
        tokens = self.tok_encode(text)
        room = self.context_tokens - most
        if room < 1:
            raise SpecError([Problem("max_gen_toks", most, f"less than the base's context of {self.context_tokens}")])
        self.num_cut += len(tokens) > room
        return tokens[-room:]

    def _fitted(self, context: list[int], rest: list[int]) -> tuple[list[int], list[int]]:
        room = self.context_tokens + 1 - len(rest)  # the last token is foretold and never read
        if room < 1:
            expected = f"at most {self.context_tokens}, which is the base's context"
            raise SpecError([Problem("task", f"a continuation of {len(rest)} tokens", expected)])
        self.num_cut += len(context) > room
        return context[-room:], rest

    def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.context_tokens,
            context_len=1,
        )
        return [(list(context), list(rest)) for context, rest in map(make_disjoint_window, windows)]


def _asked(told: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Where a task wants an answer to end, and how long it may be."""
    problems = [
        Problem(f"generation_kwargs.{name}", told[name], "a task with greedy answers", "Answers here are never drawn.")
        for name, allowed in GREEDY.items()
        if name in told and told[name] not in allowed
    ]
    if problems:
        raise SpecError(problems)
    until = told.get("until") or ()
    most = told.get("max_gen_toks") or told.get("max_new_tokens") or NEW_TOKENS
    return ((until,) if isinstance(until, str) else tuple(until)), int(most)
