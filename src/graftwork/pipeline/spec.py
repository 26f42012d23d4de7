"""The whole request: what a recipe says. No torch."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args

from pydantic import Field, SerializerFunctionWrapHandler, Tag, field_validator, model_serializer, model_validator

from graftwork.adapters.wanted import AdapterSpec
from graftwork.base.facts import Quantised
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.data.spec import DataSpec
from graftwork.evaluation.spec import EvaluationSpec
from graftwork.pipeline.card_spec import CardSpec
from graftwork.pipeline.conflict_problems import conflict_problems
from graftwork.pipeline.evaluation.baseline_spec import baseline_problems
from graftwork.pipeline.full_problems import full_problems
from graftwork.pipeline.stage_problems import stage_problems
from graftwork.pipeline.stage_spec import PARTS, StageSpec, with_last
from graftwork.pipeline.trackers import TRACKERS
from graftwork.training.full_spec import FullSpec
from graftwork.training.spec import TrainSpec

if TYPE_CHECKING:
    TuneSpec = Any
else:
    _one_adapter, _by_method = get_args(AdapterSpec)
    TuneSpec = Annotated[Union[(*get_args(_one_adapter), Annotated[FullSpec, Tag("full")])], _by_method]

PresetName = Literal["regulated", "no-regret", "rl", "light"]


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

    adapter: TuneSpec
    """The method and its settings; full trains the base itself, on a copy."""

    stages: tuple[StageSpec, ...] = Field(default=(), max_length=16, exclude_if=lambda stages: not stages)
    """Trainings of the same adapter one after another, each with what differs from data and training. None is usual."""

    on: str | None = Field(default=None, min_length=1, exclude_if=lambda on: on is None)
    """A finished adapter that this one is trained on top of: the folder of a run or of an adapter; none is usual."""

    training: TrainSpec = TrainSpec()
    """How the adapter is trained."""

    evaluation: EvaluationSpec = EvaluationSpec()
    """How base and adapter are compared."""

    card: CardSpec = Field(default=CardSpec(), exclude_if=lambda card: card == CardSpec())
    """What people say of the adapter on its model card: what it is for, whose data it learned from, its licence."""

    @property
    def is_full(self) -> bool:
        """Whether the base itself is trained, and no adapter."""
        return isinstance(self.adapter, FullSpec)

    @classmethod
    def filled(cls, raw: Any) -> Any:
        """With stages, data and training are those of the last one."""
        return with_last(raw) if isinstance(raw, dict) else raw

    @model_serializer(mode="wrap")
    def _each_once(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = whole(self)
        return {key: value for key, value in told.items() if not (self.stages and key in PARTS)}

    @model_validator(mode="after")
    def _fits_its_stages(self) -> "RunSpec":
        if self.stages and (problems := list(stage_problems(self))):
            raise SpecError(problems)
        return self

    @model_validator(mode="after")
    def _has_tasks_in_conflict(self) -> "RunSpec":
        if problems := list(conflict_problems(self)):
            raise SpecError(problems)
        return self

    @model_validator(mode="after")
    def _fits_full_tuning(self) -> "RunSpec":
        if self.is_full and (problems := list(full_problems(self))):
            raise SpecError(problems)
        return self

    @model_validator(mode="after")
    def _fits_its_baseline(self) -> "RunSpec":
        if problems := list(baseline_problems(self)):
            raise SpecError(problems)
        return self

    trackers: tuple[str, ...] = Field(default=(), exclude_if=lambda trackers: not trackers)
    """Other tools that show the training too: tensorboard, mlflow. None is usual; metrics are kept in any case."""

    @field_validator("trackers")
    @classmethod
    def _are_known(cls, trackers: tuple[str, ...]) -> tuple[str, ...]:
        known = f"one of {', '.join(TRACKERS)}"
        problems = [Problem("", name, known, did_you_mean(name, TRACKERS)) for name in trackers if name not in TRACKERS]
        if len(set(trackers)) < len(trackers):
            problems.append(Problem("", list(trackers), "each tracker once"))
        if problems:
            raise SpecError(problems)
        return trackers
