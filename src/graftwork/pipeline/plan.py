"""From a recipe to its plan: the facts of its base, the shapes of its records, and this machine or a named device.

Records come from the run's folder if its data is prepared; else the first rows of each source are made tokens, as in a
preparation; for a base that is not on disk a length is assumed and said. Nothing is trained and nothing is changed,
except that a run's folder with prepared data gets the plan as `plan.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.base.bundled import BUNDLED
from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.core.files import write_json
from graftwork.core.memory import available_bytes
from graftwork.core.spec import parse, plain
from graftwork.data.batches import evenly
from graftwork.pipeline.calibrate import HOLES, LATER_BYTES, known_profile, threads_here
from graftwork.pipeline.folder import RunFolder
from graftwork.planning.devices import DEVICES
from graftwork.planning.figures import Heads, facts_of_figures
from graftwork.planning.known import KNOWN
from graftwork.planning.plan import CONTEXT_BYTES, SHARE, Machine, Model, Plan, Request, plan_of
from graftwork.planning.workload import Sample, alike

if TYPE_CHECKING:
    from graftwork.data.encode import Encoded
    from graftwork.data.store import Packed, TokenStore
    from graftwork.pipeline.spec import RunSpec
    from graftwork.pipeline.work import Work

PLAN = "plan.json"
HERE = "this machine"
SAMPLE_ROWS = 64
MEASURED_RECORDS = 16
ASSUMED_TOKENS = 512
ASSUMED_IMPORTS = 390 << 20
"""Of a process that has imported all a training needs, where nobody has measured it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a plan is asked beside the recipe.

    Attributes:
        base: a known base, or a folder, in place of the recipe's.
        device: a name, or "this machine"; count: how many of them.
        tokens, targets: of a record, in place of those of the data.
        measures: whether the base's loss on a sample is measured.
    """

    base: str | None = None
    device: str = HERE
    count: int = 1
    tokens: int | None = None
    targets: int | None = None
    measures: bool = False
    price_per_hour: float | None = None
    tasks: int = 10
    headroom: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A plan with what was assumed.

    Attributes:
        notes: what a reader should know, in words.
    """

    plan: Plan
    request: Request
    machine: Machine
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    sample: Sample
    num_records: float
    notes: tuple[str, ...] = ()
    records: Sequence[Encoded] = ()
    is_whole: bool = False


def planned(spec: RunSpec, asked: Asked, folder: Path) -> Planned:
    """The plan of a recipe.

    Raises:
        NotFoundError: no base or device has that name.
        SpecError: a target matches nothing.
    """
    model, work = _model(spec, asked, folder)
    found = _found(spec, asked, work)
    told = spec.training
    batch, accumulation = told.batch_size, 1 if told.accumulation == "auto" else told.accumulation
    steps = told.num_steps(max(1, round(found.num_records)))
    nats = _measured(work, found.records) if asked.measures and work is not None else None
    request = Request(
        model=model,
        adapter=spec.adapter,
        is_full=spec.is_full,
        sample=found.sample,
        batch_size=batch,
        accumulation=accumulation,
        num_steps=steps,
        num_targets=found.num_records * found.sample.mean_targets,
        dtype=spec.dtype,
        quantised=spec.quantised,
        recomputes=told.gradient_checkpointing,
        averages=told.ema_decay is not None,
        packs=told.packing != "off",
        trains_outer=bool(getattr(spec.adapter, "embeddings", True)),
        learning_rate=told.learning_rate,
        mixture=evenly(len(found.sample.lengths)),
        seed=told.seed,
        nats_per_target=nats,
        headroom=asked.headroom,
        price_per_hour=asked.price_per_hour,
        tasks=asked.tasks,
        is_rewarded=spec.preset == "rl",
    )
    machine, told_of = _machine(asked, spec.dtype)
    made = Planned(plan=plan_of(request, machine), request=request, machine=machine, notes=(*found.notes, *told_of))
    if found.is_whole and asked.base is None:
        write_json(folder / PLAN, plan_data(made))
    return made


