"""The quick look that every run takes (held-out loss, answers word for word) as a result to show. Pure."""

from collections.abc import Mapping
from typing import Any

from graftwork.evaluation.result import (
    Changed,
    Comparison,
    DimensionResult,
    EvaluationResult,
    Kind,
    Measured,
    MetricResult,
    PairVerdict,
    Subject,
    Value,
    Verdict,
)

Z = 1.96
NOTE = (
    "A quick look: the held-out loss, and answers compared word for word. Name dimensions in the recipe "
    "(evaluation: {dimensions: [accuracy, robustness]}) for verdicts on more than that."
)
BY = "normal interval of the mean difference of pairs"


def quick_result(told: Mapping[str, Any], *, trained: Kind) -> EvaluationResult:
    """What `evaluation.json` says where no dimensions were asked for; `trained` is whom it calls the adapter."""
    metrics = [_loss(told["loss"], trained)]
    exact = told.get("exact_answers")
    if exact:
        metrics.insert(0, _exact(exact, trained))
    verdicts = tuple(
        PairVerdict(subject=one.subject, reference=one.reference, verdict=one.verdict)
        for metric in metrics
        for one in metric.comparisons
    )
    left_out = [f"{num} held-out records were not answered: {why}." for why, num in told["passed_over"].items()]
    dimension = DimensionResult(
        name="accuracy",
        about="How well held-out records are answered.",
        num_items=exact["num_records"] if exact else told["loss"]["num_records"],
        metrics=tuple(metrics),
        verdicts=verdicts,
        changed=tuple(_changed(told.get("examples", ()), trained)),
        notes=tuple(left_out),
    )
    subjects = (Subject(name="base", kind="base"), Subject(name=trained, kind=trained))
    return EvaluationResult(subjects=subjects, dimensions=(dimension,), verdicts=verdicts, notes=(NOTE,))


def _loss(loss: Mapping[str, Any], trained: str) -> MetricResult:
    values = tuple(_value(name, loss[key], None) for name, key in (("base", "base"), (trained, "adapter")))
    about = "Minus the logarithm of the likelihood of what should have been said, per token."
    return MetricResult(name="loss", unit=loss["unit"], better="less", about=about, values=values)


def _exact(exact: Mapping[str, Any], trained: str) -> MetricResult:
    values = tuple(
        _value(name, exact[key], exact[key]["interval"]) for name, key in (("base", "base"), (trained, "adapter"))
    )
    return MetricResult(
        name="exact",
        unit="share of answers",
        better="more",
        about="Answers that are the expected ones word for word.",
        is_share=True,
        is_main=True,
        values=values,
        comparisons=(_gain(exact, trained),),
    )


def _value(subject: str, estimate: Mapping[str, Any], interval: Any) -> Value:
    mean, half, num = estimate["mean"], Z * estimate["stderr"], estimate["num_scored"]
    low, high = interval or (mean - half, mean + half)
    return Value(subject=subject, measured=Measured(value=mean, low=low, high=high, num_items=num, num_groups=num))


def _gain(exact: Mapping[str, Any], trained: str) -> Comparison:
    """From the kept mean and error of the paired differences, each of which is -1, 0 or 1."""
    gain, num = exact["gain"], exact["num_records"]
    mean, half = gain["mean"], Z * gain["stderr"]
    low, high = (mean - half, mean + half) if half else (None, None)  # all differ alike: no spread to tell it from
    verdict: Verdict = "not shown" if low is None or high is None or low <= 0 <= high else _side(mean)
    changed = round(gain["stderr"] ** 2 * num * (num - 1) + num * mean**2)  # sum of squares: one for each that differs
    return Comparison(
        subject=trained,
        reference="base",
        difference=mean,
        low=low,
        high=high,
        p=None,
        p_adjusted=None,
        margin=None,
        bound=None,
        p_not_worse=None,
        verdict=verdict,
        smallest_shown=None,
        needed_items=None,
        num_items=num,
        num_groups=num,
        num_better=(changed + round(num * mean)) // 2,
        num_worse=(changed - round(num * mean)) // 2,
        by=BY,
    )


def _side(mean: float) -> Verdict:
    return "better" if mean > 0 else "worse"


def _changed(examples: Any, trained: str) -> list[Changed]:
    told = []
    for number, one in enumerate(examples, 1):
        before, after = (float(one[key].strip() == one["expected"].strip()) for key in ("base", "adapter"))
        if before != after:
            told.append(
                Changed(
                    item=str(number),
                    metric="exact",
                    subject=trained,
                    reference="base",
                    is_better=after > before,
                    before=before,
                    after=after,
                    asked=one["prompt"],
                    expected=one["expected"],
                    said_before=one["base"],
                    said_after=one["adapter"],
                )
            )
    return told
