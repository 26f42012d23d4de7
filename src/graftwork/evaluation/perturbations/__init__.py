"""The disturbances of a prompt. One more is one more file here and one more import line."""

from graftwork.evaluation.perturbations import (
    case,
    distractor,
    frame,
    homophones,
    keyboard,
    option_order,
    script,
    spaces,
    typos,
    width,
)

__all__ = [
    "case",
    "distractor",
    "frame",
    "homophones",
    "keyboard",
    "option_order",
    "script",
    "spaces",
    "typos",
    "width",
]
