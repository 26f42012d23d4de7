"""A conversation as the text of a base's chat template, and which characters of it are whose turn.

What the assistant says is found without searching for it. Templates that mark it themselves (`{% generation %}`) say
it directly. For the others the conversation rendered up to the turn, with the generation prompt, must be a prefix of
the conversation rendered through the turn; what lies between is what the model will have to produce, end of turn
included. A template without marks that rewrites earlier turns has no such prefix and is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from graftwork.core.errors import Problem, SpecError

Message = Mapping[str, str]
"""One turn: `role` (system, user, assistant, tool) and `content`."""

Tools = Sequence[Mapping[str, Any]]
"""What the conversation may call, each a JSON schema."""

Span = tuple[int, int]

DATED = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
"""Put before templates that write today's date: a run resumed tomorrow would train on other tokens. It is the date that
Llama 3's template falls back to."""

MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")
SENTINEL = "\u241fsystem\u241f"
"""A system message that no template writes by itself."""


@dataclass(frozen=True, slots=True)
class Template:
    """A base's chat template.

    Attributes:
        text: in Jinja.
        special: the tokenizer's special tokens by name, which templates may write.
    """

    text: str
    special: Mapping[str, Any]

    @property
    def marks_answers(self) -> bool:
        """Whether it says itself what the assistant generates."""
        return MARKS.search(self.text) is not None

    def render(self, messages: Sequence[Message], *, prompt: bool = False, tools: Tools = ()) -> str:
        """The conversation's text. Raises SpecError, in the template's own words, for turns that it refuses."""
        return self._rendered(messages, prompt=prompt, tools=tools)[0]

    def answers(self, messages: Sequence[Message], tools: Tools = (), *, last: bool = False) -> tuple[str, list[Span]]:
        """The conversation's text, and where in it each turn of the assistant is what the model has to produce.

        Args:
            last: only the last of them.

        Raises:
            SpecError: the template refuses the conversation, or rewrites earlier turns and marks no answers.
        """
        answered = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        if self.marks_answers:
            text, spans = self._rendered(messages, prompt=False, tools=tools, marks=True)
            if len(spans) != len(answered):
                expected = "a chat template whose generation marks hold each turn of the assistant once"
                raise SpecError([Problem("messages", f"{len(spans)} marked of {len(answered)}", expected)])
            return text, spans[-1:] if last else spans
        text = self.render(messages, tools=tools)
        return text, [self._between(messages, i, text, tools) for i in (answered[-1:] if last else answered)]

    def turn_starts(self, messages: Sequence[Message], text: str, tools: Tools = ()) -> list[int]:
        """Characters of `text` at which somebody asks, as far as they can be told; the first is where the system turn,
        of the conversation or of the template itself, has ended."""
        starts = [self._head(messages, text, tools)]
        asking = [i for i, message in enumerate(messages) if i and message["role"] not in ("assistant", "tool")]
        for i in asking:
            before = self._prefix(messages[:i], text, tools)
            if before and before > starts[-1]:
                starts.append(before)
        return starts

    def turn_heads(self, messages: Sequence[Message], text: str, tools: Tools = ()) -> list[Span]:
        """Of each turn that can be told, its first character in `text` and the first of what it says.

        Between the two stands whose turn it is.
        """
        heads: list[Span] = []
        for i, message in enumerate(messages):
            if message["role"] == "system" or (i == 0 and tools):  # tools stand before the first turn
                continue
            begin = self._prefix(messages[:i], text, tools) if i else self._own_system(messages, text, tools)
            said = self.said_at(messages, i, text, tools)
            if said is not None and (begin or not i):
                heads.append((begin, said))
        return heads

    def said_at(self, messages: Sequence[Message], i: int, text: str, tools: Tools = ()) -> int | None:
        """The first character in `text` of what turn `i` says; None where the template does not write it as it is.

        Found by writing something else in its place: what it says may stand elsewhere too.
        """
        content = messages[i]["content"]
        try:
            other = self.render([*messages[:i], {**messages[i], "content": SENTINEL}, *messages[i + 1 :]], tools=tools)
        except SpecError:
            return None
        at = other.find(SENTINEL)
        if at < 0 or text[:at] != other[:at]:
            return None
        said = content if text.startswith(content, at) else content.strip()
        return at if text.startswith(said, at) else None

    def writes_tools(self, messages: Sequence[Message], tools: Tools) -> bool:
        """Whether the template tells the model of `tools` at all."""
        return self.render(messages, tools=tools) != self.render(messages)

    def _between(self, messages: Sequence[Message], i: int, text: str, tools: Tools) -> Span:
        last = i == len(messages) - 1
        before = self.render(messages[:i], prompt=True, tools=tools)
        through = text if last else self.render(messages[: i + 1], tools=tools)
        if not (through.startswith(before) and text.startswith(through)):
            expected = "a chat template that only appends"
            hint = f"This base's template rewrites earlier turns at turn {i + 1}; give shorter conversations."
            raise SpecError([Problem("messages", messages[i]["content"], expected, hint)])
        return len(before), len(through)

    def _prefix(self, messages: Sequence[Message], text: str, tools: Tools) -> int:
        """How much of `text` the turns `messages` are; 0 where the template does not take them alone."""
        try:
            begun = self.render(messages, tools=tools)
        except SpecError:
            return 0
        return len(begun) if text.startswith(begun) else 0

    def _head(self, messages: Sequence[Message], text: str, tools: Tools) -> int:
        if messages[0]["role"] == "system":
            if head := self._prefix(messages[:1], text, tools):
                return head
            at = self.said_at(messages, 0, text, tools)  # a template that writes it within the first user turn
            return 0 if at is None else at + len(messages[0]["content"].strip())
        return self._own_system(messages, text, tools)

    def _own_system(self, messages: Sequence[Message], text: str, tools: Tools) -> int:
        """The end of a system turn that the template writes by itself when it is given none."""
        system = {"role": "system", "content": SENTINEL}
        try:
            alone = self.render([system], tools=tools)
            other = self.render([system, *messages], tools=tools)
        except SpecError:
            return 0
        after = alone.rpartition(SENTINEL)[2]  # the end of a system turn
        rest = other.removeprefix(alone)
        end = len(text) - len(rest)
        return end if rest != other and text.endswith(rest) and text[:end].endswith(after) else 0

    def _rendered(
        self, messages: Sequence[Message], *, prompt: bool, tools: Tools, marks: bool = False
    ) -> tuple[str, list[Span]]:
        rendered: Any
        try:
            rendered = render_jinja_template(
                conversations=[[dict(m) for m in messages]],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=DATED + self.text if "strftime_now" in self.text else self.text,
                return_assistant_tokens_mask=marks,
                add_generation_prompt=prompt,
                **self.special,
            )
        except (TemplateError, ValueError, TypeError, IndexError) as error:
            roles = [m["role"] for m in messages]
            expected = "turns that this base's template takes"
            raise SpecError([Problem("messages", roles, expected, str(error))]) from error
        texts, spans = rendered
        return texts[0], [(begin, end) for begin, end in spans[0]] if marks else []
