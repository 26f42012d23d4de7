"""Questions as tokens, or why one cannot be asked of this base. Pure but for the tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftwork.core.errors import SpecError
from graftwork.data.encode import Encoded
from graftwork.data.records import TEXT, Origin
from graftwork.pipeline.evaluation.replies import question_key

if TYPE_CHECKING:
    from graftwork.base.template import ChatFormat
    from graftwork.evaluation.item import Item, Question

NOWHERE = Origin("", 0)


@dataclass(frozen=True, slots=True)
class Written:
    """A question as tokens.

    Attributes:
        key: names it.
        num_tokens: of the prompt and the longest answer; of options, of the longest one with its prompt.
        options: each with its prompt in front, what is weighed marked; empty where the answer is free.
    """

    key: str
    question: Question
    num_tokens: int
    options: tuple[Encoded, ...] = ()


@dataclass(frozen=True, slots=True)
class CannotBeAsked:
    """Why, in words for people."""

    reason: str


def written(question: Question, chat: ChatFormat, context: int | None) -> Written | CannotBeAsked:
    """The question as this base reads it; `context` is the longest input."""
    try:
        made = _weighed(question, chat) if question.options else _free(question, chat)
    except SpecError as error:
        problem = error.problems[0]
        return CannotBeAsked(f"the base cannot write it: expected {problem.expected}")
    if isinstance(made, Written) and context is not None and made.num_tokens > context:
        return CannotBeAsked("no room for it in the base's context")
    return made


@dataclass(frozen=True, slots=True)
class Askable:
    """Items whose every question can be asked.

    Attributes:
        items: each with the names of its questions.
        questions: by name; what several items ask is there once.
        left_out: how many others there were, by reason.
    """

    items: list[tuple[Item, tuple[str, ...]]] = field(default_factory=list)
    questions: dict[str, Written] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def askable(items: Iterable[Item], chat: ChatFormat, context: int | None) -> Askable:
    """Those of `items` that this base can be asked; `context` is its longest input."""
    asked = Askable()
    for item in items:
        keys = tuple(map(question_key, item.questions))
        made = [
            asked.questions.get(key) or written(question, chat, context)
            for key, question in zip(keys, item.questions, strict=True)
        ]
        if reason := next((one.reason for one in made if isinstance(one, CannotBeAsked)), ""):
            asked.left_out[reason] = asked.left_out.get(reason, 0) + 1
            continue
        asked.items.append((item, keys))
        asked.questions.update({one.key: one for one in made if isinstance(one, Written)})
    return asked


def _free(question: Question, chat: ChatFormat) -> Written | CannotBeAsked:
    if not question.prompt:
        return CannotBeAsked("it asks nothing")
    return Written(question_key(question), question, len(chat.prompt(question.prompt)) + question.max_new_tokens)


def _weighed(question: Question, chat: ChatFormat) -> Written | CannotBeAsked:
    options = tuple(_option(question, option, chat) for option in question.options)
    if any(not option.num_targets for option in options):
        return CannotBeAsked("an answer to be weighed is empty")
    return Written(question_key(question), question, max(len(option.tokens_T) for option in options), options)


def _option(question: Question, option: str, chat: ChatFormat) -> Encoded:
    if question.is_text:
        made = chat.marked([{"role": TEXT, "content": option}], learn="all")
    else:
        made = chat.marked([*question.prompt, {"role": "assistant", "content": option}], learn="last")
    return Encoded(tuple(made.tokens_T), tuple(made.is_target_T), NOWHERE)
