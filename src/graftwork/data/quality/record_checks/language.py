"""Language: answers in a language that is not wanted.

Chinese, Japanese and Korean are told by their script, plain English by its commonest words, and only what is left by
py3langid (https://github.com/adbar/py3langid), which is slow to load and to ask. Who is in doubt keeps the record.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined
from graftwork.data.records import Record

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

NAMES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv "
    "fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la "
    "lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se "
    "si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu"
)
LANGUAGES = frozenset(NAMES.split())
NO_LANGUAGE = "zxx"
"""What py3langid calls text that is in no language, such as numbers."""

HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]+")
HANGUL = re.compile("[\uac00-\ud7af]+")
LETTER = re.compile(r"[^\W\d_]+")
ENGLISH = re.compile(r"\b(?:the|of|and|to|in|is|are|that|it|for|you|with|this|be|on|as|was|have|not|can|by|or)\b")

LOOKED_AT = 600
"""Characters of a text that are looked at."""

KANA_FRAC = 0.3
"""Japanese has at least this share of kana among its characters; Chinese has some in emoticons and quotes."""

ENGLISH_FRAC = 0.2
"""Share of words that are among the commonest English ones; prose has 0.3 to 0.4, other languages below 0.05."""


class LanguageSpec(Spec):
    """Which languages answers may be in."""

    languages: tuple[str, ...] = Field(min_length=1)
    """Languages that are kept, by their short names: zh, en, ja, de, ..."""

    min_characters: int = Field(default=40, ge=1)
    """Shorter answers are kept; Chinese, Japanese and Korean characters count twice. Below 20 guesses are poor."""

    min_confidence: float = Field(default=0.9, gt=0, le=1)
    """Certainty that the language is another, below which the record is kept. 0.8 to 0.99 are usual."""

    @field_validator("languages")
    @classmethod
    def _are_known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [language for language in languages if language not in LANGUAGES]
        if wrong:
            expected = "short names of languages, such as zh, en, ja, de"
            raise SpecError([Problem("", name, expected, _meant(name)) for name in wrong])
        return languages


def _meant(name: str) -> str:
    if name.lower().replace("_", "-") in {"cn", "chinese", "zh-cn", "zh-hans", "zh-tw", "zh-hant"}:
        return "Did you mean 'zh'?"
    return did_you_mean(name.lower(), sorted(LANGUAGES))


def decide(spec: LanguageSpec, record: Record) -> Decision:
    """Quarantined when the answer is, with enough certainty, in a language that is not wanted."""
    text = record.answer[:LOOKED_AT]
    language = by_script(text, spec.min_characters)
    confidence = 1.0
    if language is None:
        if _num(LETTER, text) < spec.min_characters or ("en" in spec.languages and is_english(text)):
            return None
        language, confidence = _guessed(text)
    if language in (*spec.languages, NO_LANGUAGE) or confidence < spec.min_confidence:
        return None
    wanted = ", ".join(spec.languages)
    detail = f"the answer is in {language!r} (certainty {confidence:.2f}); wanted: {wanted} (languages)"
    return Quarantined("language", detail)


def by_script(text: str, min_characters: int = 1) -> str | None:
    """zh, ja or ko where the script says so; None elsewhere.

    >>> by_script("利率是多少？"), by_script("金利はいくらですか"), by_script("What is the rate?")
    ('zh', 'ja', None)
    """
    if text.isascii():
        return None
    han, kana, hangul = (_num(script, text) for script in (HAN, KANA, HANGUL))
    dense = han + kana + hangul
    others = _num(LETTER, text) - dense
    if 2 * dense < min_characters or 4 * dense < others:  # a Chinese character says what two to four letters do
        return None
    if hangul > han + kana:
        return "ko"
    return "ja" if kana >= KANA_FRAC * (han + kana) else "zh"


def is_english(text: str) -> bool:
    """Whether `text` is plainly English.

    >>> is_english("The rate of the loan is fixed."), is_english("Der Zins ist fest.")
    (True, False)
    """
    return len(ENGLISH.findall(text.lower())) >= ENGLISH_FRAC * max(1, len(LETTER.findall(text)))


def _num(characters: re.Pattern[str], text: str) -> int:
    return sum(map(len, characters.findall(text)))


def _guessed(text: str) -> tuple[str, float]:
    language, confidence = _identifier().classify(text)
    return str(language), float(confidence)


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


CHECKS.add(
    "language",
    Check(
        name="language",
        place=50,
        about="Sets aside records whose answer is in another language than those named.",
        spec=LanguageSpec,
        default="off",
        decide=decide,
    ),
)
