"""The metrics of one answer. One more is one more file here and one more import line."""

from graftwork.evaluation.metrics import (
    bits,
    bleu,
    choice,
    chrf,
    exact,
    exact_loose,
    f1,
    rouge,
)

__all__ = ["bits", "bleu", "choice", "chrf", "exact", "exact_loose", "f1", "rouge"]
