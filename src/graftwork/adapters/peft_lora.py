"""LoRA in PEFT's words, and what PEFT calls LoRA too: DoRA, and LoRA of fused experts. Pure.

Tensors are called `base_model.model.<layer>.lora_A.weight`. PEFT wraps a module of experts once for each of its fused
tensors, the last one outermost: each one further in has one more `.base_layer` in its name.

Legend: R rank, I in features, O out features, E experts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.adapters.asked import Asked
from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import FORMS, AskedByKey, FileForm, Header
from graftwork.adapters.method import METHODS, Method
from graftwork.adapters.methods.lora import LowRank
from graftwork.adapters.peft_config import (
    PREFIX,
    ByPattern,
    Keys,
    Patterns,
    Targeted,
    exactly,
    matched,
    named,
    pattern_problems,
    places,
    read,
    refuse_no_place,
    short_names,
    task_type,
)
from graftwork.adapters.ranks import MAX_RANK
from graftwork.adapters.targets import LinearSpec
from graftwork.base.facts import BaseFacts, ExpertsPlace, LinearPlace
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter

TENSOR = {"a_RI": "lora_A.weight", "b_OR": "lora_B.weight", "magnitude_O": "lora_magnitude_vector"}
EXPERTS_TENSOR = {"a_ERI": "lora_A.weight", "b_EOR": "lora_B.weight"}

OFF = {
    "bias": "none", "lora_bias": False, "layer_replication": None, "trainable_token_indices": None,
    "alora_invocation_tokens": None, "arrow_config": None, "use_qalora": False, "use_bdlora": None,
    "loftq_config": None, "eva_config": None, "corda_config": None, "lora_ga_config": None, "kasa_config": None,
    "velora_config": None, "monteclora_config": None, "megatron_config": None, "ensure_weight_tying": False,
    "enable_lora": None, "merge_weights": False,
}  # fmt: skip

KEYS = Keys(
    # fan_in_fan_out tells how the base stores its weight, which we see for ourselves
    without_effect=frozenset({"fan_in_fan_out", "megatron_core", "qalora_group_size", "runtime_config"}),
    off=OFF,
    more="This asks for more than LoRA on linear layers.",
    may_be_null=frozenset(
        {
            "task_type", "rank_pattern", "alpha_pattern", "exclude_modules", "layers_to_transform", "layers_pattern",
            "target_parameters",
        }
    ),
)  # fmt: skip

EXPERT_ROLES = ("experts.gate_up", "experts.up", "experts.down")
"""In the order in which the base holds its fused tensors."""

INITS_THAT_KEEP_THE_BASE = (True, False, "gaussian", "orthogonal", "eva", "true", "false")
"""PEFT's other initialisations change the base's weights, so their tensors mean nothing on the base itself."""


def _form(value: object) -> str:
    return {str: "a pattern", int: "a number"}.get(type(value), "a list")


Layers = Annotated[
    Annotated[int, Tag("a number")] | Annotated[tuple[int, ...], Tag("a list")],
    Discriminator(_form),
]


Rank = Annotated[int, Field(ge=1, le=MAX_RANK)]
Alpha = Annotated[float, Field(gt=0, le=1e6)]


class PeftLora(Targeted):
    """The keys of PEFT's LoRA config that say what the adapter computes or where."""

    peft_type: Literal["LORA"]
    """Says which method this is."""

    r: Rank = 8
    """Rank."""

    lora_alpha: Alpha = 8.0
    """Strength."""

    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the update's inputs zeroed while training."""

    use_rslora: bool = False
    """Whether the scale is rank-stabilised."""

    use_dora: bool = False
    """Whether the update's magnitude is trained apart."""

    rank_pattern: dict[str, Rank] = Field(default_factory=dict)
    """Ranks of places that a pattern matches."""

    alpha_pattern: dict[str, Alpha] = Field(default_factory=dict)
    """Strengths of places that a pattern matches."""

    target_modules: Patterns = ()
    """Names of layers, or a regular expression."""

    target_parameters: tuple[str, ...] = ()
    """Names of fused tensors of experts."""

    layers_to_transform: Layers | None = None
    """Numbers of the layers to adapt."""

    layers_pattern: Patterns = ()
    """Name of the list of layers."""

    init_lora_weights: bool | str = True
    """How the tensors started."""

    @model_validator(mode="after")
    def _makes_sense(self) -> PeftLora:
        problems = []
        if self.init_lora_weights not in INITS_THAT_KEEP_THE_BASE:
            hint = "It changes the base's weights; save it from PEFT with path_initial_model_for_weight_conversion."
            expected = "an initialisation that keeps the base"
            problems.append(Problem("init_lora_weights", self.init_lora_weights, expected, hint))
        for key in ("layers_pattern", "rank_pattern", "alpha_pattern"):
            value = getattr(self, key)
            problems += pattern_problems(key, [value] if isinstance(value, str) else value)
        if self.target_parameters and (self.use_dora or self.lora_dropout):
            key = "use_dora" if self.use_dora else "lora_dropout"
            problems.append(Problem(key, getattr(self, key), "nothing of it with target_parameters, as in PEFT"))
        if problems:
            raise SpecError(problems)
        return self


