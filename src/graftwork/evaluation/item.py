"""Items: what every subject is asked, and what its replies are worth. Pure.

A subject is whoever is evaluated: the base, an adapter on it, a model that was tuned whole. All subjects get the same
items, so that their scores are compared item by item.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Prompt = tuple[Mapping[str, str], ...]
"""Turns of a conversation, each with `role` and `content`; of a plain text that is weighed, nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One thing asked of a subject.

    Attributes:
        options: answers whose likelihood after the prompt is asked for; empty where the subject answers freely.
        max_new_tokens: most tokens of a free answer.
        is_text: the options stand by themselves, as plain text without a template; for likelihoods of text.
        is_alone: asked of each subject in a batch of its own, to see that others in a batch change nothing.
    """

    prompt: Prompt
    options: tuple[str, ...] = ()
    max_new_tokens: int = 64
    is_text: bool = False
    is_alone: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a subject gave for a question.

    Attributes:
        said: its greedy answer; empty where options were weighed.
        nats: for each option minus the logarithm of its likelihood, its stop token within; summed over its tokens.
        tokens: for each option the tokens that were summed over.
    """

    said: str = ""
    nats: tuple[float, ...] = ()
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """What one item adds to a metric, which is the sum of totals over the sum of weights.

    A share or a mean has weight 1 an item; bits a byte have the item's bytes.

    Attributes:
        counts: of a metric of all items together (BLEU: matches and n-grams of each order, lengths), what its formula
            takes, to be summed over items; see `Metric.combined`. Total and weight are then the item's own score, by
            which items that changed are found.
    """

    total: float
    weight: float = 1.0
    counts: tuple[float, ...] = ()


Scorer = Callable[[Sequence[Reply]], Mapping[str, Score]]
"""From the replies to an item's questions, in their order, its scores by metric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """What is scored as one.

    Attributes:
        id: unique within its dimension, and the same in every run on the same data.
        group: items of one group depend on each other (variants of one question, one customer); they are resampled
            together. Unique to the item where it stands alone.
        origin: where it comes from: a file and line, or a package and its licence.
        slices: what it may be told apart by, such as language, kind of disturbance, topic.
        expected: the right answer, for people who look at examples; empty where there is none.
    """

    id: str
    group: str
    origin: str
    questions: tuple[Question, ...]
    score: Scorer
    slices: Mapping[str, str] = field(default_factory=dict)
    expected: str = ""
