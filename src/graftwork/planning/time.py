"""How long a training takes on a device whose speed is known. Pure.

A processor that was measured (`graftwork plan --calibrate`) is described by the seconds of what a step is made of, at
several shapes: products forward and backward, thin products of factors, norms, gated activations, rotations,
attention, the loss of a logit, Adam's update of a number, and what an operation costs however small it is. A step's
time is the sum of its parts. A device of a data sheet is a roofline: the products at an assumed share of its speed,
or its memory's speed, whichever is slower.

Source: roofline: Williams et al. 2009, https://doi.org/10.1145/1498765.1498785.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING

from graftwork.planning.memory import BYTES, CHUNK_ELEMENTS, num_trained
from graftwork.planning.operations import lowest_layer, trained_per_token

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked
    from graftwork.base.facts import BaseFacts
    from graftwork.planning.devices import Device
    from graftwork.planning.memory import Setting
    from graftwork.planning.operations import Operations
    from graftwork.planning.workload import Pass

LAYER_OPERATIONS, PLACE_OPERATIONS, PASS_OPERATIONS = 60, 30, 400
"""Operations of a step that cost their overhead, forward and backward: of a layer, of an adapted place beside that, of
a pass as a whole. Counted with the profiler on a llama-like base."""
THIN_PASSES = 3
"""Products with a factor: forward, for its input, for itself."""
FULL_PARTS = 1
"""Full tuning's other costs of a number at each pass, in Adam's updates: its gradient is widened and added."""
EVOLVING_OPERATIONS = 300
"""Operations that a place costs whose ranks move in training, beside its products."""

Points = Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What a processor was measured to do with one number format.

    Attributes:
        products: rows of tokens, in, out, seconds forward, and for the gradients of the input and of the weight.
        thin: rows of rank and seconds of a token and number of the factor, all three products.
        norm, gate, rotate: seconds of an element, forward and backward.
        attention: rows of keys and seconds of a score and head, forward and backward, at heads of 64 numbers, by our
            own pieces; fused: the same by torch's attention, record by record.
        logit: seconds of a logit in the loss, forward and backward, without the head's products.
        reading: seconds to read a number back that is kept in 8 bits; and in 4.
    """

    products: Points
    thin: Points
    norm: float
    gate: float
    rotate: float
    attention: Points
    fused: Points
    logit: float
    reading: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A processor that was measured.

    Attributes:
        speeds: by number format.
        operation: seconds that an operation costs however small it is, forward and backward.
        adam: seconds to update a number.
        runtime_bytes: memory of a training before any tensor; holes: as `memory.Surroundings` has it.
    """

    speeds: Mapping[str, Speed]
    operation: float
    adam: float
    runtime_bytes: float
    holes: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """Seconds of a step by part.

    Attributes:
        frozen: products of the base's layers. between: norms, activations and rotations.
        weights: gradients of the base's own weights, if it is trained.
        overhead: of operations however small they are.
    """

    frozen: float
    weights: float
    adapter: float
    between: float
    attention: float
    head: float
    optimizer: float
    overhead: float

    @property
    def total(self) -> float:
        """All of it."""
        return float(sum(getattr(self, name) for name in self.__slots__))


def measured_time(
    passes: Sequence[Pass],
    facts: BaseFacts,
    asked: Mapping[str, Asked],
    setting: Setting,
    profile: Profile,
) -> StepTime:
    """A step on a processor that was measured."""
    speed, heads = profile.speeds[setting.dtype], setting.heads
    lowest = 0 if setting.is_full else lowest_layer(asked)
    back = (facts.num_layers - lowest) / facts.num_layers
    again = 1 if setting.recomputes else 0
    places = [p for p in facts.places if p.role not in ("head", "router")]
    reads = _reads(facts, setting, speed) * (1 + again + back) * len(passes)
    frozen = weights = between = attention = head = 0.0
    for one in passes:
        for place in places:
            forward, backward, own = _product(speed.products, one.tokens, place.in_features, place.out_features)
            behind = (place.layer or 0) >= lowest
            frozen += forward * (1 + again) + backward * behind
            weights += own if setting.is_full else 0.0
        numbers = facts.num_layers * (1 + again / 2) * (1 + back) / 2
        inner = sum(p.in_features for p in places if p.role == "mlp.down") / facts.num_layers
        between += one.tokens * numbers * (2 * facts.hidden_size * speed.norm + inner * speed.gate)
        between += one.tokens * numbers * (heads.queries + heads.keys) * heads.dim * speed.rotate
        a_score = (
            interpolated(speed.attention if setting.own_attention else speed.fused, one.longest)
            * heads.queries
            * heads.dim
            / 64
        )
        attention += one.scores * a_score * facts.num_layers * (1 + 2 * back + again) / 3
        head += _head(one, facts, speed) * (1.5 if setting.is_full and setting.trains_outer else 1)
    trained = facts.num_params if setting.is_full else num_trained(asked)
    tokens = sum(one.tokens for one in passes)
    thin = sum(trained_per_token(here, facts) * interpolated(speed.thin, _rank(here)) for here in asked.values())
    operations = len(passes) * (PASS_OPERATIONS + facts.num_layers * LAYER_OPERATIONS * (1 + again / 3))
    operations += len(passes) * PLACE_OPERATIONS * len(asked) * (1 + again / 3)
    operations += EVOLVING_OPERATIONS * sum(here.method.evolution is not None for here in asked.values())
    return StepTime(
        frozen=frozen + reads,
        weights=weights,
        adapter=tokens * (thin * (1 + again / THIN_PASSES) + _gains(asked) * speed.norm) + _norms(asked, speed),
        between=between,
        attention=attention,
        head=head,
        optimizer=trained * profile.adam * (1 + FULL_PARTS * len(passes) * setting.is_full),
        overhead=operations * profile.operation,
    )


def sheet_time(
    operations: Operations,
    passes: Sequence[Pass],
    facts: BaseFacts,
    trained: int,
    setting: Setting,
    device: Device,
    activation_bytes: float,
) -> float:
    """Seconds of a step on a device of a data sheet: products at the assumed share of its speed, or what must be read
    and written, whichever is slower; then Adam's update."""
    products = 2 * operations.total / (device.flops[setting.dtype] * device.share)
    moved = len(passes) * (3 * facts.num_params * BYTES[setting.dtype] + 4 * activation_bytes)
    update = trained * 28.0  # reads weight, gradient, two moments; writes weight and two moments; 4 bytes each
    return max(products, moved / device.bytes_per_s) + update / device.bytes_per_s


