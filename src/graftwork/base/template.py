"""How a base writes conversations and plain texts: tokens, with the learned ones marked exactly."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from graftwork.base.rendering import Message, Span, Template, Tools
from graftwork.core.errors import Problem, SpecError

TEXT = "text"
"""Role of the only turn of what is plain text, no conversation."""

Learn = Literal["answers", "last", "all"] | Sequence[Sequence[Span] | None]
"""What is learned: all turns of the assistant, the last one only, everything; or for each turn the parts of its
content, None where nothing of it."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A conversation as tokens.

    Attributes:
        is_target_T: true for a token the model learns to produce.
        text: what was tokenised.
        offsets_T2: for each token, its first character in `text` and the one after its last.
    """

    tokens_T: list[int]
    is_target_T: list[bool]
    text: str
    offsets_T2: list[Span]


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How this base writes a conversation.

    Attributes:
        tokenizer: a fast tokenizer of `transformers`.
        template: the chat template's text; empty when the base has none.
        stop_ids: tokens that end an answer.
    """

    tokenizer: Any
    template: str
    stop_ids: frozenset[int]

    def prompt(self, messages: Sequence[Message], tools: Tools = ()) -> list[int]:
        """tokens_T of a conversation up to and with the generation prompt: what the model continues."""
        self._refuse_control_tokens(messages, tools)
        if not self.template:
            _refuse_roles(messages, (["user"],))
            return self._tokens(messages[0]["content"], special=True)[0]
        return self._tokens(self._jinja.render(messages, prompt=True, tools=tools), special=False)[0]

    def marked(self, messages: Sequence[Message], *, learn: Learn = "answers", tools: Tools = ()) -> Marked:
        """Tokens of a conversation or plain text, true where something is learned.

        Raises:
            SpecError: the template refuses the conversation or rewrites earlier turns, a turn holds a control token,
                a token straddles the border of an answer, or the template does not write the tools.
        """
        self._refuse_control_tokens(messages, tools)
        is_plain = not self.template or messages[0]["role"] == TEXT
        if is_plain:
            text, spans = _plain_spans(messages, tools)
        else:
            text, spans = self._chat_spans(messages, tools, last=learn == "last")
        tokens_T, offsets_T2 = self._tokens(text, special=is_plain)
        is_target_T = [learn == "all"] * len(tokens_T)
        if not isinstance(learn, str):
            spans = self._parts(messages, text, spans, learn, tools)
        for begin, end in () if learn == "all" else spans:
            self._refuse_a_token_across(text, begin, tokens_T, offsets_T2, is_plain=is_plain)
            self._mark(is_target_T, tokens_T, offsets_T2, (begin, end))
        marked = Marked(tokens_T, is_target_T, text, offsets_T2)
        to_the_end = learn == "all" or any(end == len(text) for _, end in spans)
        return self._ended(marked, learned=to_the_end) if is_plain else marked

    def turn_starts(self, messages: Sequence[Message], text: str, tools: Tools = ()) -> list[int]:
        """Characters of `text`, which `marked` gives, where somebody asks; the first is where the system turn ends."""
        is_plain = not self.template or messages[0]["role"] == TEXT
        return [0] if is_plain else self._jinja.turn_starts(messages, text, tools)

    def turn_heads(self, messages: Sequence[Message], text: str, tools: Tools = ()) -> list[Span]:
        """Of each turn that can be told, its first character in `text` and the first of what it says."""
        is_plain = not self.template or messages[0]["role"] == TEXT
        return [] if is_plain else self._jinja.turn_heads(messages, text, tools)

    def reads_back(self, tokens_T: Sequence[int], text: str) -> bool:
        """Whether the tokens say `text` again, but for what begins and ends every text and white space at the borders.

        A tokenizer that changes what it reads (lower case, other forms of a character) trains on another text.
        """
        said: str = self.tokenizer.decode(tokens_T, clean_up_tokenization_spaces=False)
        return text.strip() in said

    @property
    def _jinja(self) -> Template:
        return Template(self.template, self.tokenizer.special_tokens_map)

    def _chat_spans(self, messages: Sequence[Message], tools: Tools, *, last: bool) -> tuple[str, list[Span]]:
        if tools and not self._jinja.writes_tools(messages, tools):
            expected = "a conversation without tools"
            raise SpecError([Problem("tools", len(tools), expected, "This base's template does not write them.")])
        return self._jinja.answers(messages, tools, last=last)

    def _parts(
        self, messages: Sequence[Message], text: str, answers: Sequence[Span], learn: Any, tools: Tools
    ) -> list[Span]:
        """Where the marked parts of the turns lie in `text`; a part that ends an answer takes its end of turn along."""
        spans: list[Span] = []
        of_answers = iter(answers)
        for i, (message, parts) in enumerate(zip(messages, learn, strict=True)):
            content = message["content"]
            ends = next(of_answers)[1] if message["role"] in ("assistant", TEXT) else 0
            if not parts:
                continue
            at = self._said_at(messages, i, text, tools)
            if at is None or not text.startswith(content, at):
                raise SpecError([Problem("messages", content, "a template that writes marked turns as they are")])
            spans += [(at + begin, ends if ends and end == len(content) else at + end) for begin, end in parts]
        return spans

    def _said_at(self, messages: Sequence[Message], i: int, text: str, tools: Tools) -> int | None:
        if not self.template or messages[0]["role"] == TEXT:
            return sum(len(message["content"]) for message in messages[:i])
        return self._jinja.said_at(messages, i, text, tools)

    def _mark(self, is_target_T: list[bool], tokens_T: list[int], offsets: Sequence[Span], span: Span) -> None:
        begin, end = span
        near = range(bisect_right(offsets, begin, key=_end), bisect_left(offsets, end, key=_begin))
        inside = [i for i in near if offsets[i][1] > offsets[i][0]]
        if any(offsets[i][0] < begin or offsets[i][1] > end for i in inside):
            self._refuse_border(self.tokenizer.decode([tokens_T[i] for i in inside]))
        stops = [i for i in inside if tokens_T[i] in self.stop_ids]
        last = stops[-1] if stops else (inside[-1] if inside else -1)
        for i in inside:
            is_target_T[i] = i <= last  # what a template writes after the end of turn is not the model's to say

    def _refuse_a_token_across(
        self, text: str, begin: int, tokens_T: list[int], offsets: Sequence[Span], *, is_plain: bool
    ) -> None:
        """Refuse a border at which the prompt alone has other tokens; offsets miss it where a tokenizer trims them."""
        num_before = bisect_right(offsets, begin, key=_end) if begin else 0
        splitters = _splitting_ids(self.tokenizer)
        near = next((i for i in reversed(range(num_before)) if tokens_T[i] in splitters), None)
        if near is not None and not is_plain:  # it splits the text for good: what stands before it plays no part
            since_T = _tokens_since(self.tokenizer, text[offsets[near][0] : begin])
            if list(since_T) == tokens_T[near:num_before]:
                return
        before_T, _ = self._tokens(text[:begin], special=is_plain)
        if tokens_T[: len(before_T)] != before_T:
            self._refuse_border(text[begin:])

    def _refuse_border(self, answer: str) -> None:
        expected = "an answer whose first and last character start and end a token"
        hint = "White space at its border merges with what stands beside it; strip it."
        raise SpecError([Problem("answer", answer, expected, hint)])

    def _tokens(self, text: str, *, special: bool) -> tuple[list[int], list[Span]]:
        encoded = self.tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, truncation=False)
        tokens_T, offsets = list(encoded["input_ids"]), list(encoded["offset_mapping"])
        while special and tokens_T and tokens_T[-1] in self.stop_ids and offsets[-1][0] == offsets[-1][1]:
            tokens_T, offsets = tokens_T[:-1], offsets[:-1]  # an end that the tokenizer adds by itself, not the text
        return tokens_T, offsets

    def _refuse_control_tokens(self, messages: Sequence[Message], tools: Tools = ()) -> None:
        said = [(message["role"], message["content"]) for message in messages]
        described = [("tools", json.dumps(tool, ensure_ascii=False)) for tool in tools]
        for where, content in (*said, *described):
            for token in _control_tokens(self.tokenizer):
                if token in content:
                    expected = f"text without the control token {token!r}"
                    raise SpecError([Problem(where, content, expected, "Remove it.")])

    def _ended(self, marked: Marked, *, learned: bool) -> Marked:
        """`marked`, which no template has written, with the end of text if it has none."""
        if marked.tokens_T and marked.tokens_T[-1] in self.stop_ids:
            return marked
        end = self.tokenizer.eos_token_id
        if end is None:
            expected = "a tokenizer with one, to learn where to stop"
            raise SpecError([Problem("base", "no end-of-text token", expected)])
        here = len(marked.text)
        tokens_T, is_target_T = [*marked.tokens_T, int(end)], [*marked.is_target_T, learned]
        return Marked(tokens_T, is_target_T, marked.text, [*marked.offsets_T2, (here, here)])


