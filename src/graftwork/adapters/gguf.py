"""LoRA for llama.cpp: one GGUF file that it loads beside its own file of the base.

Each layer has two tensors, `blk.3.attn_q.weight.lora_a` (rank, in) and `.lora_b` (out, rank), in float32. llama.cpp
scales their product by `adapter.lora.alpha` / rank; where a place's own scale is another, the difference is in B. Some
families' rows lie in another order in its files than in the base's: rows of B follow them.

Legend: R rank, I in features, O out features, N heads, D head size.

Source: llama.cpp, convert_lora_to_gguf.py and llama-adapter.cpp; names of tensors from the package gguf.
Departs from it: of GPT-2's layers A and B stay as they are, though the base's weights are stored the other way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.adapters.arithmetic import Update, updates_of
from graftwork.base.facts import LinearPlace
from graftwork.core.errors import Problem, SpecError, WorkError

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter
    from graftwork.base.facts import BaseFacts

ROTATED = "halves of each head's queries and keys one after the other"
"""How `transformers` orders rows that are rotated in pairs; llama.cpp has the two of a pair side by side."""

BY_HEAD = "queries, keys and values of each head"
"""How the fused projection's rows lie; llama.cpp has all queries, then all keys, then all values."""

FAMILIES: Mapping[str, tuple[str, str | None]] = {
    "LlamaForCausalLM": ("llama", ROTATED),
    "MistralForCausalLM": ("llama", ROTATED),
    "Qwen2ForCausalLM": ("qwen2", None),
    "Qwen3ForCausalLM": ("qwen3", None),
    "GemmaForCausalLM": ("gemma", None),
    "Gemma2ForCausalLM": ("gemma2", None),
    "Gemma3ForCausalLM": ("gemma3", None),
    "Phi3ForCausalLM": ("phi3", None),
    "Starcoder2ForCausalLM": ("starcoder2", None),
    "GPT2LMHeadModel": ("gpt2", None),
    "GPTNeoXForCausalLM": ("gptneox", BY_HEAD),
}
"""llama.cpp's name of a family, and which of its rows lie in another order than in the base."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufLora:
    """What a GGUF file of a LoRA holds.

    Attributes:
        architecture: llama.cpp's name of the base's family.
        alpha: what the product of each pair is scaled by, divided by its rank.
        tensors: by their names in the file.
    """

    architecture: str
    alpha: float
    tensors: Mapping[str, Tensor]


def gguf_lora(adapter: Adapter, facts: BaseFacts) -> GgufLora:
    """An adapter as llama.cpp knows it.

    Raises:
        SpecError: a method has no low-rank update, a place is a layer of fused experts, or llama.cpp's name of the
            family or of a layer is not known.
        WorkError: the package gguf is not installed.
    """
    gguf = _package()
    if facts.architecture not in FAMILIES:
        expected = f"one of {', '.join(FAMILIES)}"
        raise SpecError([Problem("base.architecture", facts.architecture, expected, "Merge the adapter instead.")])
    architecture, order = FAMILIES[facts.architecture]
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    known = gguf.get_tensor_name_map(kinds[architecture], facts.num_layers)
    updates = updates_of(adapter)
    there = {place: known.get_name(f"{place}.weight", try_suffixes=(".weight",)) for place in updates}
    if odd := [p for p, one in updates.items() if there[p] is None or not isinstance(one.place, LinearPlace)]:
        expected = f"a linear layer that llama.cpp knows in {architecture}"
        raise SpecError(Problem("adapter.targets", place, expected, "Merge the adapter instead.") for place in odd)
    alpha = Counter(one.down_RI.shape[0] for one in updates.values()).most_common(1)[0][0]
    tensors: dict[str, Tensor] = {}
    for place, one in updates.items():
        up_OR = _in_their_order(one, order, facts) * (one.down_RI.shape[0] / alpha)
        tensors[f"{there[place]}.lora_a"] = one.down_RI.float().cpu().contiguous()
        tensors[f"{there[place]}.lora_b"] = up_OR.float().cpu().contiguous()
    return GgufLora(architecture=architecture, alpha=float(alpha), tensors=tensors)


def write_gguf(path: Path, lora: GgufLora, name: str) -> None:
    """Write `lora` to a new file, called `name` in it."""
    gguf = _package()
    writer = gguf.GGUFWriter(path, lora.architecture)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_name(name)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, lora.alpha)
        for tensor_name, tensor in lora.tensors.items():
            writer.add_tensor(tensor_name, tensor.detach().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _package():  # type: ignore[no-untyped-def]  # of a package without types
    try:
        import gguf
    except ImportError as error:
        raise WorkError("GGUF files need the package gguf: pip install 'graftwork[gguf]'.") from error
    return gguf


def _in_their_order(one: Update, order: str | None, facts: BaseFacts) -> Tensor:
    """B with its rows as llama.cpp has them."""
    if order == ROTATED and one.place.role in ("attention.q", "attention.k"):
        by_pair: Tensor = one.up_OR.unflatten(0, (-1, 2, facts.attentions[0].head_dim // 2)).transpose(1, 2)
        return by_pair.flatten(0, 2)
    if order == BY_HEAD and one.place.role == "attention.qkv":
        by_kind: Tensor = one.up_OR.unflatten(0, (-1, 3, facts.attentions[0].head_dim)).transpose(0, 1)
        return by_kind.flatten(0, 2)
    return one.up_OR
