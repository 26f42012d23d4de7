"""LoRA in PEFT's words: `adapter_config.json` from and to specs resolved per place. Pure.

Written for the keys of PEFT 0.21. A key we do not know, or one that asks for something this package would not do, is
refused: an adapter is loaded whole or not at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.adapters.asked import Asked
from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import FORMS, AskedByKey, FileForm, Header, one_tensor_a_param
from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.adapters.targets import CLOSED_ROLES
from graftwork.base.facts import BaseFacts, LinearPlace
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter

T = TypeVar("T")

PREFIX = "base_model.model."
TENSOR = {"a_RI": "lora_A.weight", "b_OR": "lora_B.weight"}

WITHOUT_EFFECT = {
    "peft_version", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "fan_in_fan_out",
    "megatron_core", "qalora_group_size", "runtime_config",
}  # fmt: skip
"""Keys that change nothing here. fan_in_fan_out tells how the base stores its weight, which we see for ourselves."""

OFF = {
    "bias": "none", "use_dora": False, "lora_bias": False, "modules_to_save": None, "layer_replication": None,
    "target_parameters": None, "trainable_token_indices": None, "alora_invocation_tokens": None, "arrow_config": None,
    "use_qalora": False, "use_bdlora": None, "loftq_config": None, "eva_config": None, "corda_config": None,
    "lora_ga_config": None, "kasa_config": None, "velora_config": None, "monteclora_config": None,
    "megatron_config": None, "ensure_weight_tying": False,
}  # fmt: skip
"""Keys that ask for more than plain LoRA, and the value (or anything empty) that asks for nothing."""

INITS_THAT_KEEP_THE_BASE = (True, False, "gaussian", "orthogonal", "eva", "true", "false")
"""PEFT's other initialisations change the base's weights, so their tensors mean nothing on the base itself."""


MAY_BE_NULL = ("task_type", "rank_pattern", "alpha_pattern", "exclude_modules", "layers_to_transform", "layers_pattern")
"""Keys that PEFT writes as null when nothing is asked."""


def _form(value: object) -> str:
    return {str: "a pattern", int: "a number"}.get(type(value), "a list")


Patterns = Annotated[
    Annotated[str, Tag("a pattern")] | Annotated[tuple[str, ...], Tag("a list")],
    Discriminator(_form),
]
Layers = Annotated[
    Annotated[int, Tag("a number")] | Annotated[tuple[int, ...], Tag("a list")],
    Discriminator(_form),
]


class PeftLora(Spec):
    """The keys of PEFT's LoRA config that say what the adapter computes or where."""

    peft_type: Literal["LORA"]
    """Says which method this is."""

    task_type: str | None = None
    """What PEFT wraps the model for; changes nothing here."""

    r: int = Field(default=8, ge=1)
    """Rank."""

    lora_alpha: float = Field(default=8.0, gt=0, le=1e6)
    """Strength."""

    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the update's inputs zeroed while training."""

    use_rslora: bool = False
    """Whether the scale is rank-stabilised."""

    rank_pattern: dict[str, int] = Field(default_factory=dict)
    """Ranks of places that a pattern matches."""

    alpha_pattern: dict[str, float] = Field(default_factory=dict)
    """Strengths of places that a pattern matches."""

    target_modules: Patterns
    """Names of layers, or a regular expression."""

    exclude_modules: Patterns = ()
    """Names of layers to leave out, or a regular expression."""

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
        for key in ("target_modules", "exclude_modules", "layers_pattern", "rank_pattern", "alpha_pattern"):
            value = getattr(self, key)
            for pattern in [value] if isinstance(value, str) else value:
                try:
                    re.compile(pattern)
                except (re.error, RecursionError) as error:
                    problems.append(Problem(key, pattern, "a name or a regular expression", str(error)))
        if problems:
            raise SpecError(problems)
        return self


def config_of(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    """The `adapter_config.json` of a LoRA adapter: the most common rank and alpha, patterns for the others."""
    specs: dict[str, LoraSpec] = {name: here.spec for name, here in adapter.placed.items()}  # type: ignore[misc]
    rank = _most_common(spec.resolved_rank for spec in specs.values())
    alpha = _most_common(spec.alpha for spec in specs.values())
    any_spec = next(iter(specs.values()))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_ref,
        "r": rank,
        "lora_alpha": _whole(alpha),
        "lora_dropout": any_spec.dropout,
        "use_rslora": any_spec.scaling == "rank_stabilised",
        "rank_pattern": {_exactly(n): s.resolved_rank for n, s in specs.items() if s.resolved_rank != rank},
        "alpha_pattern": {_exactly(n): _whole(s.alpha) for n, s in specs.items() if s.alpha != alpha},
        "target_modules": _target_modules(set(specs), facts),
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
    }


def specs_from(config: Mapping[str, Any], facts: BaseFacts, init: str = "kaiming_uniform") -> dict[str, LoraSpec]:
    """What a PEFT LoRA config says holds at each place of the base, in the base's order.

    Raises:
        SpecError: a key is unknown, asks for more than LoRA, or has a value that makes no sense; all of them.
    """
    read = _read(config)
    return {name: _spec_at(name, read, init) for name in _places(read, facts)}


