"""Boilerplate: answers in which a model speaks of itself, a blank was never filled in, or a web page left its frame.

What stands between code fences is an example, not the answer's own words, so it is not looked at.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined
from graftwork.data.records import Record

if TYPE_CHECKING:
    from ahocorasick_rs import AhoCorasick

Kind = Literal["model", "placeholder", "page"]

ANYWHERE: dict[Kind, tuple[str, ...]] = {
    "model": (
        "as an ai language model",
        "as a large language model",
        "i am an ai language model",
        "i'm an ai language model",
        "my knowledge cutoff",
        "作为一个人工智能语言模型",
        "作为人工智能语言模型",
        "作为一名人工智能语言模型",
        "作为一个ai语言模型",
        "作为ai语言模型",
        "作为一名ai语言模型",
        "作为一个大型语言模型",
        "作为一个语言模型",
        "我是一个人工智能语言模型",
    ),
    "placeholder": (
        "lorem ipsum",
        "[insert answer",
        "[insert text",
        "[insert response",
        "[your answer here",
        "[todo",
        "<todo",
        "【待补充】",
        "【待填写】",
        "[待补充]",
        "此处省略答案",
    ),
}
"""What has no place in an answer, wherever it stands in it; lower case."""

IN_LINES = (
    "all rights reserved",
    "accept all cookies",
    "we use cookies",
    "this website uses cookies",
    "cookie policy",
    "privacy policy",
    "terms of use",
    "terms of service",
    "skip to main content",
    "skip to content",
    "click here to",
    "subscribe to our newsletter",
    "sign up for our newsletter",
    "版权所有",
    "未经授权不得转载",
    "转载请注明",
    "隐私政策",
    "用户协议",
    "点击查看更多",
    "上一篇",
    "下一篇",
    "扫描二维码关注",
    "icp备",
)
"""What the frame of a web page says; an answer may mention it, so only its share of an answer counts."""

KNOWN = (*(phrase for phrases in ANYWHERE.values() for phrase in phrases), *IN_LINES)
CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


class BoilerplateSpec(Spec):
    """What has no place in an answer."""

    kinds: tuple[Kind, ...] = ("model", "placeholder", "page")
    """model: a model that speaks of itself. placeholder: a blank never filled in. page: the frame of a web page."""

    phrases: tuple[str, ...] = ()
    """More phrases that no answer may have; upper and lower case are the same."""

    max_page_frac: float = Field(default=0.3, ge=0, le=1)
    """Largest share of an answer in lines that are of the frame of a web page. 0.1 to 0.5 are usual."""


def decide(spec: BoilerplateSpec, record: Record) -> Decision:
    """Quarantined for a phrase that has no place in an answer, or for too many lines from a web page's frame."""
    answer = _own_words(record.answer)
    if phrase := next((phrase for phrase in spec.phrases if phrase and phrase.lower() in answer), None):
        return Quarantined("boilerplate", f"the answer has {phrase!r} (phrases)")
    found = {KNOWN[i] for i, *_ in _finder().find_matches_as_indexes(answer)}
    if not found:
        return None
    for kind in spec.kinds:
        if phrase := next((phrase for phrase in ANYWHERE.get(kind, ()) if phrase in found), None):
            return Quarantined("boilerplate", f"the answer has {phrase!r}, kind {kind} (kinds)")
    return _of_page(spec, answer) if "page" in spec.kinds else None


@lru_cache(maxsize=1)
def _finder() -> AhoCorasick:
    from ahocorasick_rs import AhoCorasick

    return AhoCorasick(KNOWN)


def _of_page(spec: BoilerplateSpec, answer: str) -> Decision:
    share = _page_frac(answer)
    if share <= spec.max_page_frac:
        return None
    limit = f"{spec.max_page_frac:.0%} is the most (max_page_frac)"
    return Quarantined("boilerplate", f"{share:.0%} of the answer is the frame of a web page; {limit}")


def _own_words(answer: str) -> str:
    return (CODE.sub("", answer) if "```" in answer else answer).lower()


def _page_frac(answer: str) -> float:
    lines = [line.strip() for line in answer.splitlines()]
    framed = [line for line in lines if any(phrase in line for phrase in IN_LINES)]
    return sum(map(_own_length, framed)) / max(1, sum(map(len, lines)))


def _own_length(line: str) -> int:
    """Length of a line of the frame; of a longer one, which says more, only of the phrases in it."""
    named = sum(len(phrase) for phrase in IN_LINES if phrase in line)
    return len(line) if len(line) <= 4 * named else named


CHECKS.add(
    "boilerplate",
    Check(
        name="boilerplate",
        place=80,
        about="Sets aside records whose answer is no answer: a model on itself, an unfilled blank, a page's frame.",
        spec=BoilerplateSpec,
        default=BoilerplateSpec(),
        decide=decide,
    ),
)