def interpolated(points: Points, at: float) -> float:
    """Between the rows (x, y) nearest to `at`, by the logarithm of x; the first or last y outside.

    >>> interpolated([(1, 2.0), (4, 4.0)], 2), interpolated([(1, 2.0), (4, 4.0)], 9)
    (3.0, 4.0)
    """
    rows = sorted((float(x), float(y)) for x, y in points)
    if at <= rows[0][0]:
        return rows[0][1]
    for (low, first), (high, last) in pairwise(rows):
        if at <= high:
            share = log(at / low) / log(high / low)
            return first + (last - first) * share
    return rows[-1][1]


def _product(products: Points, tokens: int, wide_in: int, wide_out: int) -> tuple[float, ...]:
    """Seconds forward and of both gradients: the work at the rate between those measured, by tokens and matrix."""
    work = float(tokens) * wide_in * wide_out
    by_size: dict[float, list[Sequence[float]]] = {}
    for row in products:
        by_size.setdefault(row[1] * row[2], []).append(row)
    found = []
    for column in (3, 4, 5):
        at_tokens = [
            (size, interpolated([(row[0], row[column] / (row[0] * size)) for row in rows], tokens))
            for size, rows in by_size.items()
        ]
        found.append(work * interpolated(at_tokens, wide_in * wide_out))
    return tuple(found)


def _head(one: Pass, facts: BaseFacts, speed: Speed) -> float:
    chunk = max(1, min(one.targets, CHUNK_ELEMENTS // facts.vocab_size))
    forward, backward, _ = _product(speed.products, chunk, facts.hidden_size, facts.vocab_size)
    return one.targets / chunk * (forward + backward) + one.targets * facts.vocab_size * speed.logit


def _reads(facts: BaseFacts, setting: Setting, speed: Speed) -> float:
    """Of a base in few bits, its weights once."""
    if setting.quantised == "off":
        return 0.0
    numbers = sum(p.in_features * p.out_features for p in facts.places if p.role not in ("head", "router"))
    return numbers * speed.reading[0 if setting.quantised == "int8" else 1]


def _rank(here: Asked) -> int:
    shapes = here.method.shapes(here.spec, here.place)
    return next((shape[-2] for name, shape in shapes.items() if name.startswith("a_") and len(shape) >= 2), 1)


def _gains(asked: Mapping[str, Asked]) -> int:
    """Numbers of a token that gains multiply."""
    total = 0
    for here in asked.values():
        shapes = here.method.shapes(here.spec, here.place)
        total += sum(shapes[name][0] for name in ("magnitude_O", "gain_O", "gain_I") if name in shapes)
    return total


def _norms(asked: Mapping[str, Asked], speed: Speed) -> float:
    """Lengths of changed rows, once a step: the weight is widened and multiplied by a factor."""
    places = [here for here in asked.values() if "magnitude_O" in here.method.shapes(here.spec, here.place)]
    numbers = [(_rank(h), h.place.in_features * h.place.out_features) for h in places]  # type: ignore[union-attr]
    return sum(
        size * (speed.reading[0] + rank * interpolated(speed.thin, rank) / THIN_PASSES) for rank, size in numbers
    )
