"""IA3 in PEFT's words. Pure.

Each layer has one tensor, `base_model.model.<layer>.ia3_l`: (out, 1) where outputs are multiplied, (1, in) where inputs
are, as at the layers that `feedforward_modules` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from graftwork.adapters.asked import Asked, resolved
from graftwork.adapters.file_form import FORMS, AskedByKey, FileForm, Header
from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.ia3 import Ia3Spec, gains_input
from graftwork.adapters.peft_config import (
    PREFIX,
    Keys,
    Patterns,
    Targeted,
    matches,
    pattern_problems,
    places,
    read,
    refuse_no_place,
    short_names,
    task_type,
)
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter
    from graftwork.base.facts import BaseFacts, LinearPlace

KEYS = Keys(
    without_effect=frozenset({"fan_in_fan_out", "init_ia3_weights"}),
    more="This asks for more than IA3 on linear layers.",
    may_be_null=frozenset({"exclude_modules"}),
)


class PeftIa3(Targeted):
    """The keys of PEFT's IA3 config that say what the adapter computes or where."""

    peft_type: Literal["IA3"]
    """Says which method this is."""

    feedforward_modules: Patterns
    """Names of layers whose inputs are multiplied, or a regular expression."""

    @model_validator(mode="after")
    def _makes_sense(self) -> PeftIa3:
        told, targets = self.feedforward_modules, self.target_modules
        problems = pattern_problems("feedforward_modules", [told]) if isinstance(told, str) else []
        if not isinstance(told, str) and not isinstance(targets, str):
            problems += [
                Problem("feedforward_modules", name, "one of target_modules") for name in told if name not in targets
            ]
        if problems:
            raise SpecError(problems)
        return self


def holds(adapter: Adapter) -> bool:
    """IA3 alone, asked for as one part."""
    return all(here.method.name == "ia3" and here.part == 0 for here in adapter.placed.values())


def config_of(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    """The `adapter_config.json` of an IA3 adapter."""
    inputs = {name for name, here in adapter.placed.items() if "gain_I" in here.params}
    names = set(adapter.placed)
    targets = short_names(names, facts)
    feedforward = sorted({name.rpartition(".")[2] for name in inputs}) if set(targets) != names else sorted(inputs)
    if any(name.endswith(tuple(feedforward)) for name in names - inputs):
        targets, feedforward = sorted(names), sorted(inputs)
    return {
        "peft_type": "IA3",
        "task_type": task_type(facts),
        "base_model_name_or_path": base_ref,
        "target_modules": targets,
        "feedforward_modules": feedforward,
        "fan_in_fan_out": False,
        "init_ia3_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
    }


def asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What the config says, by key. Raises SpecError with all that is wrong."""
    found = read(PeftIa3, config, KEYS, header)
    chosen = places(found, facts)
    if not chosen:
        refuse_no_place(found, facts)
    specs = {place: _spec_at(place, _is_feedforward(place.name, found), facts, on_card) for place in chosen}
    return {p.name: Asked(place=p, method=METHODS["ia3"], spec=spec, part=0) for p, spec in specs.items()}


def names(asked: AskedByKey) -> Header:
    """Names and shapes of the file's tensors."""
    return {_name(key): _there(param, shape) for key, here in asked.items() for param, shape in _shapes(here).items()}


def pack(adapter: Adapter) -> Mapping[str, Tensor]:
    """The tensors by name."""
    return {
        _name(key): tensor.reshape(_there(param, tuple(tensor.shape)))
        for key, here in adapter.placed.items()
        for param, tensor in here.params.items()
    }


def unpack(asked: AskedByKey, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
    """Params by key."""
    return {key: {param: tensors[_name(key)].flatten() for param in _shapes(here)} for key, here in asked.items()}


def _shapes(here: Asked) -> Mapping[str, tuple[int, ...]]:
    shapes: Mapping[str, tuple[int, ...]] = here.method.shapes(here.spec, here.place)
    return shapes


def _name(place: str) -> str:
    return f"{PREFIX}{place}.ia3_l"


def _there(param: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape) if param == "gain_I" else (*shape, 1)


def _is_feedforward(name: str, config: PeftIa3) -> bool:
    told = config.feedforward_modules
    return matches(told, name, whole=True) if isinstance(told, str) else name.endswith(told)


def _spec_at(place: LinearPlace, feedforward: bool, facts: BaseFacts, on_card: Spec | None) -> Spec:
    """The spec as asked for, or the default, where it says the same; else one that names this place's role or none."""
    for spec in (on_card, Ia3Spec()):
        if isinstance(spec, Ia3Spec) and gains_input(spec, place) == feedforward:
            return resolved(spec, place, facts)
    return parse(Ia3Spec, {"feedforward": [place.role] if feedforward else []})


FORMS.add(
    "IA3", FileForm(name="IA3", holds=holds, config=config_of, asked=asked, names=names, pack=pack, unpack=unpack)
)