def plan_data(made: Planned) -> dict[str, Any]:
    """A plan as plain data."""
    plan, request = made.plan, made.request
    workload = plan.workload
    return {
        "base": request.model.name,
        "device": {"name": made.machine.name, "count": made.machine.count, "memory_bytes": made.machine.memory_bytes},
        "fits": plan.fits,
        "shortfall_bytes": plan.shortfall_bytes,
        "spread": plan.spread,
        "memory": {"total": plan.memory.total, **asdict(plan.memory)},
        "alternatives": [asdict(one) for one in plan.alternatives],
        "trained": plan.trained,
        "num_base": plan.num_base,
        "operations": {"total": plan.operations.total, "over_full": plan.over_full, **asdict(plan.operations)},
        "steps": workload.num_steps,
        "largest_pass": asdict(workload.largest),
        "step_seconds": plan.step_seconds,
        "parts_seconds": None if plan.parts_seconds is None else asdict(plan.parts_seconds),
        "seconds": plan.seconds,
        "cost": plan.cost,
        "storage": {**asdict(plan.storage), "copies": plan.storage.copies, "adapters": plan.storage.adapters,
                    "smaller": plan.storage.smaller},
        "capacity": {**asdict(plan.capacity), "covers": plan.capacity.covers},
        "learning_rate": {**asdict(plan.rate), "asked": request.learning_rate},
        "notes": list(made.notes),
    }  # fmt: skip


def _model(spec: RunSpec, asked: Asked, folder: Path) -> tuple[Model, Work | None]:
    """The base's numbers, and the run at work on it where it is on disk."""
    name = asked.base or spec.base
    if name in KNOWN:
        figures = KNOWN[name]
        facts = facts_of_figures(figures)
        heads = Heads(queries=figures.heads, keys=figures.key_heads, dim=figures.width)
        return Model(name=name, facts=facts, heads=heads, tied=figures.tied), None
    from graftwork.pipeline.watch import Quiet
    from graftwork.pipeline.work import Work

    if asked.base is not None:
        spec = parse(type(spec), {**plain(spec), "base": asked.base})
    work = Work(spec=spec, folder=RunFolder(folder), watch=Quiet())
    try:
        return _model_in(work.base_folder), work
    except NotFoundError as error:
        bundled = (f"bundled:{one}" for one in BUNDLED)
        hint = did_you_mean(name, (*KNOWN, *bundled))
        told = " ".join(filter(None, (str(error), hint, f"Bases known without their files: {', '.join(KNOWN)}.")))
        raise NotFoundError(told) from error


def _model_in(folder: Path) -> Model:
    from transformers import AutoConfig

    from graftwork.base.load import HERE as LOCAL
    from graftwork.base.load import facts_from_config

    facts = facts_from_config(folder)
    config: Any = AutoConfig.from_pretrained(folder, **LOCAL).get_text_config()
    heads = config.num_attention_heads
    stored = str(getattr(config, "dtype", None) or "bfloat16").removeprefix("torch.")
    return Model(
        name=facts.architecture,
        facts=facts,
        heads=Heads(
            queries=heads,
            keys=getattr(config, "num_key_value_heads", None) or heads,
            dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        ),
        tied=bool(config.tie_word_embeddings),
        stored_dtype=stored,
    )


