"""All dimensions; one more is one file here and one import line."""

from graftwork.evaluation.dimensions import (
    accuracy,
    consistency,
    efficiency,
    forgetting,
    robustness,
    safety,
)

__all__ = [
    "accuracy",
    "consistency",
    "efficiency",
    "forgetting",
    "robustness",
    "safety",
]
