"""Personal data in English by Microsoft Presidio, through the package `presidio-analyzer`."""

from collections.abc import Iterator
from typing import Any

from graftwork.core.errors import Problem, SpecError
from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import Hit, Recogniser
from graftwork.data.privacy.recognisers.person_en import canonical


def recogniser() -> Recogniser:
    """The recogniser, its model loaded. Only its names of persons are used; the embedded ones find the rest.

    Raises:
        SpecError: the package, or the model it reads with, is not installed.
    """
    hint = "Install both: pip install presidio-analyzer && python -m spacy download en_core_web_lg"
    try:
        from presidio_analyzer import AnalyzerEngine

        engine: Any = AnalyzerEngine()
    except (ImportError, OSError, SystemExit) as error:  # its model is missing: it tries to fetch it, then gives up
        raise SpecError([Problem("models", "presidio", "the package presidio-analyzer and its model", hint)]) from error

    def find(page: Page) -> Iterator[Hit]:
        for result in engine.analyze(text=page.text, language="en", entities=["PERSON"]):
            yield Hit(result.start, result.end, float(result.score))

    return Recogniser("presidio", "person", find, canonical, str.title)
