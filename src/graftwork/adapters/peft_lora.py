"""LoRA in PEFT's words: `adapter_config.json` from and to specs resolved per place. Pure.

Written for the keys of PEFT 0.21. A key we do not know, or one that asks for something this package would not do, is
refused: an adapter is loaded whole or not at all.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.adapters.targets import CLOSED_ROLES
from graftwork.base.facts import BaseFacts
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import parse

PREFIX = "base_model.model."
TENSOR = {"a_RI": "lora_A.weight", "b_OR": "lora_B.weight"}
FILE = "adapter_config.json"

READ = {
    "r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern", "peft_type", "init_lora_weights", "task_type",
}  # fmt: skip
"""Keys that say what the adapter computes or where."""

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

INITS_THAT_KEEP_THE_BASE = {True, False, None, "gaussian", "orthogonal", "eva"}
"""PEFT's other initialisations change the base's weights, so their tensors mean nothing on the base itself."""


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
    problems = list(_problems(config))
    places = [] if problems else _places(config, facts)
    if not problems and not places:
        hint = f"Names here: {', '.join(sorted({p.name.rpartition('.')[2] for p in facts.places}))}."
        problems.append(Problem(f"{FILE}: target_modules", config.get("target_modules"), "layers of this base", hint))
    if problems:
        raise SpecError(problems)
    return {name: _spec_at(name, config, init) for name in places}


def tensor_name(place: str, param: str) -> str:
    """The name of a tensor in `adapter_model.safetensors`.

    >>> tensor_name("model.layers.0.self_attn.q_proj", "a_RI")
    'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'
    """
    return f"{PREFIX}{place}.{TENSOR[param]}"


def _problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    known = READ | WITHOUT_EFFECT | OFF.keys()
    if config.get("peft_type") != "LORA":
        yield Problem(
            f"{FILE}: peft_type",
            config.get("peft_type"),
            "'LORA'",
            "Other methods are not read from PEFT files.",
        )
        return
    for key in config.keys() - known:
        yield Problem(f"{FILE}: {key}", config[key], "a key of PEFT 0.21", did_you_mean(key, known))
    for key, off in OFF.items():
        if (value := config.get(key, off)) != off and value not in (None, [], {}, False):
            yield Problem(f"{FILE}: {key}", value, repr(off), "This asks for more than LoRA on linear layers.")
    if (init := config.get("init_lora_weights", True)) not in INITS_THAT_KEEP_THE_BASE:
        hint = "It changes the base's weights; save it from PEFT with path_initial_model_for_weight_conversion."
        yield Problem(f"{FILE}: init_lora_weights", init, "an initialisation that keeps the base", hint)
    if not isinstance(config.get("target_modules"), str | list):
        yield Problem(f"{FILE}: target_modules", config.get("target_modules"), "a list of names or a pattern")
    for key in ("rank_pattern", "alpha_pattern"):
        if not isinstance(config.get(key) or {}, dict):
            yield Problem(f"{FILE}: {key}", config[key], "a mapping of patterns to numbers")
    for key in ("target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"):
        yield from _pattern_problems(key, config.get(key))


def _pattern_problems(key: str, value: object) -> Iterator[Problem]:
    patterns = [value] if isinstance(value, str) else list(value or ()) if isinstance(value, list | dict) else []
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError, RecursionError) as error:
            yield Problem(f"{FILE}: {key}", pattern, "a name or a regular expression", str(error))


def _places(config: Mapping[str, Any], facts: BaseFacts) -> list[str]:
    return [
        place.name
        for place in facts.places
        if _is_target(place.name, config, is_head=place.role in CLOSED_ROLES)
        and not _named(place.name, config.get("exclude_modules") or [])
    ]


def _is_target(name: str, config: Mapping[str, Any], *, is_head: bool) -> bool:
    targets = config["target_modules"]
    if targets == "all-linear":
        return not is_head
    if not _named(name, targets):
        return False
    layers = config.get("layers_to_transform")
    if isinstance(targets, str) or name in targets or layers in (None, []):
        return True
    patterns = config.get("layers_pattern") or [r"[^.]*"]
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if found := re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", name):
            return int(found.group(1)) in ([layers] if isinstance(layers, int) else layers)
    return False


def _named(name: str, targets: str | list[str]) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _spec_at(name: str, config: Mapping[str, Any], init: str) -> LoraSpec:
    raw = {
        "method": "lora",
        "rank": _by_pattern(name, config.get("rank_pattern"), config.get("r", 8)),
        "alpha": _by_pattern(name, config.get("alpha_pattern"), config.get("lora_alpha", 8)),
        "dropout": config.get("lora_dropout", 0.0),
        "scaling": "rank_stabilised" if config.get("use_rslora") else "classic",
        "init": init,
    }
    try:
        return parse(LoraSpec, raw)
    except SpecError as error:
        raise SpecError(
            [Problem(f"{FILE}: {p.path} at {name}", p.value, p.expected, p.hint) for p in error.problems]
        ) from error


def _by_pattern(name: str, patterns: Mapping[str, Any] | None, default: object) -> object:
    """The value of the first pattern that matches the end of `name`, as PEFT looks it up."""
    for pattern, value in (patterns or {}).items():
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
