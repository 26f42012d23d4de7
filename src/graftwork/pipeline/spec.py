"""The whole request: what a recipe says. No torch."""

from typing import Literal

from pydantic import Field

from graftwork.adapters.wanted import AdapterSpec
from graftwork.base.facts import Quantised
from graftwork.core.spec import Spec
from graftwork.data.spec import DataSpec
from graftwork.training.spec import TrainSpec

PresetName = Literal["regulated", "no-regret", "rl", "light"]


class EvaluationSpec(Spec):
    """How base and adapter are compared on the held-out records."""

    answers: int = Field(default=100, ge=2)
    """Held-out records that are answered, and compared word for word; at most all of them. 100 to 1000 are usual."""

    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens of an answer."""

    batch_size: int = Field(default=16, ge=1)
    """Records in a forward pass."""


class RunSpec(Spec):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Names the run and its folder: letters, digits, dot, dash and underscore."""

    base: str = Field(min_length=1)
    """The frozen model: bundled:smollm2-135m-instruct, a folder, or a Hugging Face id with @revision."""

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Number format of the base; the adapter is float32. bfloat16 is usual."""

    attention: Literal["auto", "sdpa", "eager", "flex_attention", "flash_attention_2"] = "auto"
    """How the base computes attention; auto takes its own choice. flash_attention_2 needs its package and a GPU."""

    quantised: Quantised = Field(default="off", exclude_if=lambda quantised: quantised == "off")
    """Linear layers of the base in 8 bits (int8), or in 4 (int4, NF4 as in QLoRA), to save memory. off is usual."""

    preset: PresetName = "no-regret"
    """What the recipe starts from."""

    data: DataSpec
    """Where records come from."""

    adapter: AdapterSpec
    """The method and its settings."""

    on: str | None = Field(default=None, min_length=1, exclude_if=lambda on: on is None)
    """A finished adapter that this one is trained on top of: the folder of a run or of an adapter; none is usual."""

    training: TrainSpec = TrainSpec()
    """How the adapter is trained."""

    evaluation: EvaluationSpec = EvaluationSpec()
    """How base and adapter are compared."""
