"""What one optimizer step saw. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskReport:
    """One task's part of a step.

    Attributes:
        source: number of the recipe's source that it is.
        loss_nats: mean over its own targets.
        grad_norm: of its part of the step's gradient, before anything is done to it.
    """

    source: int
    loss_nats: float
    num_targets: int
    grad_norm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PairReport:
    """How two tasks' gradients of a step lie to each other.

    Attributes:
        cosine: of the angle between them; below 0 they are in conflict. None when one of them is zero.
        angle_deg: the angle, 0 to 180.
    """

    sources: tuple[int, int]
    cosine: float | None
    angle_deg: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictReport:
    """The tasks of a step, and how they get on.

    Attributes:
        tasks: those that have records in it.
        pairs: every two of them.
        norm_ratio: norm of the projected gradient over that of the ordinary one, also where it is only reported. 1
            without conflict; above 1 where projecting gives up less than the tasks take from each other. None when
            nothing is left of the ordinary one.
    """

    tasks: tuple[TaskReport, ...]
    pairs: tuple[PairReport, ...]
    norm_ratio: float | None


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
        conflicts: between its tasks; None where they are not looked at.
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
    conflicts: ConflictReport | None = None
