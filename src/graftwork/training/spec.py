"""How one adapter is trained."""

from fractions import Fraction
from math import ceil
from typing import Annotated

from pydantic import Field, Tag, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import OFF, Spec, by_form
from graftwork.training.schedule import Constant, Cosine


class AdamW(Spec):
    """The optimizer (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""

    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decoupled decay of the adapter's tensors. 0 to 0.1 are usual."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Memory of the gradient's mean. 0.9 is usual."""

    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Memory of the gradient's square. 0.95 to 0.999 are usual."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the square, against division by zero."""


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

    accumulation: int = Field(default=1, ge=1, le=65536)
    """Forward passes in an optimizer step; batch_size times this many records make a step."""

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

    packing: Annotated[Annotated[Packing, Tag("a mapping")] | OFF, by_form] = "off"
    """How a step's records share rows; they never see each other and the gradient is the same. off: a row each."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    checkpoint_every: int = Field(default=25, ge=1)
    """Steps between checkpoints; a killed run goes on from the last."""

    seed: int = Field(default=0, ge=0, lt=1 << 62)
    """What the start of the adapter, the order of records and dropout are drawn from."""

    @model_validator(mode="after")
    def _has_one_length(self) -> "TrainSpec":
        if self.steps is not None and self.epochs is not None:
            hint = f"steps is {self.steps}; set one of them to null."
            raise SpecError([Problem("epochs", self.epochs, "steps or epochs, not both", hint)])
        return self

    @property
    def records_per_step(self) -> int:
        """Records that one optimizer step sees."""
        return self.batch_size * self.accumulation

    def num_steps(self, num_records: int) -> int:
        """Optimizer steps for a training set of `num_records`."""
        if self.steps is not None:
            return self.steps
        return max(1, ceil(Fraction(str(self.epochs or 1)) * num_records / self.records_per_step))
