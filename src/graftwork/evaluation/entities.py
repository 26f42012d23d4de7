"""One person in several contexts: what a text says of a person is the same wherever in it that stands. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from graftwork.evaluation.authored import Language
from graftwork.evaluation.item import Prompt

NAMES: dict[Language, tuple[str, ...]] = {
    "en": ("Ruth Amari", "Joseph Adeyemi", "Elena Fisk", "Tomas Greely", "Ingrid Solberg", "Marta Quill"),
    "zh": ("方雨晴", "贺云山", "林致远", "周明霞", "沈若水", "江一帆"),
}
PLACES: dict[Language, tuple[str, ...]] = {
    "en": ("hospital", "library", "bakery", "harbour", "theatre", "bank", "school", "museum"),
    "zh": ("医院", "图书馆", "面包店", "港口", "剧院", "银行", "学校", "博物馆"),
}
TOLD: dict[Language, str] = {"en": "{name} works at the {place}.", "zh": "{name}在{place}上班。"}
ASKED: dict[Language, str] = {"en": "Where does {name} work?", "zh": "{name}在哪里上班？"}
ANSWER: dict[Language, str] = {"en": "At the {place}", "zh": "在{place}"}
FILLER: dict[Language, tuple[str, ...]] = {
    "en": ("It rained all morning.", "The tram was late again.", "On Friday there is a concert in the park."),
    "zh": ("整个上午都在下雨。", "电车又晚点了。", "星期五公园里有音乐会。"),
}
THANKS: dict[Language, str] = {"en": "Thanks, noted.", "zh": "好的，记下了。"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A person, the contexts in which the same is asked, and the answers to choose from, the right one first."""

    name: str
    contexts: tuple[Prompt, ...]
    options: tuple[str, ...]


def known(language: Language, number: int, *, seed: int) -> Known:
    """Person `number`: alone, among others in two orders, after talk of other things, and told in an earlier turn."""
    random = Random(f"{seed}:entity:{language}:{number}")
    names, places = random.sample(NAMES[language], 3), random.sample(PLACES[language], 4)
    own, *others = [TOLD[language].format(name=n, place=p) for n, p in zip(names, places, strict=False)]
    asked = ASKED[language].format(name=names[0])
    space = "" if language == "zh" else " "
    told = ([own, asked], [own, *others, asked], [*others, own, asked], [*FILLER[language], own, asked])
    turns = ({"role": "user", "content": own}, {"role": "assistant", "content": THANKS[language]}, _user(asked))
    return Known(
        name=names[0],
        contexts=(*((_user(space.join(sentences)),) for sentences in told), turns),
        options=tuple(ANSWER[language].format(place=place) for place in places),
    )


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def languages_by_turns(num: int, languages: Sequence[Language]) -> list[tuple[Language, int]]:
    """`num` of each language, as pairs of a language and a number."""
    return [(language, number) for number in range(num) for language in languages]
