"""Records to tokens with targets marked. Pure: rendering is a function it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graftwork.core.errors import Problem, SpecError
from graftwork.data.records import Origin, Record

Render = Callable[[Sequence[Mapping[str, str]]], tuple[list[int], list[bool]]]
"""A conversation to tokens_T and is_target_T; raises SpecError for one it cannot write."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as tokens.

    Attributes:
        is_target_T: true for a token the model learns to produce.
    """

    tokens_T: tuple[int, ...]
    is_target_T: tuple[bool, ...]
    origin: Origin

    @property
    def num_targets(self) -> int:
        """Tokens learned. The first token of a row has nothing before it, so it is never one."""
        return sum(self.is_target_T[1:])


def encode(records: Sequence[Record], render: Render, *, max_tokens: int) -> list[Encoded]:
    """All `records` as tokens, none cut and none left out.

    Raises:
        SpecError: by file and line, every record without a target, too long, or that the template refuses.
    """
    encoded: list[Encoded] = []
    problems: list[Problem] = []
    for record in records:
        try:
            tokens_T, is_target_T = render(record.messages)
        except SpecError as error:
            problems += [Problem(f"{record.origin}: {p.path}", p.value, p.expected, p.hint) for p in error.problems]
            continue
        one = Encoded(tuple(tokens_T), tuple(is_target_T), record.origin)
        if len(one.tokens_T) > max_tokens:
            expected = f"at most {max_tokens} tokens (data.max_tokens, or the base's context)"
            problems.append(Problem(str(record.origin), f"{len(one.tokens_T)} tokens", expected, "Nothing is cut."))
        elif not one.num_targets:
            expected = "at least one token to learn"
            problems.append(Problem(str(record.origin), record.answer, expected, "Its answer is empty."))
        encoded.append(one)
    if problems:
        raise SpecError(problems)
    return encoded
