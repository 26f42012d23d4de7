"""AdaLoRA in PEFT's words. Pure.

A layer's tensors are `lora_A` (R, in), `lora_E` (R, 1) and `lora_B` (out, R). All layers start with `init_r`
directions; `rank_pattern` lists by layer which of them were kept, and the file holds those alone. Their scale stays
what it was at the start: lora_alpha / (init_r + 1e-5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from graftwork.adapters.asked import Asked, resolved
from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import FORMS, AskedByKey, FileForm, Header
from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.adalora import AdaLoraSpec
from graftwork.adapters.peft_config import PREFIX, Keys, Targeted, places, read, refuse_no_place, short_names, task_type
from graftwork.adapters.peft_lora import OFF
from graftwork.adapters.ranks import MAX_RANK
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter
    from graftwork.base.facts import BaseFacts, LinearPlace

TENSOR = {"a_RI": "lora_A", "e_R": "lora_E", "b_OR": "lora_B"}
ADDED = 1e-5
"""What PEFT adds to the rank before it divides by it."""

MOST_ALPHA = 1e6

KEYS = Keys(
    without_effect=frozenset(
        {
            "fan_in_fan_out", "megatron_core", "qalora_group_size", "runtime_config", "r", "target_r", "tinit",
            "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step", "init_lora_weights", "use_rslora",
        }
    ),
    off={
        **OFF, "use_dora": False, "target_parameters": None, "layers_to_transform": None, "layers_pattern": None,
        "alpha_pattern": {},
    },
    more="This asks for more than AdaLoRA on linear layers.",
    may_be_null=frozenset({"rank_pattern", "exclude_modules"}),
)  # fmt: skip
"""What a trained adapter computes does not depend on how its budget fell, and in PEFT not on use_rslora."""


class PeftAdaLora(Targeted):
    """The keys of PEFT's AdaLoRA config that say what the adapter computes or where."""

    peft_type: Literal["ADALORA"]
    """Says which method this is."""

    init_r: int = Field(default=12, ge=1, le=MAX_RANK)
    """Directions that each layer started with."""

    lora_alpha: float = Field(default=8.0, gt=0, le=MOST_ALPHA)
    """Strength."""

    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the update's inputs zeroed while training."""

    rank_pattern: dict[str, tuple[bool, ...]] | None = None
    """Which directions were kept, by layer."""

    @model_validator(mode="after")
    def _patterns_fit(self) -> PeftAdaLora:
        problems = [
            Problem(f"rank_pattern.{name}", len(kept), f"init_r = {self.init_r} entries")
            for name, kept in (self.rank_pattern or {}).items()
            if len(kept) != self.init_r
        ]
        if problems:
            raise SpecError(problems)
        return self


def holds(adapter: Adapter) -> bool:
    """AdaLoRA alone, asked for as one part, with one scale, no direction of it marked as cut away."""
    found = list(adapter.placed.values())
    specs = [here.spec for here in found if isinstance(here.spec, AdaLoraSpec)]
    return (
        bool(specs)
        and len(specs) == len(found)
        and all(here.part == 0 and bool(here.params["kept_R"].all()) for here in found)
        and len({(s.alpha, s.scale_rank or s.init_rank, s.dropout, _is_finished(s)) for s in specs}) == 1
        and (_is_finished(specs[0]) or len({s.init_rank for s in specs}) == 1)
        and _alpha_there(specs[0], _init_r(specs)) <= MOST_ALPHA
    )


