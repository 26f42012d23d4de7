"""The base's own chat template: text to tokens with the learned ones marked exactly.

What the assistant says is found by rendering, never by searching for text: the conversation rendered up to the turn,
with
the generation prompt, must be a prefix of the conversation rendered through the turn. What lies between is what the
model
will have to produce, end-of-turn token included. A template that rewrites earlier turns has no such prefix and is
refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError

from graftwork.core.errors import Problem, SpecError

Message = Mapping[str, str]
"""One turn: `role` (system, user, assistant, tool) and `content`."""

DATED = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
"""Put before templates that write today's date: a run resumed tomorrow would train on other tokens. It is the date that
Llama 3's template falls back to."""

Marked = tuple[list[int], list[bool]]
"""tokens_T and is_target_T."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How this base writes a conversation.

    Attributes:
        tokenizer: a fast tokenizer of `transformers`.
        template: the template's text; empty when the base has none.
        stop_ids: tokens that end an answer.
    """

    tokenizer: Any
    template: str
    stop_ids: frozenset[int]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """tokens_T of a conversation up to and with the generation prompt: what the model continues."""
        self._refuse_control_tokens(messages)
        if not self.template:
            _refuse_roles(messages, (["user"],))
            return self._tokens(messages[0]["content"], special=True)[0]
        return self._tokens(self._render(messages, prompt=True), special=False)[0]

    def marked(self, messages: Sequence[Message]) -> Marked:
        """Tokens of a conversation, true where the assistant speaks.

        Raises:
            SpecError: the template refuses the conversation or rewrites earlier turns, a turn holds a control token,
                or a token straddles the border of an answer.
        """
        self._refuse_control_tokens(messages)
        if self.template:
            text, spans = self._chat_spans(messages)
        else:
            text, spans = _plain_spans(messages)
        tokens_T, offsets_T2 = self._tokens(text, special=not self.template)
        is_target_T = [False] * len(tokens_T)
        for begin, end in spans:
            before_T, _ = self._tokens(text[:begin], special=not self.template)
            if tokens_T[: len(before_T)] != before_T:  # offsets alone miss it where a tokenizer trims them
                self._refuse_border(text[begin:end])
            self._mark(is_target_T, tokens_T, offsets_T2, (begin, end))
        if not self.template and not self._is_stop(tokens_T[-1:]):
            tokens_T, is_target_T = [*tokens_T, self._end_id()], [*is_target_T, True]
        return tokens_T, is_target_T

    def _mark(self, is_target_T: list[bool], tokens_T: list[int], offsets: Any, span: tuple[int, int]) -> None:
        begin, end = span
        inside = [i for i, (a, b) in enumerate(offsets) if b > a and a < end and b > begin]
        if any(offsets[i][0] < begin or offsets[i][1] > end for i in inside):
            self._refuse_border(self.tokenizer.decode([tokens_T[i] for i in inside]))
        stops = [i for i in inside if tokens_T[i] in self.stop_ids]
        last = stops[-1] if stops else (inside[-1] if inside else -1)
        for i in inside:
            is_target_T[i] = i <= last  # what a template writes after the end of turn is not the model's to say

    def _refuse_border(self, answer: str) -> None:
        expected = "an answer whose first and last character start and end a token"
        hint = "White space at its border merges with what stands beside it; strip it."
        raise SpecError([Problem("answer", answer, expected, hint)])

    def _chat_spans(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        text, spans = self._render(messages, prompt=False), []
        for i, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self._render(messages[:i], prompt=True)
                through = self._render(messages[: i + 1], prompt=False)
                if not (through.startswith(before) and text.startswith(through)):
                    expected = "a chat template that only appends"
                    hint = f"This base's template rewrites earlier turns at turn {i + 1}; give shorter conversations."
                    raise SpecError([Problem("messages", message["content"], expected, hint)])
                spans.append((len(before), len(through)))
        return text, spans

    def _render(self, messages: Sequence[Message], *, prompt: bool) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                [dict(m) for m in messages],
                chat_template=DATED + self.template if "strftime_now" in self.template else self.template,
                tokenize=False,
                add_generation_prompt=prompt,
            )
        except (TemplateError, ValueError, TypeError, IndexError) as error:
            roles = [m["role"] for m in messages]
            raise SpecError(
                [Problem("messages", roles, "turns that this base's template takes", str(error))]
            ) from error
        return text

    def _tokens(self, text: str, *, special: bool) -> tuple[list[int], list[tuple[int, int]]]:
        encoded = self.tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, truncation=False)
        tokens_T, offsets = list(encoded["input_ids"]), list(encoded["offset_mapping"])
        while special and tokens_T and tokens_T[-1] in self.stop_ids and offsets[-1][0] == offsets[-1][1]:
            tokens_T, offsets = tokens_T[:-1], offsets[:-1]  # an end that the tokenizer adds by itself, not the text
        return tokens_T, offsets

    def _refuse_control_tokens(self, messages: Sequence[Message]) -> None:
        for message in messages:
            for token in self._control_tokens():
                if token and token in message["content"]:
                    expected = f"text without the control token {token!r}"
                    raise SpecError([Problem(message["role"], message["content"], expected, "Remove it.")])

    def _control_tokens(self) -> set[str]:
        added = self.tokenizer.added_tokens_decoder.values()
        return {*self.tokenizer.all_special_tokens, *(token.content for token in added if token.special)}

    def _is_stop(self, tokens: list[int]) -> bool:
        return bool(tokens) and tokens[-1] in self.stop_ids

    def _end_id(self) -> int:
        if self.tokenizer.eos_token_id is None:
            raise SpecError([Problem("base", "no end-of-text token", "a tokenizer with one, to learn where to stop")])
        return int(self.tokenizer.eos_token_id)


def _plain_spans(messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    _refuse_roles(messages, (["user", "assistant"], ["assistant"]))
    before = "".join(m["content"] for m in messages[:-1])
    text = before + messages[-1]["content"]
    return text, [(len(before), len(text))]


def _refuse_roles(messages: Sequence[Message], taken: Sequence[list[str]]) -> None:
    roles = [m["role"] for m in messages]
    if roles not in taken:
        hint = "This base has no chat template: it takes one prompt and its completion."
        raise SpecError([Problem("messages", roles, ", ".join(taken[0]), hint)])
