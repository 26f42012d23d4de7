"""A result of an evaluation as the engine would write it, by hand: base, adapter, full tuning, six dimensions."""

from graftwork.evaluation.result import (
    Changed,
    Comparison,
    DimensionResult,
    EvaluationResult,
    Measured,
    MetricResult,
    PairVerdict,
    Slice,
    Subject,
    Value,
)

SUBJECTS = (
    Subject(name="base", kind="base", digest="47" * 32, about="bundled:smollm2-135m-instruct"),
    Subject(name="adapter", kind="adapter", digest="99" * 32, about="lora, rank 16"),
    Subject(name="full", kind="full", digest="ab" * 32, about="rate 3e-5"),
)


def measured(value, half=0.03, *, items=400, groups=None):
    low, high = (None, None) if half is None else (value - half, value + half)
    groups = items if groups is None else groups
    return Measured(value=value, low=low, high=high, num_items=items, num_groups=groups, by="cluster t")


def value(subject, number, half=0.03, *, slices=(), **more):
    told = tuple(Slice(name=name, value=part, measured=measured(at, items=80)) for name, part, at in slices)
    worst = min(told, key=lambda one: one.measured.value) if told else None
    return Value(subject=subject, measured=measured(number, half, **more), slices=told, worst=worst)


def comparison(subject, reference, difference, verdict, half=0.04, **more):
    given = {
        "low": difference - half,
        "high": difference + half,
        "p": 0.0004 if verdict in ("better", "worse") else 0.31,
        "p_adjusted": 0.0008 if verdict in ("better", "worse") else 0.62,
        "margin": 0.02,
        "bound": half - difference,
        "p_not_worse": 0.2 if verdict == "not shown" else 0.001,
        "smallest_shown": 0.06,
        "needed_items": 2400 if verdict == "not shown" else 180,
        "num_items": 400,
        "num_groups": 400,
        "num_better": 61,
        "num_worse": 12,
    }
    names = {"subject": subject, "reference": reference}
    return Comparison(**{**given, **names, "difference": difference, "verdict": verdict, **more})


def metric(name, numbers, verdicts, *, half=0.03, slices=False, **more):
    """A metric with its values for base, adapter and full tuning, and the verdicts beside base and full tuning."""
    told = {"unit": "share of answers", "better": "more", "about": f"How {name} it is.", "is_main": True, **more}
    parts = [("language", "en"), ("language", "zh"), ("disturbance", "typos"), ("disturbance", "homophones")]
    values = tuple(
        value(one.name, at, half, slices=[(n, p, at - 0.02 * i) for i, (n, p) in enumerate(parts)] if slices else ())
        for one, at in zip(SUBJECTS, numbers, strict=True)
    )
    base, adapter, full = numbers
    pairs = (("adapter", "base", adapter - base), ("adapter", "full", adapter - full), ("full", "base", full - base))
    given = {"margin": 0.02 if "share" in told["unit"] else 0.01}
    comparisons = tuple(
        comparison(s, r, d, verdict, half=1.4 * (half or 0.01), **given)
        for (s, r, d), verdict in zip(pairs, verdicts, strict=True)
    )
    return MetricResult(name=name, values=values, comparisons=comparisons, **told)


def dimension(name, *metrics, verdicts, changed=(), notes=()):
    pairs = (("adapter", "base"), ("adapter", "full"), ("full", "base"))
    told = tuple(PairVerdict(subject=s, reference=r, verdict=v) for (s, r), v in zip(pairs, verdicts, strict=True))
    return DimensionResult(
        name=name,
        about=f"Whether {name} is as it should be.",
        num_items=400,
        metrics=metrics,
        verdicts=told,
        changed=changed,
        notes=notes,
    )


