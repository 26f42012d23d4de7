"""How one adapter is trained."""

from fractions import Fraction
from math import ceil
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import OFF, Spec, by_form
from graftwork.training.schedule import Constant, Cosine
from graftwork.training.stopping import EarlyStopping, Kept


def _number_or_auto(value: object) -> str:
    return "auto" if isinstance(value, str) else "a number"


class AdamW(Spec):
    """The optimizer (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""

    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decoupled decay of the adapter's tensors, past Adam. 0 to 0.1 are usual. Not the same as training.l2."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Memory of the gradient's mean. 0.9 is usual."""

    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Memory of the gradient's square. 0.95 to 0.999 are usual."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the square, against division by zero."""

    b_rate_ratio: float = Field(default=1.0, gt=0, le=1024, exclude_if=lambda ratio: ratio == 1.0)
    """The learning rate of the factors B, as a multiple of that of A (LoRA+, https://arxiv.org/abs/2402.12354). 1: the
    same; 4 to 16 are usual, with a lower learning_rate."""


class Packing(Spec):
    """Records end to end in rows, instead of a row each and padding."""

    row_tokens: int = Field(default=2048, ge=2)
    """Most tokens of a row; a longer record has a row of its own. As many as memory allows; 1024 to 8192 are usual."""


class TrainSpec(Spec):
    """How one adapter is trained."""

    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps. 100 to 1000 are usual for a few thousand records. Not together with epochs."""

    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training records, instead of steps. Absent, like steps: one pass."""

    batch_size: int = Field(default=16, ge=1, le=65536)
    """Records in a forward pass. More is faster and takes more memory. 4 to 32 are usual."""

    accumulation: Annotated[
        Annotated[int, Field(ge=1, le=65536), Tag("a number")] | Annotated[Literal["auto"], Tag("auto")],
        Discriminator(_number_or_auto),
    ] = 1
    """Forward passes in an optimizer step; batch_size times this many records make a step. auto: batch_size records
    make a step, cut into as few passes as memory allows, which is measured before the training."""

    learning_rate: float = Field(default=2e-4, gt=0, lt=0.1)
    """Adam's step size. 1e-4 to 1e-3 are usual for adapters, ten times that of full tuning."""

    schedule: Annotated[Constant | Cosine, Field(discriminator="kind")] = Constant()
    """How the rate moves."""

    optimizer: AdamW = AdamW()
    """Adam's other settings."""

    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """The gradient of all tensors together is scaled down to this norm. null: never."""

    spectral_cap: float | None = Field(default=None, gt=0)
    """After every step the largest singular value of each low-rank factor is held at or below this. null: not held."""

    l2: float = Field(default=0.0, ge=0, lt=1, exclude_if=lambda l2: l2 == 0.0)
    """Adds l2 / 2 times the sum of the adapter's squared numbers to the loss. 0: nothing; 1e-5 to 1e-3 are usual."""

    ema_decay: float | None = Field(default=None, gt=0, lt=1, exclude_if=lambda decay: decay is None)
    """The adapter written is an average over the steps that keeps this share of itself at each. null: that of the last
    step; 0.9 to 0.999 are usual: about the last 10 to 1000 steps."""

    packing: Annotated[
        Annotated[Packing, Tag("a mapping")] | Annotated[Literal["auto", "off"], Tag("off")], by_form
    ] = "auto"
    """How records share rows; they never see each other and the gradient is the same. auto: those of a forward pass lie
    end to end, where the base can keep them apart. off: a row each, with padding."""

    conflicts: Literal["off", "report", "project"] = Field(default="off", exclude_if=lambda told: told == "off")
    """Each source of data.train is a task, and tasks may pull the adapter apart. report: the angle between their
    gradients is told at each step. project: besides, each gives up what points against another
    (https://arxiv.org/abs/2001.06782). off: not looked at."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    checkpoint_every: int = Field(default=25, ge=1)
    """Steps between checkpoints; a killed run goes on from the last."""

    keep_checkpoints: int = Field(default=2, ge=1, le=1000, exclude_if=lambda kept: kept == 2)
    """Newest checkpoints that are kept; the best one is kept besides. 2 is usual: one more, should one be damaged."""

    watch_every: int | None = Field(default=None, ge=1, exclude_if=lambda every: every is None)
    """Steps between looks at the singular values of every update (spectrum.jsonl). Absent: at checkpoints and the end.
    """

    evaluate_every: int | None = Field(default=None, ge=0, exclude_if=lambda every: every is None)
    """Steps between looks at the held-out loss. Absent: about ten in a run, fewer in a short one. 0: none."""

    evaluation_records: int | None = Field(default=None, ge=2, exclude_if=lambda num: num is None)
    """Held-out records of a look, at most all of them, always the same. Absent: 16 to 64, so that looks cost little."""

    early_stopping: Annotated[Annotated[EarlyStopping, Tag("a mapping")] | OFF, by_form] = Field(
        default="off", exclude_if=lambda stopping: stopping == "off"
    )
    """Ends the training when the held-out loss has stopped falling. off: all steps are done."""

    keep: Kept = Field(default="last", exclude_if=lambda keep: keep == "last")
    """Which adapter is written: that of the last step, or of the look with the lowest held-out loss (best)."""

    seed: int = Field(default=0, ge=0, lt=1 << 62)
    """What the start of the adapter, the order of records and dropout are drawn from."""

    @model_validator(mode="after")
    def _has_one_length(self) -> "TrainSpec":
        if self.steps is not None and self.epochs is not None:
            hint = f"steps is {self.steps}; set one of them to null."
            raise SpecError([Problem("epochs", self.epochs, "steps or epochs, not both", hint)])
        return self

    @model_validator(mode="after")
    def _looks_when_it_must(self) -> "TrainSpec":
        asked = {
            "evaluation_records": (self.evaluation_records, None),
            "early_stopping": (self.early_stopping, "off"),
            "keep": (self.keep, "last"),
        }
        hint = "evaluate_every is 0: the held-out loss is never looked at."
        if self.evaluate_every == 0 and (lost := {name: told for name, told in asked.items() if told[0] != told[1]}):
            raise SpecError(
                Problem(name, given if isinstance(given, str | int) else "a mapping", str(without or "null"), hint)
                for name, (given, without) in lost.items()
            )
        return self

    @model_validator(mode="after")
    def _has_room_for_tasks(self) -> "TrainSpec":
        if self.conflicts != "off" and self.records_per_step == 1:
            hint = "A step of one record has one task. Raise batch_size or accumulation."
            raise SpecError([Problem("conflicts", self.conflicts, "off", hint)])
        return self

    @property
    def looks_decide(self) -> bool:
        """Whether the held-out records have a say in which adapter comes out."""
        return self.early_stopping != "off" or self.keep == "best"

    @property
    def records_per_step(self) -> int:
        """Records that one optimizer step sees."""
        return self.batch_size * (1 if self.accumulation == "auto" else self.accumulation)

    def num_steps(self, num_records: int) -> int:
        """Optimizer steps for a training set of `num_records`."""
        if self.steps is not None:
            return self.steps
        return max(1, ceil(Fraction(str(self.epochs or 1)) * num_records / self.records_per_step))
