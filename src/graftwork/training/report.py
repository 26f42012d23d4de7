"""What one optimizer step saw. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What one optimizer step saw.

    Attributes:
        step: steps done so far, this one included.
        loss_nats: mean over the step's target tokens, before the update, without the penalty.
        penalty: what the method adds to the loss; 0 when it adds nothing.
        grad_norm: over all trained tensors, before clipping.
        max_singular_value: before capping; None without a cap.
        skipped: how often a gradient overflowed float16; the step was then done again with a smaller loss scale.
    """

    step: int
    loss_nats: float
    penalty: float
    grad_norm: float
    learning_rate: float
    num_targets: int
    num_tokens: int
    seconds: float
    max_singular_value: float | None
    skipped: int = 0
