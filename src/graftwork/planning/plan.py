"""The plan of a training: will it fit, how long, at what cost; and what would fit if it does not. Pure.

On several devices a base that fits on one stands on each, and the passes of a step are shared out; one that does not
fit is spread over all of them, and each layer is gathered where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from graftwork.adapters.asked import places_of, positions_in_front
from graftwork.adapters.targets import CacheSpec, EmbeddingSpec
from graftwork.planning.capacity import Capacity, assumed_bits, bits_of, capacity_of
from graftwork.planning.figures import Heads
from graftwork.planning.memory import BYTES, Memory, Setting, Surroundings, memory_of, num_trained
from graftwork.planning.operations import Operations, operations_of
from graftwork.planning.rates import RateAdvice, advised_rate
from graftwork.planning.storage import Storage, money, storage_of
from graftwork.planning.time import Profile, StepTime, measured_time, sheet_time
from graftwork.planning.workload import Laying, Sample, Steps, Workload, workload_of

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked
    from graftwork.base.facts import BaseFacts, Quantised
    from graftwork.data.batches import Mixture
    from graftwork.planning.devices import Device

CONTEXT_BYTES, GPU_HOLES = 600 << 20, 0.1
"""Of a GPU's runtime before any tensor, and what its allocator holds beyond what is used, as a share: assumed."""
SHARE = 0.9
"""Of a device's memory, what a training may take."""
MOST_ALTERNATIVES = 4
LIGHTER = "bfloat16", "float32"
"""Number formats in which norms and gates of a base on a CPU keep their inputs alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The base, as far as a plan needs it.

    Attributes:
        name: whose family decides about the learning rate.
        stored_dtype: of its files.
    """

    name: str
    facts: BaseFacts
    heads: Heads
    tied: bool
    stored_dtype: str = "bfloat16"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where it is to run.

    Attributes:
        memory_bytes: that may be taken on one device; None if nobody knows.
        sheet: of a device known by its data sheet; profile: of a processor that was measured. One of them, or none.
        runtime_bytes: before any tensor.
    """

    name: str
    on_cpu: bool
    count: int = 1
    memory_bytes: float | None = None
    sheet: Device | None = None
    profile: Profile | None = None
    runtime_bytes: float = CONTEXT_BYTES
    holes: float = GPU_HOLES


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a plan is asked about.

    Attributes:
        adapter: the method and its settings; anything that is no adapter with `is_full`.
        nats_per_target: the base's own loss on a sample of the data; None if it was not measured.
        num_targets: learned tokens of one pass over the data.
        price_per_hour: of one device; the user's.
        tasks: that are to be kept, for the storage.
    """

    model: Model
    adapter: Any
    is_full: bool
    sample: Sample
    batch_size: int
    accumulation: int
    num_steps: int
    num_targets: float
    dtype: str = "bfloat16"
    quantised: Quantised = "off"
    recomputes: bool = False
    averages: bool = False
    packs: bool = True
    trains_outer: bool = True
    learning_rate: float | None = None
    mixture: Mixture | None = None
    seed: int = 0
    nats_per_target: float | None = None
    headroom: float = 1.0
    price_per_hour: float | None = None
    tasks: int = 10
    is_rewarded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """Other settings, with which it fits.

    Attributes:
        settings: as for `--set`.
        total_bytes: at the peak, on one device.
    """

    settings: tuple[str, ...]
    total_bytes: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a training is foretold to take.

    Attributes:
        fits: None where nobody knows how much memory there is.
        shortfall_bytes: what is missing on a device; 0 if it fits.
        spread: "whole": the base on each device, "spread": a part on each.
        step_seconds: None for a device whose speed is unknown.
        parts_seconds: of a measured processor.
        over_full: operations of the step over those of full tuning's.
    """

    trained: int
    num_base: int
    memory: Memory
    fits: bool | None
    shortfall_bytes: float
    spread: Literal["whole", "spread"]
    operations: Operations
    over_full: float
    workload: Workload
    step_seconds: float | None
    parts_seconds: StepTime | None
    seconds: float | None
    cost: float | None
    storage: Storage
    capacity: Capacity
    rate: RateAdvice
    alternatives: tuple[Alternative, ...]


def plan_of(request: Request, machine: Machine) -> Plan:
    """The plan, with what would fit if it does not."""
    asked = _asked(request)
    plan = _planned(request, machine, asked)
    if plan.fits is not False:
        return plan
    found: list[Alternative] = []
    for settings, other in _others(request):
        there = asked if other.adapter is request.adapter else _asked(other)
        memory, _ = _memory(other, machine, there, _workload(other, machine))
        if machine.memory_bytes is None or memory.total <= machine.memory_bytes:
            found.append(Alternative(settings=settings, total_bytes=memory.total))
        if len(found) == MOST_ALTERNATIVES:
            break
    return replace(plan, alternatives=tuple(found))


def _planned(request: Request, machine: Machine, asked: dict[str, Asked]) -> Plan:
    facts = request.model.facts
    workload = _workload(request, machine)
    memory, spread = _memory(request, machine, asked, workload)
    step = workload.steps[0] if len(workload.steps) == 1 else max(workload.steps, key=_tokens)
    counted = {"is_full": request.is_full, "recomputes": request.recomputes, "heads": request.model.heads}
    operations = operations_of(step, facts, asked, **counted)  # type: ignore[arg-type]
    full = operations_of(step, facts, {}, **{**counted, "is_full": True, "recomputes": False})  # type: ignore[arg-type]
    trained = facts.num_params if request.is_full else num_trained(asked)
    parts, step_seconds = _seconds(request, machine, asked, workload, trained, memory)
    seconds = None if step_seconds is None else step_seconds * workload.num_steps
    short = 0.0 if machine.memory_bytes is None else max(0.0, memory.total - machine.memory_bytes)
    return Plan(
        trained=trained,
        num_base=facts.num_params,
        memory=memory,
        fits=None if machine.memory_bytes is None else short == 0,
        shortfall_bytes=short,
        spread=spread,
        operations=operations,
        over_full=(operations.total - operations.recomputed) / full.total,
        workload=workload,
        step_seconds=step_seconds,
        parts_seconds=parts,
        seconds=seconds,
        cost=None if seconds is None else money(seconds, machine.count, request.price_per_hour),
        storage=storage_of(facts.num_params, 2, trained, request.tasks),
        capacity=_capacity(request, asked, trained),
        rate=advised_rate(request.model.name, facts.hidden_size, request.num_steps),
        alternatives=(),
    )


def _asked(request: Request) -> dict[str, Asked]:
    return {} if request.is_full else places_of(request.adapter, request.model.facts)


def _tokens(step: Sequence[Any]) -> int:
    return sum(one.tokens for one in step)


def _in_front(request: Request) -> int:
    return 0 if request.is_full else positions_in_front(request.adapter)


def _workload(request: Request, machine: Machine) -> Workload:
    drops = bool(getattr(request.adapter, "dropout", 0.0))
    return workload_of(
        request.sample,
        Steps(
            batch_size=request.batch_size,
            accumulation=request.accumulation,
            number=request.num_steps,
            mixture=request.mixture,
            seed=request.seed,
        ),
        Laying(
            layout="groups" if machine.on_cpu and request.packs else "rows",
            heads=request.model.heads.queries,
            shares=not drops and not isinstance(request.adapter, CacheSpec | EmbeddingSpec),
            in_front=_in_front(request),
        ),
    )


def _setting(request: Request, machine: Machine) -> Setting:
    pieces = machine.on_cpu and request.packs and not _in_front(request)
    shares = request.sample.shared >= 8 and request.batch_size > 1
    return Setting(
        heads=request.model.heads,
        tied=request.model.tied,
        dtype=request.dtype,
        stored_dtype=request.model.stored_dtype,
        quantised=request.quantised,
        is_full=request.is_full,
        trains_outer=request.trains_outer,
        recomputes=request.recomputes,
        own_attention=pieces and (request.dtype != "float32" or shares),
        lighter=machine.on_cpu and request.dtype in LIGHTER,
        averages=request.averages,
        accumulates=request.accumulation > 1,
    )


def _memory(
    request: Request, machine: Machine, asked: dict[str, Asked], workload: Workload
) -> tuple[Memory, Literal["whole", "spread"]]:
    """On one device: with the base whole on each if that fits or there is one device, else spread."""
    model, setting = request.model, _setting(request, machine)

    def on(shards: int) -> Memory:
        around = Surroundings(
            runtime_bytes=machine.runtime_bytes, holes=machine.holes, on_cpu=machine.on_cpu, shards=shards
        )
        return memory_of(workload.largest, model.facts, asked, setting, around)

    whole = on(1)
    if machine.count == 1 or request.is_full or machine.memory_bytes is None or whole.total <= machine.memory_bytes:
        return whole, "whole"
    spread = on(machine.count)
    gathered = model.facts.num_params * BYTES[request.dtype] / model.facts.num_layers
    return replace(spread, weights=spread.weights + gathered), "spread"


def _seconds(
    request: Request, machine: Machine, asked: dict[str, Asked], workload: Workload, trained: int, memory: Memory
) -> tuple[StepTime | None, float | None]:
    """Of a mean step."""
    model, setting = request.model, _setting(request, machine)
    at_once = min(machine.count, request.accumulation)  # passes of a step that are done at the same time
    if machine.profile is not None:
        known = _distinct(workload.steps)
        times = [measured_time(step, model.facts, asked, setting, machine.profile) for step in known]
        mean = sum(one.total for one in times) / len(times)
        middle = sorted(times, key=lambda one: one.total)[len(times) // 2]
        return middle, mean / at_once
    if machine.sheet is None:
        return None, None
    total = 0.0
    for step in workload.steps:
        operations = operations_of(
            step, model.facts, asked, is_full=request.is_full, recomputes=request.recomputes, heads=model.heads
        )
        total += sheet_time(operations, step, model.facts, trained, setting, machine.sheet, memory.activations)
    return None, total / len(workload.steps) / at_once


def _distinct(steps: Sequence[Any], most: int = 16) -> list[Any]:
    """Some of the steps, evenly from the least to the most tokens; alike ones once."""
    ordered = sorted(steps, key=_tokens)
    if _tokens(ordered[0]) == _tokens(ordered[-1]):
        return ordered[:1]
    return ordered[:: ceil(len(ordered) / most)]


def _capacity(request: Request, asked: dict[str, Asked], trained: int) -> Capacity:
    measured = request.nats_per_target is not None
    if request.is_rewarded:
        bits = assumed_bits(num_episodes=request.num_steps * request.batch_size * request.accumulation)
    elif request.nats_per_target is not None:
        bits = bits_of(request.nats_per_target, request.num_targets)
    else:
        bits = assumed_bits(request.num_targets)
    places = [here.place for here in asked.values() if hasattr(here.spec, "rank")]
    return capacity_of(bits, trained, places, request.model.facts, headroom=request.headroom, is_measured=measured)


def _others(request: Request) -> Iterator[tuple[tuple[str, ...], Request]]:
    """Settings nearby, those that change least of the result first: smaller passes of the same step, recomputing, fewer
    bits, shorter records, fewer directions."""
    whole = request.batch_size * request.accumulation
    sizes = [size for size in range(request.batch_size - 1, 0, -1) if whole % size == 0]
    for size in sizes:
        cut = replace(request, batch_size=size, accumulation=whole // size)
        yield _cut_words(size, whole), cut
    again = replace(request, recomputes=True)
    checkpointing = ("training.gradient_checkpointing=true",)
    if not request.recomputes:
        yield checkpointing, again
        for size in sizes:
            cut = replace(again, batch_size=size, accumulation=whole // size)
            yield (*checkpointing, *_cut_words(size, whole)), cut
    if not request.is_full and request.quantised != "int4":
        smallest = replace(again, batch_size=1, accumulation=whole)
        words = (*checkpointing, *_cut_words(1, whole))
        for bits in ("int8", "int4"):
            yield (f"quantised={bits}",), replace(request, quantised=bits)
            yield (f"quantised={bits}", *words), replace(smallest, quantised=bits)
    yield from _lower_ranks(request)


def _cut_words(size: int, whole: int) -> tuple[str, str]:
    return f"training.batch_size={size}", f"training.accumulation={whole // size}"


def _lower_ranks(request: Request) -> Iterator[tuple[tuple[str, ...], Request]]:
    rank = getattr(request.adapter, "rank", None)
    if not isinstance(rank, int):
        return
    while rank > 1:
        rank //= 2
        other = type(request.adapter).model_validate({**request.adapter.model_dump(), "rank": rank})
        yield (f"adapter.rank={rank}",), replace(request, adapter=other)