def tensor_name(place: str, param: str) -> str:
    """The name of a tensor in `adapter_model.safetensors`.

    >>> tensor_name("model.layers.0.self_attn.q_proj", "a_RI")
    'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'
    """
    return f"{PREFIX}{place}.{TENSOR[param]}"


def asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What the config says, by key; how the tensors started is known from the card alone."""
    init = on_card.init if isinstance(on_card, LoraSpec) else "kaiming_uniform"
    places = facts.by_name
    return {
        name: Asked(place=places[name], method=METHODS["lora"], spec=spec, part=0)
        for name, spec in specs_from(config, facts, init).items()
    }


def _read(config: Mapping[str, Any]) -> PeftLora:
    """The keys of a config that say what is computed and where, each of its type.

    Raises:
        SpecError: everything that is wrong with it.
    """
    if config.get("peft_type") != "LORA":
        hint = "Other methods are not read from PEFT files."
        raise SpecError([Problem(f"{FILE}: peft_type", config.get("peft_type"), "'LORA'", hint)])
    known = PeftLora.model_fields.keys() | WITHOUT_EFFECT | OFF.keys()
    problems = [
        Problem(f"{FILE}: {key}", config[key], "a key of PEFT 0.21", did_you_mean(key, known))
        for key in sorted(config.keys() - known)
    ]
    problems += [
        Problem(f"{FILE}: {key}", config[key], repr(off), "This asks for more than LoRA on linear layers.")
        for key, off in OFF.items()
        if key in config and config[key] != off and config[key] not in (None, [], {}, False)
    ]
    nothing = {key for key in MAY_BE_NULL if config.get(key) is None}
    told = {key: value for key, value in config.items() if key in PeftLora.model_fields.keys() - nothing}
    try:
        read = parse(PeftLora, told)
    except SpecError as error:
        problems += [replace(p, path=f"{FILE}: {p.path}") for p in error.problems]
    if problems:
        raise SpecError(problems)
    return read


def _places(config: PeftLora, facts: BaseFacts) -> list[str]:
    """Names of the places that the config means.

    Raises:
        SpecError: it means none, or one that cannot be adapted.
    """
    chosen = [p for p in facts.places if _is_target(p, config) and not _named(p.name, config.exclude_modules)]
    problems = [
        Problem(f"{FILE}: target_modules", place.name, f"layers that can be adapted; this is the base's {place.role}")
        for place in chosen
        if place.role in CLOSED_ROLES
    ]
    if not chosen:
        hint = f"Names here: {', '.join(sorted({p.name.rpartition('.')[2] for p in facts.places}))}."
        asked = plain(config)["target_modules"]
        problems = [Problem(f"{FILE}: target_modules", asked, "layers of this base", hint)]
    if problems:
        raise SpecError(problems)
    return [place.name for place in chosen]


def _is_target(place: LinearPlace, config: PeftLora) -> bool:
    targets = config.target_modules
    if targets == "all-linear":
        return place.role != "head"
    if not _named(place.name, targets):
        return False
    layers = config.layers_to_transform
    if isinstance(targets, str) or place.name in targets or layers in (None, ()):
        return True
    patterns = config.layers_pattern or (r"[^.]*",)
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if found := re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", place.name):
            return int(found.group(1)) in ([layers] if isinstance(layers, int) else layers or ())
    return False


def _named(name: str, targets: str | tuple[str, ...]) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _spec_at(name: str, config: PeftLora, init: str) -> LoraSpec:
    raw = {
        "method": "lora",
        "rank": _by_pattern(name, config.rank_pattern, config.r),
        "alpha": _by_pattern(name, config.alpha_pattern, config.lora_alpha),
        "dropout": config.lora_dropout,
        "scaling": "rank_stabilised" if config.use_rslora else "classic",
        "init": init,
    }
    try:
        return parse(LoraSpec, raw)
    except SpecError as error:
        raise SpecError(replace(p, path=f"{FILE}: {p.path} at {name}") for p in error.problems) from error


def _by_pattern(name: str, patterns: Mapping[str, T], default: T) -> T:
    """The value of the first pattern that matches the end of `name`, as PEFT looks it up."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            return value
    return default


def _target_modules(names: set[str], facts: BaseFacts) -> list[str]:
    """Short names when they mean these places and no others; whole names else."""
    leaves = {name.rpartition(".")[2] for name in names}
    meant = {p.name for p in facts.places if p.name.rpartition(".")[2] in leaves}
    return sorted(leaves if meant == names else names)


def _exactly(name: str) -> str:
    return f"^{re.escape(name)}"


def _most_common(values: Iterator[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number


names, pack, unpack = one_tensor_a_param(lambda key, here, param: tensor_name(here.place.name, param))

FORMS.add(
    "LORA",
    FileForm(
        name="LORA",
        holds=lambda methods: methods == {"lora"},
        config=config_of,
        asked=asked,
        names=names,
        pack=pack,
        unpack=unpack,
    ),
)
