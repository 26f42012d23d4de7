"""Our own form of adapter folder, for what no other tool knows: the same two files, another `peft_type`.

`adapter_config.json` holds the request as it was asked and what was resolved at each place; tensors are called
`key/param`. PEFT does not know the type and refuses the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from graftwork.adapters.asked import Asked, places_of
from graftwork.adapters.file_form import CONFIG, FORMS, AskedByKey, FileForm, Header, one_tensor_a_param
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.base.facts import BaseFacts

TYPE = "GRAFTWORK"


class OwnConfig(Spec):
    """The config of a folder in our own form."""

    peft_type: Literal["GRAFTWORK"]
    """Tells other tools that this is not theirs."""

    base_model_name_or_path: str = ""
    """What the user called the base."""

    method: str
    """What this adapter is: a method, or combined."""

    request: dict[str, Any]
    """The adapter as it was asked for."""

    placed: dict[str, dict[str, Any]] = Field(min_length=1)
    """What holds at each place, by key."""


def config_of(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    """The config of an adapter that was asked of us."""
    assert adapter.spec is not None
    return {
        "peft_type": TYPE,
        "base_model_name_or_path": base_ref,
        "method": adapter.spec.method,  # type: ignore[attr-defined]
        "request": dict(plain(adapter.spec)),
        "placed": {key: dict(plain(here.spec)) for key, here in adapter.placed.items()},
    }


def asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What the config says; its places must be those that its request names, each with a spec of its method. Only a
    method that evolves may have lost some of them while it was trained."""
    try:
        read = parse(OwnConfig, dict(config))
        request = parse_adapter_spec(read.request)
    except SpecError as error:
        raise SpecError(replace(p, path=f"{CONFIG}: {p.path}") for p in error.problems) from error
    meant = places_of(request, facts)
    problems = [
        Problem(f"{CONFIG}: placed", key, "a place that the request names") for key in read.placed.keys() - meant.keys()
    ]
    lost = [key for key, here in meant.items() if key not in read.placed and here.method.evolution is None]
    problems += [Problem(f"{CONFIG}: placed.{key}", None, "a place that the request names") for key in lost]
    found: dict[str, Asked] = {}
    for key, raw in read.placed.items():
        if key in meant:
            try:
                found[key] = replace(meant[key], spec=parse(meant[key].method.spec, raw))
            except SpecError as error:
                problems += [replace(p, path=f"{CONFIG}: placed.{key}.{p.path}") for p in error.problems]
    if problems:
        raise SpecError(problems)
    return found


names, pack, unpack = one_tensor_a_param(lambda key, here, param: f"{key}/{param}")

FORMS.add(
    TYPE,
    FileForm(
        name=TYPE,
        holds=lambda adapter: adapter.spec is not None,
        config=config_of,
        asked=asked,
        names=names,
        pack=pack,
        unpack=unpack,
    ),
)
