"""Whether a loaded adapter acts, and as it did when it was trained: its logits held against those on record. Pure.

Legend: P prompts, K tokens whose logits are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from graftwork.adapters.logits import STEP, DtypeName, LogitFingerprint
from graftwork.core.errors import IntegrityError

EPSILON: dict[DtypeName, float] = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}
"""The distance from 1 to the next number that a format has."""

FINEST = 2.0**-14
"""Taken for finer formats: sums of a whole network in another order differ by more than their last bits."""

MOST_GRAINS = 4.0
"""A base that differs from its record by more grains is another one. Measured: 0.7 from float32 to bfloat16, 1.2 to
float16, with SmolLM2 135M."""

EFFECT_EPSILONS = 16.0
"""Epsilons of its effect that an adapter may be off beside what its base is off: what it adds is rounded in every
layer, too. Measured: up to 12, with random adapters as strong as their base."""

Outcome = Literal["proved", "other base", "no effect", "untrained", "other adapter"]

Numbers = Sequence[Sequence[float]]
"""Logits by prompt, then by the ids on record."""

Apart = Callable[[Sequence[float]], float]
"""How far a prompt's logits are from others, from their differences."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What came of comparing; logits everywhere.

    Attributes:
        reason: in words, for whoever asked for the adapter.
        noise: how far the base is from its record, at most.
        tolerance: how far an adapter may be from its own.
        effect: how far the adapter is from its base here, at most.
        recorded_effect: how far it was from what it stands on when it was trained.
        distance: how far the adapter is from its record, at most.
    """

    outcome: Outcome
    reason: str
    noise: float
    tolerance: float
    effect: float
    recorded_effect: float
    distance: float

    @property
    def is_proved(self) -> bool:
        """Whether the adapter may be given out."""
        return self.outcome == "proved"


def judge(
    recorded: LogitFingerprint, adapter_PK: Numbers, base_PK: Numbers, *, dtype: DtypeName, is_relative: bool = False
) -> Verdict:
    """Whether logits computed here say that the adapter on record acts here.

    All distances are the largest over all prompts and ids, in logits. Of logits that are known but for a constant a
    prompt (`is_relative`), each prompt's distance is that after the best constant: half of what lies between its
    largest and its smallest difference, on record as here. What rounding may change goes by the whole effect on record
    in both cases.

        epsilon    the coarser one of the two number formats (there and here), at least 2^-14
        grain      epsilon * the largest logit on record, without its sign
        noise      |base here - base on record|: what another machine, kernel or format changes, measured on the base
        tolerance  the larger of 2 * noise and 4 * grain, + 16 * epsilon * |adapter on record - what it stands on|, and
                   what rounding in the file adds: what the same may change about the adapter. The base may be 4 grains
                   off its record, so may an adapter: by chance the base is nearer at one moment than the adapter is.

    In this order:

        other base     noise > 4 * grain: no number format explains it
        untrained      |adapter on record - what it stands on| <= tolerance: no load could be told from none
        no effect      |adapter here - base here| <= tolerance: it was loaded and does not act (left out for one that
                       stands on another, which may act where it does not: the next line sees that)
        other adapter  |adapter here - adapter on record| > tolerance
        proved         else

    Args:
        adapter_PK: logits here with the adapter, at the ids on record.
        base_PK: those of the base alone.
        dtype: number format of the base here.
        is_relative: whether they are log-probabilities, or logits but for a constant a prompt in any other way.

    Raises:
        IntegrityError: there are other prompts or ids than on record, or a logit is no finite number.
    """
    asked, apart = recorded.asked, _half_range if is_relative else _largest
    then_adapter, then_base = [one.adapter for one in asked], [one.base for one in asked]
    noise, distance = _farthest(base_PK, then_base, apart), _farthest(adapter_PK, then_adapter, apart)
    recorded_effect = _farthest(then_adapter, [one.before for one in asked], apart)
    scale = max(abs(logit) for row in (*then_adapter, *then_base) for logit in row)
    epsilon = max(EPSILON[recorded.dtype], EPSILON[dtype], FINEST)
    grain = scale * epsilon
    measured = {
        "noise": noise,
        "tolerance": max(2 * noise, MOST_GRAINS * grain) + EFFECT_EPSILONS * epsilon * recorded.effect + STEP,
        "effect": _farthest(adapter_PK, base_PK, apart),
        "recorded_effect": recorded_effect,
        "distance": distance,
    }
    stands_on_base = all(one.under is None for one in recorded.asked)
    outcome = _outcome(measured, most_noise=MOST_GRAINS * grain + STEP, stands_on_base=stands_on_base)
    where = f"{dtype} here, {recorded.dtype} there"
    return Verdict(outcome=outcome, reason=_reason(outcome, measured, where, MOST_GRAINS * grain), **measured)


def _outcome(measured: dict[str, float], *, most_noise: float, stands_on_base: bool) -> Outcome:
    tolerance = measured["tolerance"]
    if measured["noise"] > most_noise:
        return "other base"
    if measured["recorded_effect"] <= tolerance:
        return "untrained"
    if measured["effect"] <= tolerance and stands_on_base:
        return "no effect"
    return "other adapter" if measured["distance"] > tolerance else "proved"


def _reason(outcome: Outcome, measured: dict[str, float], where: str, most_noise: float) -> str:
    told = {name: f"{value:.3g}" for name, value in measured.items()}
    told |= {"most": f"{most_noise:.3g}", "where": where}
    words: dict[Outcome, str] = {
        "proved": "its logits are those on record: {distance} apart where {tolerance} may be, its effect is {effect}.",
        "other base": "the base answers otherwise than when it was trained: its logits are {noise} apart, and number "
        "formats ({where}) explain {most}. Serve the base that it was trained on, kept as it was then.",
        "untrained": "it moves its base's logits by {recorded_effect}, and less than {tolerance} cannot be told from "
        "nothing ({where}). Train it, or serve it in a finer number format.",
        "no effect": "it was loaded and does not act: it moves the base's logits by {effect}, and by {recorded_effect} "
        "when it was trained.",
        "other adapter": "it acts otherwise than when it was trained: its logits are {distance} apart where "
        "{tolerance} may be ({where}).",
    }
    return words[outcome].format_map(told)


def _farthest(here: Numbers, there: Numbers, apart: Apart) -> float:
    return max(apart(differences) for differences in _differences(here, there))


def _largest(differences: Sequence[float]) -> float:
    return max(map(abs, differences))


def _half_range(differences: Sequence[float]) -> float:
    """The largest one after the constant that makes it smallest."""
    return (max(differences) - min(differences)) / 2


def _differences(here: Numbers, there: Numbers) -> Iterator[list[float]]:
    """By prompt."""
    if [len(row) for row in here] != [len(row) for row in there]:
        raise IntegrityError("other prompts or tokens were asked than are on record.")
    for mine, its in zip(here, there, strict=True):
        differences = [a - b for a, b in zip(mine, its, strict=True)]
        if not all(abs(difference) < float("inf") for difference in differences):
            raise IntegrityError("the base or the adapter answers with logits that are no finite numbers.")
        yield differences
