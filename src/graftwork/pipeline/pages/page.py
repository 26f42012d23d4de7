"""A page from its template: one file of HTML that needs nothing else, in two languages, with everything escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from graftwork.core.units import count_text
from graftwork.pipeline.pages.charts import path_of
from graftwork.pipeline.pages.figures import share_text
from graftwork.pipeline.pages.glossary import GLOSSARY
from graftwork.pipeline.pages.visible import plain, visible, with_white_space
from graftwork.pipeline.pages.words import Both, label, metric_word, term

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

Language = Literal["en", "zh"]
BESIDE_NUMBER = re.compile(r"(?<=\d) | (?=\d)")
"""Spaces at which a Chinese line must not break: a number stays with what it counts."""


def rendered(template: str, values: Mapping[str, Any], language: Language = "en") -> str:
    """The page of `template` with `values` in it, which opens in `language`."""
    return _environment().get_template(template).render({**values, "language": language})


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("graftwork.pipeline.pages") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(both=both, label=label, say=_say, text=shown, parts=shown_parts)
    environment.globals.update(token_text=token_text, share=share_text, plain=plain, glossary=GLOSSARY, path=path_of)
    environment.globals.update(verdict_word=partial(term, "verdict"), metric_word=metric_word)
    environment.filters.update(count=count_text)
    return environment


def _say(key: str, **values: object) -> Markup:
    return both(label(key, **values))


def both(words: Both) -> Markup:
    """Words in both languages, of which the reader sees one; the same in both is written once."""
    from markupsafe import Markup

    english, chinese = words
    if english == chinese:
        return _marked(english)
    pattern = '<span class="en" lang="en">{}</span><span class="zh" lang="zh-Hans">{}</span>'
    return Markup(pattern).format(_marked(english), _marked(BESIDE_NUMBER.sub("\u00a0", chinese)))


def shown(text: object) -> Markup:
    """Text from outside: escaped, kept apart from what stands around it, its unseen characters as marks."""
    from markupsafe import Markup

    return Markup('<bdi dir="auto">{}</bdi>').format(_marked(str(text)))


def shown_parts(parts: Iterable[tuple[str, bool]], tag: str) -> Markup:
    """Text in parts, of which the true ones are put into `tag`, with their white space shown."""
    from markupsafe import Markup

    around = Markup(f"<{tag}>{{}}</{tag}>")
    done = (around.format(_marked(with_white_space(part))) if changed else _marked(part) for part, changed in parts)
    return Markup('<bdi dir="auto">{}</bdi>').format(Markup().join(done))


def token_text(text: str) -> Markup:
    """What a token says, line breaks and tabs with a sign before them."""
    from markupsafe import Markup

    sign = Markup('<span class="sign" aria-hidden="true">↵</span>\n')
    return sign.join(_marked(line.replace("\t", "⇥\t")) for line in text.split("\n"))


def _marked(text: str) -> Markup:
    from markupsafe import Markup, escape

    mark = Markup('<span class="unseen">{}</span>')
    return Markup().join(mark.format(part) if is_mark else escape(part) for part, is_mark in visible(text))
