"""Prefix and prompt tuning in PEFT's words: one tensor, `prompt_embeddings`. Pure.

Of prefix tuning it is (P, 2 L K D): for each position the key and the value of each layer, head by head, whether or not
they were trained through a network (`prefix_projection`). Of prompt tuning it is (P, H).

Legend: P positions, L layers, K heads of keys, D head size, H features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from graftwork.adapters.asked import Asked, resolved
from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import FORMS, AskedByKey, FileForm, Header
from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.prefix_tuning import PrefixTuningSpec
from graftwork.adapters.methods.prompt_tuning import PromptTuningSpec
from graftwork.adapters.peft_config import Keys, read
from graftwork.adapters.targets import select
from graftwork.base.facts import AttentionPlace, BaseFacts, EmbeddingPlace
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter

NAME = "prompt_embeddings"
MAY_BE_NULL = frozenset({"num_transformer_submodules", "num_layers", "token_dim", "num_attention_heads"})

PREFIX_KEYS = Keys(
    without_effect=frozenset({"encoder_hidden_size", "prefix_projection", "init_weights"}),
    off={"postprocess_past_key_value_function": None},
    more="This asks for more than keys and values in front of the tokens'.",
    may_be_null=MAY_BE_NULL,
)
PROMPT_KEYS = Keys(
    without_effect=frozenset(
        {"prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"}
    ),
    more="This asks for more than vectors in front of the tokens'.",
    may_be_null=MAY_BE_NULL,
)


class PeftPrompt(Spec):
    """The keys of PEFT's prompt tuning config that say what the adapter computes."""

    peft_type: Literal["PROMPT_TUNING"]
    """Says which method this is."""

    num_virtual_tokens: int = Field(ge=1, le=65536)
    """Positions put in front."""

    num_transformer_submodules: int | None = None
    """Encoder and decoder, or one of them."""

    num_layers: int | None = None
    """Layers of the base."""

    num_attention_heads: int | None = None
    """Heads of its keys."""

    token_dim: int | None = None
    """Numbers of all heads' keys of one position, or features of a vector."""


class PeftPrefix(PeftPrompt):
    """The keys of PEFT's prefix tuning config that say what the adapter computes."""

    peft_type: Literal["PREFIX_TUNING"]  # type: ignore[assignment]
    """Says which method this is."""


