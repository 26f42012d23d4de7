"""The adapter methods. One more method is one more file here and one more import line."""

from graftwork.adapters.methods import (
    adalora,
    bottleneck,
    delta_lora,
    dora,
    dynamic_lora,
    ia3,
    lora,
    lora_xs,
    pissa,
    prefix_tuning,
    prompt_tuning,
    structured_lora,
)

__all__ = [
    "adalora",
    "bottleneck",
    "delta_lora",
    "dora",
    "dynamic_lora",
    "ia3",
    "lora",
    "lora_xs",
    "pissa",
    "prefix_tuning",
    "prompt_tuning",
    "structured_lora",
]
