"""Find the places of a model, on any device, the meta device too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from graftwork.base.facts import (
    AttentionPlace,
    BaseFacts,
    BlockPlace,
    EmbeddingPlace,
    ExpertsPlace,
    LinearPlace,
    layer_of,
)
from graftwork.base.quantised import QuantisedLinear
from graftwork.base.roles import role_of

ENTRIES = ("attention.q", "attention.qkv", "mlp.gate_up", "mlp.gate", "mlp.up")
"""Roles of layers that see a sub-layer's input, the likeliest first."""

FUSED_ROLES = {"gate_up_proj": "experts.gate_up", "up_proj": "experts.up", "down_proj": "experts.down"}


def facts_of(model: PreTrainedModel) -> BaseFacts:
    """Facts about a model."""
    config: Any = model.config.get_text_config()
    modules = dict(model.named_modules())
    places = tuple(_linear_places(modules))
    layers = [place.layer for place in places if place.layer is not None]
    attentions = tuple(_attentions(modules, places, config))
    experts = tuple(_experts(modules))
    return BaseFacts(
        architecture=type(model).__name__,
        num_layers=getattr(config, "num_hidden_layers", None) or max(layers, default=-1) + 1,
        hidden_size=config.hidden_size,
        vocab_size=getattr(config, "vocab_size", 0),
        context_tokens=getattr(config, "max_position_embeddings", None),
        num_params=sum(p.numel() for p in model.parameters()),
        places=places,
        blocks=tuple(_blocks(modules, places, experts)),
        attentions=attentions if len({(a.key_heads, a.head_dim) for a in attentions}) == 1 else (),
        embeddings=tuple(_embeddings(model, modules)),
        experts=experts,
        fused=tuple(name for name, p in model.named_parameters() if p.ndim == 3 and "experts" in name),
        num_active_experts=_active_experts(config),
        is_causal=bool(attentions) and all(getattr(modules[a.name], "is_causal", False) for a in attentions),
    )


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(in, out) of a linear layer, quantised ones too; None when it is none."""
    if isinstance(module, (nn.Linear, QuantisedLinear)):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):  # GPT-2's linear layer, its weight stored (in, out)
        return module.weight.shape[0], module.weight.shape[1]
    return None


def _linear_places(modules: Mapping[str, nn.Module]) -> Iterator[LinearPlace]:
    for name, module in modules.items():
        if shape := linear_shape(module):
            yield LinearPlace(
                name=name, role=role_of(name), in_features=shape[0], out_features=shape[1], layer=layer_of(name)
            )


def _blocks(
    modules: Mapping[str, nn.Module], places: Iterable[LinearPlace], experts: Iterable[ExpertsPlace]
) -> Iterator[BlockPlace]:
    """Sub-layers: by the layer that ends each (attention.out, mlp.down), or the module that holds its experts."""
    groups: dict[tuple[str, str], list[LinearPlace]] = defaultdict(list)
    for place in places:
        kind = place.role.partition(".")[0]
        if kind in ("attention", "mlp") and place.layer is not None:
            groups[_sublayer(place.name, kind), kind].append(place)
    attentions = [name for name, kind in groups if kind == "attention"]
    holders = {module: module.rpartition(".")[0] for module in dict.fromkeys(place.module for place in experts)}
    holders = {m: h for m, h in holders.items() if not any(a.startswith(f"{h}.") for a in attentions)}  # a whole layer
    inside = tuple(f"{holder}." for holder in holders.values())  # a shared expert is a part of its sub-layer
    found = [
        block
        for (name, kind), members in groups.items()
        if kind == "attention" or not name.startswith(inside)
        for block in _block(name, kind, members)
    ]
    for module, holder in holders.items():
        features = next(p.in_features for p in experts if p.module == module and p.role != "experts.down")
        layer = layer_of(module)
        found.append(BlockPlace(name=holder, role="mlp", entry=holder, exit=holder, features=features, layer=layer))
    order = {name: number for number, name in enumerate(modules)}
    yield from sorted(found, key=lambda block: order[block.exit])


def _block(name: str, kind: str, members: list[LinearPlace]) -> Iterator[BlockPlace]:
    by_role = {place.role: place for place in reversed(members)}
    ends = by_role.get("attention.out" if kind == "attention" else "mlp.down")
    begins = next((by_role[role] for role in ENTRIES if role in by_role), None)
    if ends and begins and begins.in_features == ends.out_features:
        role = "cross_attention" if kind == "attention" and ("cross" in name or "encoder_attn" in name) else kind
        yield BlockPlace(
            name=name, role=role, entry=begins.name, exit=ends.name, features=ends.out_features, layer=ends.layer
        )


def _sublayer(name: str, kind: str) -> str:
    """The module that holds a sub-layer: all above the leaf for attention (ViT keeps its parts deeper), else the part
    after the layer's number and its `mlp`."""
    head = name.rpartition(".")[0]
    if kind == "attention":
        for inner in (".attention.attention", ".attention.output", ".attention.self"):
            head = head.replace(inner, ".attention") if head.endswith(inner) else head
        return head
    return head if not head.endswith((".intermediate", ".output")) else head.rpartition(".")[0]


