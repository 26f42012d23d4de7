"""Questions that come with graftwork, written for it, in English and Chinese; one file a set and language."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
ORIGIN = "graftwork (Apache-2.0)"


@cache
def rows(name: str, language: Language) -> tuple[dict[str, Any], ...]:
    """The rows of a set, in their order; not to be changed."""
    text = files(__package__).joinpath(f"{name}.{language}.jsonl").read_text("utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


def every(name: str) -> Iterator[tuple[Language, dict[str, Any]]]:
    """The rows of a set in every language."""
    for language in LANGUAGES:
        for row in rows(name, language):
            yield language, row
