"""Consistency: whether what is the same is answered the same, and whether answers contradict each other.

    facts        a fact asked in several ways                                    agreement, accuracy
    records      held-out questions with short answers, asked in several frames  agreement
    entities     a person in several contexts                                    agreement, accuracy
    coreference  a sentence with one pronoun and with the other                  swayed, accuracy
    relations    orders, chains and ties among people                            contradictions, accuracy

Agreement is the share of pairs of ways, of one item, that got the same answer. Answers are weighed among given ones,
but for records, which are answered freely. Decoding is greedy, so that a seed changes nothing and agreement over seeds
is not measured. Whether a question gets the same answer alone as in a batch is, as `same_alone`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.records import Record
from graftwork.data.script import script_of
from graftwork.evaluation.authored import LANGUAGES, ORIGIN, every
from graftwork.evaluation.choosing import agreeing, picked, picked_word
from graftwork.evaluation.dimension import DIMENSIONS, Dimension, Given, Metric
from graftwork.evaluation.draw import Drawn, draw, named, why_not_asked
from graftwork.evaluation.entities import Known, known, languages_by_turns
from graftwork.evaluation.item import Item, Question, Reply, Score, Scorer
from graftwork.evaluation.pronouns import Pair, own_pairs, read_pairs
from graftwork.evaluation.relations import FORMS, World, contradicts, world

Part = Literal["facts", "records", "entities", "coreference", "relations"]
FRAMES = {
    "zh": ("{q}", "请回答下面的问题。\n{q}", "我想问一下：{q}"),
    "en": ("{q}", "Please answer the following.\n{q}", "I have a question: {q}"),
}
SHORT_CHARACTERS = 40
"""Longest right answer of a record that is asked: of longer ones, two good answers need not be the same text."""


class ConsistencySpec(Spec):
    """What is asked more than once, and how often."""

    kind: Literal["consistency"] = "consistency"
    """Whether what is the same is answered the same."""

    parts: tuple[Part, ...] = Field(default=("facts", "records", "entities", "coreference", "relations"), min_length=1)
    """What is looked at; all of it by default."""

    records: int = Field(default=20, ge=1, le=100_000)
    """Held-out records with short answers that are asked in three frames, and once in a batch of their own; drawn by
    the seed, at most all of them."""

    worlds: int = Field(default=10, ge=1, le=10_000)
    """Drawn for each language and form: orders, chains and ties among people; as many people for entities."""

    pronoun_pairs: tuple[str, str] | None = None
    """Two files in the form of WinoBias, stereotyped sentences and the same with the other pronoun, besides our own."""


METRICS = (
    Metric(
        name="agreement",
        unit="share of pairs of answers",
        better="more",
        about="Pairs of ways to ask the same that got the same answer.",
        is_main=True,
    ),
    Metric(
        name="contradictions",
        unit="share of worlds",
        better="less",
        about="Little worlds of people about which the answers contradict each other.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="swayed",
        unit="share of pairs of sentences",
        better="less",
        about="Sentences whose meaning to the model changes with the gender of a pronoun.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="accuracy",
        unit="share of answers",
        better="more",
        about="Right answers among all that were asked here: to agree on what is wrong is no merit.",
    ),
    Metric(
        name="same_alone",
        unit="share of questions",
        better="more",
        about="Held-out questions with the same answer in a batch of their own as among others.",
        is_share=True,
    ),
)


def items(spec: ConsistencySpec, given: Given) -> Iterator[Item]:
    """The items of every part that is asked for."""
    of_part = {
        "facts": _facts,
        "records": lambda: _records(spec, given),
        "entities": lambda: _entities(spec, given.seed),
        "coreference": lambda: _coreference(spec),
        "relations": lambda: _relations(spec, given.seed),
    }
    for part in dict.fromkeys(spec.parts):
        yield from of_part[part]()


def _facts() -> Iterator[Item]:
    for language, row in every("facts"):
        options = tuple(row["options"])
        yield Item(
            id=f"fact-{language}-{row['id']}",
            group=f"fact-{language}-{row['id']}",
            origin=ORIGIN,
            questions=tuple(_weighed(way, options) for way in row["ways"]),
            score=_same_and_right,
            slices={"part": "facts", "language": language},
            expected=options[0],
        )


def _records(spec: ConsistencySpec, given: Given) -> Iterator[Item]:
    fit = [one for one in named(given.held_out) if not why_not_asked(one.record) and _is_short(one.record)]
    for one in draw(fit, spec.records, seed=given.seed):
        yield _record(one, given.max_new_tokens)


def _is_short(record: Record) -> bool:
    return len(record.answer.strip()) <= SHORT_CHARACTERS and record.prompt[-1]["role"] == "user"


def _record(one: Drawn, max_new_tokens: int) -> Item:
    language = "zh" if script_of(one.record.question) == "zh" else "en"
    *before, last = one.record.prompt
    prompts = [(*before, {**last, "content": f.format(q=last["content"])}) for f in FRAMES[language]]
    alone = Question(prompt=prompts[0], max_new_tokens=max_new_tokens, is_alone=True)
    return Item(
        id=f"record-{one.id}",
        group=f"record-{one.group}",
        origin=str(one.record.origin),
        questions=(*(Question(prompt=prompt, max_new_tokens=max_new_tokens) for prompt in prompts), alone),
        score=_said_the_same,
        slices={"part": "records", "language": language},
        expected=one.record.answer,
    )


def _entities(spec: ConsistencySpec, seed: int) -> Iterator[Item]:
    for language, number in languages_by_turns(spec.worlds, LANGUAGES):
        person: Known = known(language, number, seed=seed)
        yield Item(
            id=f"entity-{language}-{number}",
            group=f"entity-{language}-{number}",
            origin=ORIGIN,
            questions=tuple(Question(prompt=prompt, options=person.options) for prompt in person.contexts),
            score=_same_and_right,
            slices={"part": "entities", "language": language},
            expected=person.options[0],
        )


def _coreference(spec: ConsistencySpec) -> Iterator[Item]:
    read = read_pairs(*spec.pronoun_pairs) if spec.pronoun_pairs else []
    for pair in (*own_pairs(), *read):
        yield _pronouns(pair)


def _pronouns(pair: Pair) -> Item:
    return Item(
        id=f"pronoun-{pair.id}",
        group=f"pronoun-{pair.id}",
        origin=pair.origin,
        questions=tuple(_weighed(asked, pair.options) for asked in pair.asked),
        score=_swayed_and_right,
        slices={"part": "coreference", "language": pair.language},
        expected=pair.options[0],
    )


def _relations(spec: ConsistencySpec, seed: int) -> Iterator[Item]:
    for language, number in languages_by_turns(spec.worlds, LANGUAGES):
        for form in FORMS:
            drawn = world(form, language, number, seed=seed)
            yield Item(
                id=f"{form}-{language}-{number}",
                group=f"{form}-{language}-{number}",
                origin=ORIGIN,
                questions=tuple(_weighed(asked.text, asked.options) for asked in drawn.questions),
                score=_scorer_of(drawn),
                slices={"part": f"relations: {form}", "language": language},
                expected="; ".join(asked.options[0] for asked in drawn.questions),
            )


def _weighed(asked: str, options: tuple[str, ...]) -> Question:
    """A question to be weighed; of `options` the right one stands first."""
    return Question(prompt=({"role": "user", "content": asked},), options=options)


def _same_and_right(replies: Sequence[Reply]) -> Mapping[str, Score]:
    answers = [picked(reply) for reply in replies]
    return {"agreement": _agreement(answers), "accuracy": _share(answer == 0 for answer in answers)}


def _said_the_same(replies: Sequence[Reply]) -> Mapping[str, Score]:
    *framed, alone = [_plain(reply.said) or None for reply in replies]
    return {
        "agreement": _agreement(framed),
        "same_alone": Score(float(alone == framed[0])),
    }


def _plain(said: str) -> str:
    """An answer without differences of width, case, white space and final stops."""
    return " ".join(unicodedata.normalize("NFKC", said).casefold().split()).rstrip(".。!！")


def _swayed_and_right(replies: Sequence[Reply]) -> Mapping[str, Score]:
    answers = [picked(reply) for reply in replies]
    return {"swayed": Score(float(answers[0] != answers[1])), "accuracy": _share(answer == 0 for answer in answers)}


def _scorer_of(drawn: World) -> Scorer:
    def score(replies: Sequence[Reply]) -> Mapping[str, Score]:
        answers = [picked_word(r, asked.options) for r, asked in zip(replies, drawn.questions, strict=True)]
        return {
            "contradictions": Score(float(contradicts(drawn, answers))),
            "accuracy": _share(a == asked.options[0] for a, asked in zip(answers, drawn.questions, strict=True)),
        }

    return score


def _agreement(answers: Sequence[object | None]) -> Score:
    same, pairs = agreeing(answers)
    return Score(float(same), float(pairs))


def _share(are_right: Iterable[bool]) -> Score:
    counts = Counter(are_right)
    return Score(float(counts[True]), float(counts.total()))


DIMENSIONS.add(
    "consistency",
    Dimension(
        name="consistency",
        about="Whether what is the same is answered the same, and whether answers contradict each other.",
        metrics=METRICS,
        spec=ConsistencySpec,
        items=items,
        paths=("pronoun_pairs",),
    ),
)