def _begin(offsets: Span) -> int:
    return offsets[0]


def _end(offsets: Span) -> int:
    return offsets[1]


@lru_cache(maxsize=64)
def _tokens_since(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Tokens of what stands between a control token and an answer: a role's name in nearly all templates."""
    return tuple(tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"])


@lru_cache(maxsize=8)
def _control_tokens(tokenizer: Any) -> tuple[str, ...]:
    added = tokenizer.added_tokens_decoder.values()
    names = {*tokenizer.all_special_tokens, *(token.content for token in added if token.special)}
    return tuple(sorted(filter(None, names)))


@lru_cache(maxsize=8)
def _splitting_ids(tokenizer: Any) -> frozenset[int]:
    """Special tokens that take no white space from beside them."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(i for i, token in added if token.special and not (token.lstrip or token.rstrip))


def _plain_spans(messages: Sequence[Message], tools: Tools) -> tuple[str, list[Span]]:
    _refuse_roles(messages, (["user", "assistant"], ["assistant"], [TEXT]))
    if tools:
        raise SpecError([Problem("tools", len(tools), "none", "This base has no chat template to write them.")])
    before = "".join(m["content"] for m in messages[:-1])
    text = before + messages[-1]["content"]
    return text, [(len(before), len(text))]


def _refuse_roles(messages: Sequence[Message], taken: Sequence[list[str]]) -> None:
    roles = [m["role"] for m in messages]
    if roles not in taken:
        hint = "This base has no chat template: it takes one prompt and its completion."
        raise SpecError([Problem("messages", roles, ", ".join(taken[0]), hint)])