def _attentions(
    modules: Mapping[str, nn.Module], places: Iterable[LinearPlace], config: Any
) -> Iterator[AttentionPlace]:
    heads: int = getattr(config, "num_attention_heads", None) or 0
    key_heads: int = getattr(config, "num_key_value_heads", None) or heads
    for place in places:
        holder = place.name.rpartition(".")[0]
        module = modules[holder]
        if place.role not in ("attention.k", "attention.qkv") or not heads or "encoder_attn" in holder:
            continue
        head_dim = (
            getattr(module, "head_dim", None) or getattr(module, "head_size", None) or config.hidden_size // heads
        )
        whole = place.out_features == key_heads * head_dim
        fused = place.role == "attention.qkv" and place.out_features == (heads + 2 * key_heads) * head_dim
        if (whole or fused) and place.layer is not None:
            yield AttentionPlace(
                name=holder, role="attention", key_heads=key_heads, head_dim=head_dim, layer=place.layer
            )


def _embeddings(model: PreTrainedModel, modules: Mapping[str, nn.Module]) -> Iterator[EmbeddingPlace]:
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return
    for name, module in modules.items():
        if module is table and isinstance(module, nn.Embedding):
            yield EmbeddingPlace(name=name, role="embedding", rows=module.num_embeddings, features=module.embedding_dim)


def _experts(modules: Mapping[str, nn.Module]) -> Iterator[ExpertsPlace]:
    """Fused experts in the form that `transformers` 5 gives to all families it can compute in one call, whole on one
    device and not quantised."""
    for name, module in modules.items():
        if not hasattr(module, "has_gate") or not hasattr(module, "_apply_gate"):
            continue
        tensors = {p: getattr(module, p, None) for p in ("gate_up_proj" if module.has_gate else "up_proj", "down_proj")}
        if getattr(module, "_is_expert_parallel", False) or not all(map(_is_plain, tensors.values())):
            continue
        for parameter, tensor in tensors.items():
            assert isinstance(tensor, nn.Parameter)
            transposed = bool(getattr(module, "is_transposed", False))
            num_experts, rows, columns = tensor.shape
            yield ExpertsPlace(
                name=f"{name}.{parameter}",
                role=FUSED_ROLES[parameter],
                module=name,
                parameter=parameter,
                num_experts=num_experts,
                in_features=rows if transposed else columns,
                out_features=columns if transposed else rows,
                transposed=transposed,
                layer=layer_of(name),
            )


def _is_plain(tensor: object) -> bool:
    is_fused = isinstance(tensor, nn.Parameter) and tensor.ndim == 3
    return is_fused and tensor.is_floating_point() and tensor.dtype.itemsize > 1  # type: ignore[attr-defined]


def _active_experts(config: Any) -> int:
    for key in ("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "top_k_experts"):
        if isinstance(found := getattr(config, key, None), int) and found > 0:
            return found
    return 1
