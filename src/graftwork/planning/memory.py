"""Peak memory of a training, part by part, from shapes. Pure.

What autograd keeps of a layer for one token, in bytes (e of a number of the base's, 4 of a float32):

    norms        2 * 4 H, their inputs, float32 in every format
    attention    e (Q + 2 K), queries, keys and values after the rotation; where the base's own attention is used, its
                 output and its own copies of keys and values too: e (2 Q + 4 K)
    MLP          3 e I: gate, the activated gate, up; 2 e I without a gate
    adapters     e times the input of each place, once for those that see the same one, and e r of their first products;
                 the input of the MLP's last layer is made again. A gain at the output keeps e O, one at the input e I.
    full tuning  e times the input of each linear layer, and e H for the gain of each norm

With checkpointing: e H a layer, and four times all of the above for one layer, which is made again and gone through.
Nothing is kept in layers below the lowest that is adapted. Beside that: logits of one chunk (the model's own, float32,
softmax, gradients), gradients, Adam's moments,
factors cast to the base's format, and on a CPU what its allocator cannot hand out again between large tensors (holes).

Legend: H hidden size, Q heads of queries * D, K heads of keys * D, I width of the MLP, O outputs of a place, r rank.
Source: what is kept follows from the backward formulas; that it is so is measured in benchmarks/planner.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Literal

from graftwork.base.facts import same_input
from graftwork.planning.operations import is_an_expert, lowest_layer

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked
    from graftwork.base.facts import BaseFacts, LinearPlace, Quantised
    from graftwork.planning.figures import Heads
    from graftwork.planning.workload import Pass

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
FLOAT32 = 4
ADAM_BYTES = 8
"""Adam's two moments of a number."""
CHUNK_ELEMENTS = 1 << 22
"""Logits held at once; as `base.head` has it."""
AGAIN = 4
"""What a layer takes that is made again, as a multiple of what it keeps: that, its gradients, and what lies between."""
INT4_BYTES, INT8_BYTES = 0.5 + FLOAT32 / 64, 1.0
"""Of a weight in 4 bits, its share of a block's scale too, and in 8."""


