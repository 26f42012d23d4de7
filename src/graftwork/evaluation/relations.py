"""Little worlds with an order or a tie in them, and what must hold among the answers about them. Pure.

    order        A is older than B, and B than C. Asked both ways round: yes to both, or no to both, contradicts itself.
    chain        who is the older one of A and B, of B and C, of C and A: answers that go round in a circle contradict.
    tie          A sits next to B. Asked both ways round: yes to one and no to the other contradicts itself.

Every world is drawn from a seed and its number; who is named first, and which question is asked first, is drawn too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from graftwork.evaluation.authored import Language

Form = Literal["order", "chain", "tie"]
FORMS: tuple[Form, ...] = ("order", "chain", "tie")
NAMES: dict[Language, tuple[str, ...]] = {
    "en": ("Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Irene", "Jack", "Karen", "Leo"),
    "zh": ("小王", "小李", "小张", "小刘", "小陈", "小杨", "小赵", "小黄", "小周", "小吴", "小徐", "小孙"),
}
ORDERS: dict[Language, tuple[tuple[str, str, str], ...]] = {
    "en": (
        ("{a} is older than {b}.", "Is {a} older than {b}?", "Who is older, {a} or {b}?"),
        ("{a} is taller than {b}.", "Is {a} taller than {b}?", "Who is taller, {a} or {b}?"),
        ("{a} is heavier than {b}.", "Is {a} heavier than {b}?", "Who is heavier, {a} or {b}?"),
        ("{a} runs faster than {b}.", "Does {a} run faster than {b}?", "Who runs faster, {a} or {b}?"),
    ),
    "zh": (
        ("{a}的年龄比{b}大。", "{a}的年龄比{b}大吗？", "{a}和{b}谁的年龄大？"),
        ("{a}的个子比{b}高。", "{a}的个子比{b}高吗？", "{a}和{b}谁的个子高？"),
        ("{a}的体重比{b}重。", "{a}的体重比{b}重吗？", "{a}和{b}谁的体重重？"),
        ("{a}跑得比{b}快。", "{a}跑得比{b}快吗？", "{a}和{b}谁跑得快？"),
    ),
}
TIES: dict[Language, tuple[tuple[str, str], ...]] = {
    "en": (
        ("{a} is sitting next to {b}.", "Is {a} sitting next to {b}?"),
        ("{a} and {b} are the same age.", "Is {a} the same age as {b}?"),
        ("{a} is married to {b}.", "Is {a} married to {b}?"),
        ("{a} and {b} live in the same street.", "Does {a} live in the same street as {b}?"),
    ),
    "zh": (
        ("{a}坐在{b}旁边。", "{a}坐在{b}旁边吗？"),
        ("{a}和{b}同岁。", "{a}和{b}同岁吗？"),
        ("{a}和{b}是夫妻。", "{a}和{b}是夫妻吗？"),
        ("{a}和{b}住在同一条街上。", "{a}和{b}住在同一条街上吗？"),
    ),
}
YES_NO: dict[Language, tuple[str, str]] = {"en": ("Yes", "No"), "zh": ("是", "不是")}
ASKS: dict[Language, str] = {"en": " Answer yes or no.", "zh": "请只回答“是”或“不是”。"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question about a world; the right option stands first."""

    text: str
    options: tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is told, and what is asked about it."""

    form: Form
    language: Language
    questions: tuple[Asked, ...]


def world(form: Form, language: Language, number: int, *, seed: int) -> World:
    """World `number` of its form and language."""
    random = Random(f"{seed}:{form}:{language}:{number}")
    people = random.sample(NAMES[language], 3)
    asked = _tie(language, people, random) if form == "tie" else _order(form, language, people, random)
    return World(form=form, language=language, questions=tuple(random.sample(asked, len(asked))))


def contradicts(world: World, answers: Sequence[str | None]) -> bool:
    """Whether the answers to the questions of a world cannot all hold; a question without an answer says nothing."""
    if None in answers:
        return False
    if world.form == "chain":  # each of three is named once in a circle, and not in an order
        return len(set(answers)) == len(answers)
    return (answers[0] == answers[1]) == (world.form == "order")


def _order(form: Form, language: Language, people: Sequence[str], random: Random) -> list[Asked]:
    a, b, c = people
    told, yes_no, which = random.choice(ORDERS[language])
    sentences = random.sample([told.format(a=a, b=b), told.format(a=b, b=c)], 2)
    premises = _joined(sentences, language)
    if form == "order":
        (yes, no), rest = YES_NO[language], ASKS[language]
        text = premises + yes_no + rest
        return [
            Asked(text=text.format(a=a, b=c), options=(yes, no)),
            Asked(text=text.format(a=c, b=a), options=(no, yes)),
        ]
    asked = []
    for first, second in ((a, b), (b, c), (a, c)):
        left, right = random.sample([first, second], 2)
        asked.append(Asked(text=premises + which.format(a=left, b=right), options=(first, second)))
    return asked


def _tie(language: Language, people: Sequence[str], random: Random) -> list[Asked]:
    a, b, _ = people
    told, yes_no = random.choice(TIES[language])
    text = _joined([told.format(a=a, b=b)], language) + yes_no + ASKS[language]
    options = YES_NO[language]
    return [Asked(text=text.format(a=a, b=b), options=options), Asked(text=text.format(a=b, b=a), options=options)]


def _joined(sentences: Sequence[str], language: Language) -> str:
    return "".join(sentences) if language == "zh" else "".join(f"{one} " for one in sentences)