def change(item, *, is_better, asked, expected, said_before, said_after, metric="exact"):
    return Changed(
        item=item,
        metric=metric,
        subject="adapter",
        reference="base",
        is_better=is_better,
        before=float(not is_better),
        after=float(is_better),
        origin="triage.jsonl line 7",
        asked=asked,
        expected=expected,
        said_before=said_before,
        said_after=said_after,
    )


CHANGES = (
    change(
        "a1",
        is_better=True,
        asked="Glomerular filtration of a substance depends upon?",
        expected="Physiology",
        said_before="Glomerular filtration of a substance is dependent on its size and its charge.",
        said_after="Physiology",
    ),
    change(
        "a2",
        is_better=True,
        asked="退款需要几天到账？请只回答天数。",
        expected="三到五个工作日",
        said_before="退款时间取决于您的银行。一般来说，您需要联系客服了解详情。",
        said_after="三到五个工作日",
    ),
    change(
        "a3",
        is_better=False,
        asked="What causes shifting fluid?\n\n<script>alert(1)</script>",
        expected="Ophthalmology",
        said_before="Ophthalmology",
        said_after="Gynaecology",
    ),
)

RESULT = EvaluationResult(
    subjects=SUBJECTS,
    dimensions=(
        dimension(
            "accuracy",
            metric("exact", (0.0, 0.75, 0.76), ("better", "not worse", "better"), slices=True, is_share=True),
            metric("f1", (0.11, 0.79, 0.80), ("better", "not worse", "better"), is_main=False),
            metric(
                "bits_per_byte",
                (2.31, 0.42, 0.40),
                ("better", "not shown", "better"),
                half=0.06,
                unit="bits per byte",
                better="less",
                is_main=False,
            ),
            verdicts=("better", "not worse", "better"),
            changed=CHANGES,
        ),
        dimension(
            "robustness",
            metric("flips", (0.41, 0.18, 0.22), ("better", "not worse", "better"), slices=True, better="less"),
            verdicts=("better", "not worse", "better"),
        ),
        dimension(
            "consistency",
            metric("agreement", (0.58, 0.61, 0.60), ("not shown", "not worse", "not shown")),
            verdicts=("not shown", "not worse", "not shown"),
            notes=("Answers were not sampled: the engine is greedy.",),
        ),
        dimension(
            "safety",
            metric("sensitive_answers", (0.005, 0.0, 0.0), ("not worse",) * 3, half=0.005, better="less"),
            verdicts=("not worse", "not worse", "not worse"),
        ),
        dimension(
            "forgetting",
            metric(
                "bits_per_byte",
                (1.102, 1.164, 1.241),
                ("worse", "better", "worse"),
                half=0.012,
                unit="bits per byte",
                better="less",
            ),
            verdicts=("worse", "better", "worse"),
        ),
        DimensionResult(
            name="efficiency",
            about="What an answer costs.",
            metrics=tuple(
                MetricResult(
                    name=name,
                    unit=unit,
                    better=better,
                    about=f"{name}.",
                    values=tuple(value(s.name, at, half) for s, at in zip(SUBJECTS, numbers, strict=True)),
                )
                for name, unit, better, numbers, half in (
                    ("decode_s", "s per token", "less", (0.0412, 0.0466, 0.0411), 0.0007),
                    ("tokens_per_s", "tokens per s", "more", (24.3, 21.5, 24.3), 0.4),
                    ("bytes", "bytes", "less", (6.1e8, 6.3e8, 6.1e8), None),
                )
            ),
        ),
    ),
    verdicts=(
        PairVerdict(subject="adapter", reference="base", verdict="better"),
        PairVerdict(subject="adapter", reference="full", verdict="not worse"),
    ),
    manifest={
        one.name: {
            "base": {"weights": "47" * 32, "template": "dc" * 32},
            "libraries": {"torch": "2.13.0+cpu", "transformers": "5.23.0"},
            "hardware": "2 x x86_64",
            "subject": one.digest,
        }
        for one in SUBJECTS
    },
    notes=("3 held-out records were not asked: they call tools.",),
)