def holds(adapter: Adapter) -> bool:
    """LoRA or DoRA alone, asked for as one part, with one dropout and one scaling; at experts LoRA without dropout."""
    found = list(adapter.placed.values())
    methods = {here.method.name for here in found if isinstance(here.place, LinearPlace)}
    at_experts = [here for here in found if isinstance(here.place, ExpertsPlace)]
    settings = {(here.spec.dropout, here.spec.scaling) for here in found if isinstance(here.spec, LowRank)}
    return (
        all(isinstance(here.spec, LowRank) and here.part == 0 for here in found)
        and methods in ({"lora"}, {"dora"}, set())
        and len(settings) == 1
        and all(here.method is _of_experts() and not here.spec.dropout for here in at_experts)  # type: ignore[attr-defined]
        and not (at_experts and "dora" in methods)
    )


def config_of(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    """The `adapter_config.json` of a LoRA adapter: the most common rank and alpha, patterns for the others."""
    specs: dict[str, LowRank] = {name: here.spec for name, here in adapter.placed.items()}  # type: ignore[misc]
    linear = {name for name, here in adapter.placed.items() if isinstance(here.place, LinearPlace)}
    experts = sorted(specs.keys() - linear)
    rank = _most_common(spec.resolved_rank for spec in specs.values())
    alpha = _most_common(spec.alpha for spec in specs.values())
    any_here = next(iter(adapter.placed.values()))
    any_spec = next(iter(specs.values()))
    config = {
        "peft_type": "LORA",
        "task_type": task_type(facts),
        "base_model_name_or_path": base_ref,
        "r": rank,
        "lora_alpha": _whole(alpha),
        "lora_dropout": any_spec.dropout,
        "use_rslora": any_spec.scaling == "rank_stabilised",
        "use_dora": any_here.method.name == "dora",
        "rank_pattern": {exactly(n): s.resolved_rank for n, s in specs.items() if s.resolved_rank != rank},
        "alpha_pattern": {exactly(n): _whole(s.alpha) for n, s in specs.items() if s.alpha != alpha},
        "target_modules": short_names(linear, facts),
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
    }
    return {**config, "target_parameters": experts} if experts else config


def asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What the config says, by key; what it has no key for is known from the card alone.

    Raises:
        SpecError: a key is unknown, asks for more than LoRA, or has a value that makes no sense; all of them.
    """
    found = read(PeftLora, config, KEYS, header)
    method = METHODS["dora" if found.use_dora else "lora"]
    whole_names = frozenset(found.target_modules)
    linear = [p for p in places(found, facts) if p.name in whole_names or _is_at_depth(p, found)]
    experts = _experts(found, facts)
    if not linear and not experts:
        refuse_no_place(found, facts)
    known = settled_on(on_card, method)
    ranks, alphas = ByPattern(found.rank_pattern), ByPattern(found.alpha_pattern)
    here: dict[str, Asked] = {}
    alike: dict[tuple[str, Any, Any], Spec] = {}
    chosen: list[LinearPlace | ExpertsPlace] = [*linear, *experts]
    for place in chosen:
        own = _of_experts() if isinstance(place, ExpertsPlace) else method
        rank, alpha = ranks.at(place.name, found.r), alphas.at(place.name, found.lora_alpha)
        told = own.name, rank, alpha
        if told not in alike:
            alike[told] = _spec_at(place.name, found, own, {**known, "rank": rank, "alpha": alpha})
        here[place.name] = Asked(place=place, method=own, spec=alike[told], part=0)
    return here


def settled_on(on_card: Spec | None, method: Method) -> dict[str, Any]:
    """The settings of `method` that a card tells, without where it attaches."""
    if on_card is None or getattr(on_card, "method", None) != method.name:
        return {}
    return {key: value for key, value in plain(on_card).items() if key not in LinearSpec.model_fields}


def tensor_name(place: str, param: str) -> str:
    """The name of a tensor in `adapter_model.safetensors`.

    >>> tensor_name("model.layers.0.self_attn.q_proj", "a_RI")
    'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'
    """
    return f"{PREFIX}{place}.{TENSOR[param]}"


def names(asked: AskedByKey) -> Header:
    """Names and shapes of the file's tensors."""
    return {
        _name(here, param, asked): _shape_there(param, tuple(shape))
        for here in asked.values()
        for param, shape in here.method.shapes(here.spec, here.place).items()
    }


def pack(adapter: Adapter) -> Mapping[str, Tensor]:
    """The tensors by name."""
    asked = {key: here.asked for key, here in adapter.placed.items()}
    return {
        _name(asked[key], param, asked): _there(param, tensor)
        for key, here in adapter.placed.items()
        for param, tensor in here.params.items()
    }


def unpack(asked: AskedByKey, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
    """Params by key."""
    return {
        key: {
            param: _here(param, tensors[_name(here, param, asked)], tuple(shape))
            for param, shape in here.method.shapes(here.spec, here.place).items()
        }
        for key, here in asked.items()
    }


def _of_experts() -> Method:
    return METHODS["lora"].experts or METHODS["lora"]


def _name(here: Asked, param: str, asked: AskedByKey) -> str:
    if not isinstance(here.place, ExpertsPlace):
        return tensor_name(here.place.name, param)
    places = [a.place for a in asked.values() if isinstance(a.place, ExpertsPlace)]
    beside = sorted((p for p in places if p.module == here.place.module), key=lambda p: EXPERT_ROLES.index(p.role))
    nested = ".base_layer" * (len(beside) - 1 - beside.index(here.place))
    return f"{PREFIX}{here.place.module}{nested}.{EXPERTS_TENSOR[param]}"


def _shape_there(param: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if param == "a_ERI":
        return (shape[0] * shape[1], shape[2])
    return (shape[1], shape[2] * shape[0]) if param == "b_EOR" else shape


def _there(param: str, tensor: Tensor) -> Tensor:
    """As PEFT lays it out: of experts one matrix, A by expert and rank, B by rank and expert."""
    if param == "a_ERI":
        return tensor.flatten(0, 1)
    return tensor.permute(1, 2, 0).flatten(1) if param == "b_EOR" else tensor


def _here(param: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    if param == "a_ERI":
        return tensor.reshape(shape)
    if param == "b_EOR":
        num_experts, out_features, rank = shape
        return tensor.reshape(out_features, rank, num_experts).permute(2, 0, 1).contiguous()
    return tensor


def _experts(config: PeftLora, facts: BaseFacts) -> list[ExpertsPlace]:
    chosen = [place for place in facts.experts if named(place.name, frozenset(config.target_parameters))]
    reached = [t for t in config.target_parameters if any(named(place.name, (t,)) for place in chosen)]
    if METHODS["lora"].experts is None or len(reached) < len(config.target_parameters):
        there = ", ".join(sorted({place.name.rpartition(".")[2] for place in facts.experts})) or "none"
        asked = plain(config)["target_parameters"]
        expected = "fused tensors of experts of this base"
        raise SpecError([Problem(f"{FILE}: target_parameters", asked, expected, f"There are: {there}.")])
    return chosen


def _is_at_depth(place: LinearPlace, config: PeftLora) -> bool:
    targets, layers = config.target_modules, config.layers_to_transform
    if isinstance(targets, str) or layers in (None, ()):
        return True
    patterns = config.layers_pattern or (r"[^.]*",)
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if at := matched(rf"(?:^|.*?\.){pattern}\.(\d+)\.", place.name):
            return int(at) in ([layers] if isinstance(layers, int) else layers or ())
    return False


def _spec_at(name: str, config: PeftLora, method: Method, known: Mapping[str, Any]) -> Spec:
    raw = {
        **known,
        "method": method.spec.model_fields["method"].default,
        "dropout": config.lora_dropout,
        "scaling": "rank_stabilised" if config.use_rslora else "classic",
    }
    try:
        return parse(method.spec, raw)
    except SpecError as error:
        raise SpecError(replace(p, path=f"{FILE}: {p.path} at {name}") for p in error.problems) from error


def _most_common(values: Iterable[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number


FORMS.add(
    "LORA",
    FileForm(name="LORA", holds=holds, config=config_of, asked=asked, names=names, pack=pack, unpack=unpack),
)