def prefix_asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What a prefix tuning config says, by key. Raises SpecError with all that is wrong."""
    found = read(PeftPrefix, config, PREFIX_KEYS, header)
    known = plain(on_card) if isinstance(on_card, PrefixTuningSpec) else {}
    spec = parse(PrefixTuningSpec, {**known, "positions": found.num_virtual_tokens, "network_features": None})
    places = [place for place in select(spec, METHODS["prefix_tuning"], facts) if isinstance(place, AttentionPlace)]
    _refuse_other_sizes(found, len(places), places[0].key_heads, places[0].key_heads * places[0].head_dim)
    return _asked("prefix_tuning", spec, places, facts)


def prompt_asked(config: Mapping[str, Any], facts: BaseFacts, header: Header, on_card: Spec | None) -> AskedByKey:
    """What a prompt tuning config says, by key. Raises SpecError with all that is wrong."""
    found = read(PeftPrompt, config, PROMPT_KEYS, header)
    known = plain(on_card) if isinstance(on_card, PromptTuningSpec) else {}
    spec = parse(PromptTuningSpec, {**known, "positions": found.num_virtual_tokens})
    places = [place for place in select(spec, METHODS["prompt_tuning"], facts) if isinstance(place, EmbeddingPlace)]
    _refuse_other_sizes(found, None, None, places[0].features)
    return _asked("prompt_tuning", spec, places, facts)


def _asked(method: str, spec: Spec, places: list[Any], facts: BaseFacts) -> AskedByKey:
    return {p.name: Asked(place=p, method=METHODS[method], spec=resolved(spec, p, facts), part=0) for p in places}


def _refuse_other_sizes(found: PeftPrompt, layers: int | None, heads: int | None, features: int) -> None:
    here = {"num_layers": layers, "num_attention_heads": heads, "token_dim": features, "num_transformer_submodules": 1}
    problems = [
        Problem(f"{FILE}: {key}", told, f"{size}, as this base has it")
        for key, size in here.items()
        if size is not None and (told := getattr(found, key)) not in (None, size)
    ]
    if problems:
        raise SpecError(problems)


def _alone(adapter: Adapter, method: str) -> bool:
    return all(here.method.name == method and here.part == 0 for here in adapter.placed.values())


def _common(peft_type: str, positions: int, features: int, base_ref: str) -> dict[str, Any]:
    return {
        "peft_type": peft_type,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_ref,
        "num_virtual_tokens": positions,
        "num_transformer_submodules": 1,
        "token_dim": features,
        "inference_mode": True,
    }


def _prefix_config(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    positions, heads, numbers = next(iter(adapter.placed.values())).params["keys_PKD"].shape
    return {
        **_common("PREFIX_TUNING", positions, heads * numbers, base_ref),
        "num_layers": len(adapter.placed),
        "num_attention_heads": heads,
        "encoder_hidden_size": heads * numbers,
        "prefix_projection": False,
    }


def _prompt_config(adapter: Adapter, facts: BaseFacts, base_ref: str) -> dict[str, Any]:
    positions, features = next(iter(adapter.placed.values())).params["soft_PH"].shape
    return {
        **_common("PROMPT_TUNING", positions, features, base_ref),
        "num_layers": facts.num_layers,
        "prompt_tuning_init": "RANDOM",
    }


def _prefix_names(asked: AskedByKey) -> Header:
    sizes = _prefix_shapes(asked)
    return {NAME: (sizes[0][0], 2 * sum(heads * numbers for _, heads, numbers in sizes))}


def _prompt_names(asked: AskedByKey) -> Header:
    (here,) = asked.values()
    return {NAME: tuple(here.method.shapes(here.spec, here.place)["soft_PH"])}


def _prefix_pack(adapter: Adapter) -> Mapping[str, Tensor]:
    import torch

    pieces = [here.params[name].flatten(1) for here in adapter.placed.values() for name in ("keys_PKD", "values_PKD")]
    return {NAME: torch.cat(pieces, dim=1)}


def _prompt_pack(adapter: Adapter) -> Mapping[str, Tensor]:
    (here,) = adapter.placed.values()
    return {NAME: here.params["soft_PH"]}


def _prefix_unpack(asked: AskedByKey, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
    positions, heads, numbers = _prefix_shapes(asked)[0]
    whole = tensors[NAME].reshape(positions, len(asked), 2, heads, numbers)
    return {
        key: {"keys_PKD": whole[:, layer, 0].contiguous(), "values_PKD": whole[:, layer, 1].contiguous()}
        for layer, key in enumerate(asked)
    }


def _prefix_shapes(asked: AskedByKey) -> list[tuple[int, ...]]:
    return [here.method.shapes(here.spec, here.place)["keys_PKD"] for here in asked.values()]


def _prompt_unpack(asked: AskedByKey, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
    return {key: {"soft_PH": tensors[NAME]} for key in asked}


FORMS.add(
    "PREFIX_TUNING",
    FileForm(
        name="PREFIX_TUNING",
        holds=lambda adapter: (
            _alone(adapter, "prefix_tuning") and all("keys_PKD" in here.params for here in adapter.placed.values())
        ),
        config=_prefix_config,
        asked=prefix_asked,
        names=_prefix_names,
        pack=_prefix_pack,
        unpack=_prefix_unpack,
    ),
)
FORMS.add(
    "PROMPT_TUNING",
    FileForm(
        name="PROMPT_TUNING",
        holds=lambda adapter: _alone(adapter, "prompt_tuning"),
        config=_prompt_config,
        asked=prompt_asked,
        names=_prompt_names,
        pack=_prompt_pack,
        unpack=_prompt_unpack,
    ),
)