def _found(spec: RunSpec, asked: Asked, work: Work | None) -> _Found:
    if asked.tokens is None and work is not None:
        found = _prepared(work) or _sampled(work)
        if found is not None:
            return found
    length = asked.tokens or min(ASSUMED_TOKENS, spec.data.max_tokens)
    targets = min(asked.targets or max(1, length // 4), length - 1)
    note = f"records of {length} tokens, {targets} of them learned"
    told = note if asked.tokens else f"assumed: {note} (--tokens, --targets)"
    num = (spec.training.steps or 100) * spec.training.records_per_step
    return _Found(sample=alike(length, targets, is_assumed=asked.tokens is None), num_records=num, notes=(told,))


def _prepared(work: Work) -> _Found | None:
    """The records of a finished preparation in the run's folder."""
    from graftwork.pipeline.work import prepared_tokens

    if not work.folder.path.is_dir() or (done := work.folder.steps().get("prepare")) is None:
        return None
    store: TokenStore = prepared_tokens(work, "train", done.summary)
    records = [store[i] for i in range(min(len(store), 4096))]
    if not records:
        return None
    told = f"records as prepared in {work.folder.path}"
    return _Found(sample=_sample(records), num_records=len(store), notes=(told,), records=records, is_whole=True)


def _sampled(work: Work) -> _Found | None:
    """The first rows of each source, as a preparation would make tokens of them."""
    from graftwork.data.spec import DataSpec
    from graftwork.data.tasks import Reading, root_of, tasks
    from graftwork.pipeline.first_pass import preparer

    open_data = parse(DataSpec, {**plain(work.spec.data), "privacy": "off"})  # pseudonyms change no length that matters
    prepare = preparer(open_data, work.base_folder, work.max_tokens)
    records, num = [], 0.0
    for source in work.sources[: len(work.spec.data.sources)]:
        reading = Reading(work.spec.data.layout, root_of([source]))
        rows = 0
        for number, task in enumerate(tasks([source], reading, is_held_out=False)):
            rows += len(task.found)
            if number:
                continue  # the others are only counted
            some = prepare(replace(task, found=task.found[:SAMPLE_ROWS]))
            usable = len(some.ready) / max(1, min(len(task.found), SAMPLE_ROWS)) * source.weight
            records += [_encoded(entry) for ready in some.ready for entry in ready.entries]
        num += rows * usable if rows else 0.0
    if not records:
        return None
    told = f"records: {len(records)} of the first rows, about {num:,.0f} in all; prepare the data for exact numbers"
    return _Found(sample=_sample(records), num_records=num, notes=(told,), records=records)


def _encoded(entry: Packed) -> Encoded:
    from array import array

    from graftwork.data.encode import Encoded

    marks = tuple(map(bool, entry.targets))
    return Encoded(tuple(array("i", entry.tokens)), marks, entry.origin, entry.source, entry.window)


def _sample(records: Sequence[Encoded]) -> Sample:
    needed = tuple(max((t for t, is_target in enumerate(r.is_target_T) if is_target), default=1) or 1 for r in records)
    first = min(next((t for t, is_target in enumerate(r.is_target_T) if is_target and t), 1) for r in records)
    alike_tokens = sum(
        1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*(r.tokens_T for r in records), strict=False))
    )
    return Sample(
        lengths=tuple(len(r.tokens_T) for r in records),
        needed=needed,
        targets=tuple(sum(r.is_target_T[1:]) for r in records),
        shared=max(0, min(alike_tokens, first - 1)) if len(records) > 1 else 0,
    )


def _measured(work: Work, records: Sequence[Encoded]) -> float | None:
    """Nats of a learned token, of the base alone on some records."""
    from graftwork.base.head import row_nats
    from graftwork.data.collate import collate

    some = [r for r in records if any(r.is_target_T[1:])][:MEASURED_RECORDS]
    if not some:
        return None
    total, targets = 0.0, 0
    for record in some:
        batch = collate([record])
        total += float(row_nats(work.base.halves, batch.tokens_BT, batch.is_target_BT).sum())
        targets += batch.num_targets
    return total / targets


def _machine(asked: Asked, dtype: str) -> tuple[Machine, tuple[str, ...]]:
    if asked.device != HERE:
        sheet = DEVICES[asked.device]
        note = (
            f"{asked.device}: speed and memory of its data sheet ({sheet.source}); assumed: {sheet.share:.0%} of that "
            f"speed, {SHARE:.0%} of the memory, {CONTEXT_BYTES >> 20} MiB of runtime. Not measured."
        )
        memory = SHARE * sheet.memory_bytes
        return Machine(name=asked.device, on_cpu=False, count=asked.count, memory_bytes=memory, sheet=sheet), (note,)
    profile, problem = known_profile(threads_here())
    if profile is not None and dtype not in profile.speeds:
        profile, problem = None, f"nothing was measured for {dtype}"
    machine = Machine(
        name=HERE,
        on_cpu=True,
        memory_bytes=available_bytes(),
        profile=profile,
        runtime_bytes=profile.runtime_bytes if profile else ASSUMED_IMPORTS + LATER_BYTES,
        holes=profile.holes if profile else HOLES,
    )
    return machine, (problem,) if problem else ()


def refuse_counted(device: str, count: int) -> None:
    """Refuse several of this machine: a second one would have to be known."""
    if device == HERE and count > 1:
        raise SpecError([Problem("--gpus", count, "--device as well", f"One of {', '.join(DEVICES)}.")])
