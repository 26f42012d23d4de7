"""What the step `evaluate` follows from: another value of any of it, and it is done again."""

from __future__ import annotations

from typing import Any

from graftwork.core.spec import plain
from graftwork.pipeline.below import told_below
from graftwork.pipeline.evaluation.of_run import told_general
from graftwork.pipeline.evaluation_paths import digests_of_files
from graftwork.pipeline.folder import Done
from graftwork.pipeline.prepare import EVALUATION
from graftwork.pipeline.work import Work


def evaluate_inputs(work: Work, prepared: Done, trained: Done, baseline: Done | None) -> dict[str, Any]:
    """The inputs as plain data; `baseline` is full tuning on the same records, if it stands beside."""
    spec = work.spec
    return {
        "base": work.fingerprint.digest,
        "dtype": spec.dtype,
        "attention": spec.attention,
        **({} if spec.quantised == "off" else {"quantised": spec.quantised}),
        "adapter": trained.summary["model_digest" if spec.is_full else "adapter_digest"],
        "data": [prepared.outputs[name] for name in (EVALUATION, "data/evaluation.tokens", "data/evaluation.targets")],
        "evaluation": dict(plain(spec.evaluation)),
        **told_below(work),
        **({"baseline": baseline.summary["model_digest"]} if baseline else {}),
        **told_general(work),
        **({"files": named} if (named := digests_of_files(spec.evaluation)) else {}),
    }