def config_of(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    """The `adapter_config.json` of an AdaLoRA adapter."""
    specs: dict[str, AdaLoraSpec] = {name: here.spec for name, here in adapter.placed.items()}  # type: ignore[misc]
    spec = next(iter(specs.values()))
    init_r = _init_r(list(specs.values()))
    kept = {f"{n}.lora_E": [i < s.init_rank for i in range(init_r)] for n, s in specs.items()}
    return {
        "peft_type": "ADALORA",
        "task_type": task_type(facts),
        "base_model_name_or_path": base_ref,
        "init_r": init_r,
        "target_r": max(1, sum(s.init_rank for s in specs.values()) // len(specs)),
        "lora_alpha": _alpha_there(spec, init_r),
        "lora_dropout": spec.dropout,
        "rank_pattern": kept if _is_finished(spec) else None,
        "target_modules": short_names(set(specs), facts),
        "tinit": 0,
        "tfinal": 0,
        "deltaT": spec.every,
        "beta1": spec.beta1,
        "beta2": spec.beta2,
        "orth_reg_weight": spec.orth_weight,
        "total_step": 1,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
    }


def asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What the config says, by key. A layer of which no direction was kept is left out. Raises SpecError with all that
    is wrong."""
    found = read(PeftAdaLora, config, KEYS, header)
    chosen = places(found, facts)
    if not chosen:
        refuse_no_place(found, facts)
    pattern = found.rank_pattern or {}
    strange = pattern.keys() - {f"{place.name}.lora_E" for place in chosen}
    if strange:
        raise SpecError([Problem(f"{FILE}: rank_pattern", min(strange), "a layer that target_modules names")])
    ranks = {place: sum(pattern.get(f"{place.name}.lora_E", [True] * found.init_r)) for place in chosen}
    specs = {place: _spec_at(place, rank, found, facts, on_card) for place, rank in ranks.items() if rank}
    return {p.name: Asked(place=p, method=METHODS["adalora"], spec=spec, part=0) for p, spec in specs.items()}


def names(asked: AskedByKey) -> Header:
    """Names and shapes of the file's tensors."""
    return {
        _name(key, param): (*shape, 1) if param == "e_R" else tuple(shape)
        for key, here in asked.items()
        for param, shape in here.method.shapes(here.spec, here.place).items()
        if param in TENSOR
    }


def pack(adapter: Adapter) -> Mapping[str, Tensor]:
    """The tensors by name."""
    return {
        _name(key, param): tensor[:, None] if param == "e_R" else tensor
        for key, here in adapter.placed.items()
        for param, tensor in here.params.items()
        if param in TENSOR
    }


def unpack(asked: AskedByKey, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
    """Params by key; every direction in the file is one that was kept."""
    found = {}
    for key in asked:
        params = {param: tensors[_name(key, param)] for param in TENSOR}
        e_R = params["e_R"].flatten()
        found[key] = {**params, "e_R": e_R, "kept_R": e_R.new_ones(e_R.shape)}
    return found


def _name(place: str, param: str) -> str:
    return f"{PREFIX}{place}.{TENSOR[param]}"


def _is_finished(spec: AdaLoraSpec) -> bool:
    return spec.scale_rank is not None


def _init_r(specs: list[AdaLoraSpec]) -> int:
    return max(max(spec.init_rank, spec.scale_rank or 1) for spec in specs)


def _alpha_there(spec: AdaLoraSpec, init_r: int) -> float:
    """PEFT's alpha that gives our scale."""
    return spec.scale * (init_r + ADDED)


def _spec_at(place: LinearPlace, rank: int, config: PeftAdaLora, facts: BaseFacts, on_card: Spec | None) -> Spec:
    """The spec as asked for and as it was when the last choice was made, where it says the same; else one that says no
    more than the file."""
    if isinstance(on_card, AdaLoraSpec):
        meant = resolved(on_card, place, facts)
        assert isinstance(meant, AdaLoraSpec)
        cut = {"rank": rank, "init_rank": rank, "scale_rank": meant.scale_rank or meant.init_rank}
        spec = parse(AdaLoraSpec, {**plain(meant), **cut}) if config.rank_pattern is not None else meant
        if _alpha_there(spec, config.init_r) == config.lora_alpha and spec.init_rank == rank:
            return spec
    alpha = config.lora_alpha * config.init_r / (config.init_r + ADDED)
    told = {"rank": rank, "init_rank": rank, "scale_rank": config.init_r, "alpha": alpha}
    return parse(AdaLoraSpec, {**told, "dropout": config.lora_dropout})


FORMS.add(
    "ADALORA",
    FileForm(name="ADALORA", holds=holds, config=config_of, asked=asked, names=names, pack=pack, unpack=unpack),
)