Moment = Literal["backward pass", "update", "loading"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes on one device at the moment of the peak.

    Attributes:
        moment: what is there at the end of a forward pass (gradients only if an earlier pass of the step left them),
            when the optimizer moves the tensors, or while the base is read.
        runtime: Python, torch and all that is imported; on a GPU its context.
        weights: of the frozen base, or of the base that is trained; while it is read, all that is there of it.
        adapter: its tensors, and the average of them; with full tuning the float32 masters of a base in fewer bits.
        casts: of the adapter in the base's format.
        logits: of one chunk, with all that the loss makes of it.
        holes: what the allocator holds and cannot hand out.
    """

    moment: Moment
    runtime: float
    weights: float
    adapter: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    casts: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    holes: float = 0.0

    @property
    def parts(self) -> dict[str, float]:
        """Bytes by part."""
        return {name: told for name, told in asdict(self).items() if name != "moment"}

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.parts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the machine adds to the tensors.

    Attributes:
        runtime_bytes: before any tensor.
        holes: held by the allocator beyond what is kept for the backward pass, as a share of it.
        on_cpu: whether the base's files are mapped into the process while they are read.
        shards: devices that the base's weights are spread over.
    """

    runtime_bytes: float
    holes: float
    on_cpu: bool
    shards: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What of a recipe decides about memory.

    Attributes:
        tied: whether the head is the table of embeddings.
        stored_dtype: of the base's files.
        own_attention: whether attention is computed by our pieces, which keep queries, keys and values alone.
        lighter: whether norms and gates keep their inputs alone, as `base.between` has it.
        accumulates: whether a step has several passes.
    """

    heads: Heads
    tied: bool
    dtype: str
    stored_dtype: str
    quantised: Quantised
    is_full: bool
    trains_outer: bool
    recomputes: bool
    own_attention: bool
    lighter: bool
    averages: bool = False
    accumulates: bool = False


def num_trained(asked: Mapping[str, Asked]) -> int:
    """Numbers of an adapter that are trained; as its methods' `shapes` say."""
    return sum(
        prod(shape)
        for here in asked.values()
        for name, shape in here.method.shapes(here.spec, here.place).items()
        if name not in here.method.kept
    )


def memory_of(
    largest: Pass,
    facts: BaseFacts,
    asked: Mapping[str, Asked],
    setting: Setting,
    around: Surroundings,
) -> Memory:
    """The peak of a training whose largest pass is `largest`."""
    wide = BYTES[setting.dtype]
    outer = facts.vocab_size * facts.hidden_size * (1 if setting.tied else 2)
    trained = num_trained(asked)
    if setting.is_full:
        trained = facts.num_params - (0 if setting.trains_outer else outer)
    has_masters = setting.is_full and wide < FLOAT32
    layer = layer_bytes(facts, asked, setting)
    kept = _kept(largest, facts, asked, setting, layer)
    logits = _logits(largest, facts, wide, trains_head=setting.is_full and setting.trains_outer)
    weights = weight_bytes(facts, setting, outer) / around.shards
    has_copy = has_masters or not setting.is_full
    standing = Memory(
        moment="update",
        runtime=around.runtime_bytes,
        weights=weights,
        adapter=float(trained * FLOAT32 * (int(has_copy) + int(setting.averages))),
        gradients=trained * FLOAT32,
        optimizer=trained * ADAM_BYTES,
        casts=trained * wide if not setting.is_full and wide < FLOAT32 else 0.0,
    )
    passing = replace(
        standing,
        moment="backward pass",
        gradients=standing.gradients if setting.accumulates else 0.0,
        activations=kept,
        logits=logits,
        holes=around.holes * kept + _freed(facts, setting, around),
    )
    loading = Memory(moment="loading", runtime=around.runtime_bytes, weights=_loading(facts, setting, around, weights))
    return max(passing, standing, loading, key=lambda one: one.total)


def weight_bytes(facts: BaseFacts, setting: Setting, outer: int) -> float:
    """Of the base in memory; embeddings, head and experts in one tensor keep their format."""
    wide = BYTES[setting.dtype]
    if setting.quantised == "off":
        return float(facts.num_params * wide)
    inner = [p for p in facts.places if p.role not in ("head", "router")]
    numbers = sum(p.in_features * p.out_features for p in inner)
    scales = sum(p.out_features for p in inner) * FLOAT32 if setting.quantised == "int8" else 0
    a_number = INT8_BYTES if setting.quantised == "int8" else INT4_BYTES
    return (facts.num_params - numbers) * wide + numbers * a_number + scales


def _freed(facts: BaseFacts, setting: Setting, around: Surroundings) -> float:
    """Room of weights that were read and then put into fewer bits: too scattered for a CPU's allocator to return."""
    if setting.quantised == "off" or not around.on_cpu:
        return 0.0
    inner = sum(p.in_features * p.out_features for p in facts.places if p.role not in ("head", "router"))
    return float(inner * BYTES[setting.dtype])


def _loading(facts: BaseFacts, setting: Setting, around: Surroundings, weights: float) -> float:
    """What is there at once while the base is read: it is read whole before it is put into fewer bits or spread."""
    wide, stored = BYTES[setting.dtype], BYTES.get(setting.stored_dtype, 2)
    whole = facts.num_params * wide
    if not around.on_cpu:
        return weights
    mapped = facts.num_params * stored if wide != stored else 0
    return max(whole + mapped, whole + weights if setting.quantised != "off" else 0.0)


def layer_bytes(facts: BaseFacts, asked: Mapping[str, Asked], setting: Setting) -> dict[int, float]:
    """What is kept of one token, by layer."""
    wide, heads = BYTES[setting.dtype], setting.heads
    queries, keys = heads.queries * heads.dim, heads.keys * heads.dim
    attention = wide * (queries + 2 * keys if setting.own_attention else 2 * queries + 4 * keys)
    per_layer = {}
    for layer in range(facts.num_layers):
        own = [p for p in facts.places if p.layer == layer]
        adapted = [here for here in asked.values() if here.place.layer == layer]
        norm = wide if setting.lighter and not setting.is_full else FLOAT32
        kept = 2 * norm * facts.hidden_size + attention + wide * _mlp_numbers(own, facts, layer, setting)
        if setting.is_full:
            kept += wide * (sum(group[0].in_features for group in same_input(own)) + 2 * facts.hidden_size)
        per_layer[layer] = kept + sum(_beside(here, facts, wide) for here in adapted) + wide * _inputs(adapted)
    return per_layer


def _mlp_numbers(own: Iterable[LinearPlace], facts: BaseFacts, layer: int, setting: Setting) -> int:
    """Of one token: what the activation sees, what it is multiplied by, and what it gives unless made again."""
    total, gated_keeps = 0, 2 if setting.lighter and setting.quantised == "off" else 3
    for place in own:
        if place.role == "mlp.down":
            gated = any(p.role == "mlp.gate" and p.out_features == place.in_features for p in own)
            total += place.in_features * (gated_keeps if gated else 2)
        elif place.role == "mlp.gate_up":
            total += place.out_features // 2
    for experts in facts.experts:
        if experts.layer == layer and experts.role == "experts.down":
            total += 4 * experts.in_features * facts.num_active_experts
    return total


def _inputs(adapted: Iterable[Asked]) -> int:
    """Numbers of one token's inputs that adapters keep; places that see the same input keep it once."""
    ranked = [here for here in adapted if here.method.site == "linear" and _ranks(here)]
    places = [here.place for here in ranked if here.place.role != "mlp.down"]
    linear = [p for p in places if hasattr(p, "in_features") and not is_an_expert(p.role)]
    return sum(group[0].in_features for group in same_input(linear))  # type: ignore[arg-type, misc]


def _beside(here: Asked, facts: BaseFacts, wide: int) -> float:
    """What one place keeps of a token beyond its input: first products, and what a gain multiplies."""
    shapes = here.method.shapes(here.spec, here.place)
    place = here.place
    numbers = _ranks(here)
    if "magnitude_O" in shapes or "gain_O" in shapes:
        numbers += place.out_features  # type: ignore[union-attr]
    if "gain_I" in shapes:
        numbers += place.in_features  # type: ignore[union-attr]
    if here.method.site == "block":
        numbers += 3 * place.features  # type: ignore[union-attr]
    if here.method.site == "experts":
        numbers = facts.num_active_experts * (numbers + place.in_features)  # type: ignore[union-attr]
    return float(wide * numbers)


def _ranks(here: Asked) -> int:
    """Directions of a place's low-rank update; 0 without one."""
    shapes = here.method.shapes(here.spec, here.place)
    return next((int(shape[-2]) for name, shape in shapes.items() if name.startswith("a_") and len(shape) >= 2), 0)


def _kept(
    largest: Pass, facts: BaseFacts, asked: Mapping[str, Asked], setting: Setting, layer: Mapping[int, float]
) -> float:
    wide, lowest = BYTES[setting.dtype], 0 if setting.is_full else lowest_layer(asked)
    behind = [bytes_ for number, bytes_ in layer.items() if number >= lowest]
    ends = 2 * FLOAT32 * facts.hidden_size  # the last norm, and the hidden states with their gradient
    if setting.recomputes:
        return largest.tokens * (wide * facts.hidden_size * len(behind) + AGAIN * max(behind, default=0.0) + ends)
    return largest.tokens * (sum(behind) + ends)


def _logits(largest: Pass, facts: BaseFacts, wide: int, *, trains_head: bool) -> float:
    """Of one chunk: as they come, in float32, their softmax, and both gradients; a head that is trained has a gradient,
    and the sum of those of the chunks, in float32."""
    chunk = min(largest.targets, max(1, CHUNK_ELEMENTS // facts.vocab_size)) * facts.vocab_size
    head = facts.vocab_size * facts.hidden_size * (wide + FLOAT32) if trains_head else 0.0
    return chunk * (2 * wide + 4 * FLOAT32) + head
