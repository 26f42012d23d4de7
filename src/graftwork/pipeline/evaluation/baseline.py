"""Step `baseline`: full tuning of the same base on the same rows, to stand beside the adapter.

Full tuning is sensitive to its rate, so several are tried. Those are trained without a tenth of the training records,
and the one of the lowest loss on that tenth is taken; then it is trained anew on all of them. The held-out records,
which are scored, have no part in it.
"""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.digests import digest
from graftwork.core.files import read_json, write_json
from graftwork.core.spec import plain
from graftwork.data.store import StoreWriter, TokenStore
from graftwork.data.summary import side_summary
from graftwork.evaluation.held_out import target_loss
from graftwork.evaluation.spec import FullBaseline
from graftwork.pipeline.crew import SOLO
from graftwork.pipeline.evaluation.baseline_spec import baseline_spec
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.model_folder import MODEL
from graftwork.pipeline.train_inputs import train_inputs
from graftwork.pipeline.work import Work, prepared_tokens

if TYPE_CHECKING:
    from graftwork.pipeline.spec import RunSpec

FOLDER, RATES = "baseline", "baseline-rates"
"""Where full tuning lies within the run's folder, and where rates are tried before."""
TRIED = "tried.json"
CHOOSING_FRAC, MOST_CHOOSING = 0.1, 500
"""Share of the training records that rates are chosen by, and the most of them."""


def baseline(work: Work, prepared: Done) -> Done | None:
    """Do the step, unless it is done already; None where the recipe wants none.

    Raises:
        Interrupted: asked to stop; the same command goes on from there.
    """
    asked = work.spec.evaluation.baseline
    if not isinstance(asked, FullBaseline):
        return None
    began_s = time.monotonic()
    specs = [baseline_spec(work.spec, asked, rate) for rate in asked.rates]
    inputs = {"baseline": dict(plain(asked)), "trainings": [_inputs(work, spec, prepared) for spec in specs]}
    if done := work.folder.still_done("baseline", inputs):
        work.watch.say("baseline: done already")
        return done
    folder = work.folder.path / FOLDER
    tried = _tried(work, specs, prepared, digest(inputs))
    spec = specs[min(range(len(specs)), key=lambda i: (tried[i], i))] if len(specs) > 1 else specs[0]
    rate = spec.training.learning_rate
    work.watch.say(f"baseline: full tuning of {spec.base} at the rate {rate:g}, on all training records")
    store = prepared_tokens(work, "train", prepared.summary)
    held_out = prepared_tokens(work, "evaluation", prepared.summary)
    trained = _trained(work, spec, folder, prepared, train=_all(store), evaluation=_all(held_out))
    summary = {
        "rate": rate,
        "tried": [{"rate": s.training.learning_rate, "loss_nats": loss} for s, loss in zip(specs, tried, strict=False)],
        "choosing_records": len(choosing(store)) if tried else 0,
        "seconds": trained.seconds,
        **{key: trained.summary[key] for key in ("model_digest", "num_params", "num_steps", "peak_memory_bytes")},
    }
    outputs = [f"{FOLDER}/{name}" for name in trained.outputs]
    return work.folder.record("baseline", inputs, outputs, summary, began_s)


def choosing(store: TokenStore) -> set[int]:
    """The training records, by number, that rates are chosen by: a tenth, those with the lowest digests."""
    firsts = _firsts(store)
    digests = {number: sha256(store.packed(row).tokens).digest() for number, row in enumerate(firsts)}
    num = min(MOST_CHOOSING, max(2, round(CHOOSING_FRAC * len(firsts))))
    return set(sorted(digests, key=lambda number: (digests[number], number))[: min(num, len(firsts) - 1)])


def _firsts(store: TokenStore) -> list[int]:
    """The first row of each record; further windows of it come behind."""
    return [row for row, window in enumerate(store.windows.tolist()) if window == 0]


def _all(store: TokenStore) -> tuple[TokenStore, list[int]]:
    return store, list(range(len(store)))


def _inputs(work: Work, spec: RunSpec, prepared: Done) -> dict[str, Any]:
    told = train_inputs(replace(work, spec=spec), prepared)
    return {**told, "held_out": None}


def _tried(work: Work, specs: Sequence[RunSpec], prepared: Done, inputs_digest: str) -> list[float]:
    """The loss of each rate on the records set aside for choosing; nothing where there is one rate alone."""
    if len(specs) == 1:
        return []
    folder = work.folder.path / RATES
    store = prepared_tokens(work, "train", prepared.summary)
    chosen, number = choosing(store), -1
    train: list[int] = []
    aside: list[int] = []
    for row, window in enumerate(store.windows.tolist()):
        number += window == 0
        (aside if number in chosen else train).append(row)
    losses = _told_losses(folder / TRIED, inputs_digest)
    for spec in specs[len(losses) :]:
        rate = spec.training.learning_rate
        work.watch.say(f"baseline: trying the rate {rate:g}, {len(losses) + 1} of {len(specs)}")
        place = folder / f"rate-{rate:g}"
        _trained(work, spec, place, prepared, train=(store, train), evaluation=(store, aside))
        losses.append(_loss(work, place / MODEL, store, aside))
        write_json(folder / TRIED, {"inputs": inputs_digest, "losses": losses})
        shutil.rmtree(place)
        work.stop_if_asked(f"{len(losses)} of {len(specs)} rates tried")
    return losses


def _told_losses(path: Path, inputs_digest: str) -> list[float]:
    told: Any = read_json(path) if path.is_file() else {}
    return list(told["losses"]) if told.get("inputs") == inputs_digest else []


def _loss(work: Work, model: Path, store: TokenStore, rows: Sequence[int]) -> float:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.load import load_base
    from graftwork.pipeline.sides import Side

    spec = work.spec
    tuned = load_base(str(model), dtype=_dtype(spec), device=work.device, attention=spec.attention)
    side = Side(bank=AdapterBank(tuned))
    records = [store[row] for row in rows]
    size = spec.evaluation.batch_size
    mean = target_loss(tuned.halves, records, side.routed, batch_size=size, device=tuned.device).mean
    del side, tuned
    gc.collect()
    return mean


def _dtype(spec: RunSpec) -> Any:
    return "bfloat16" if spec.dtype == "float16" else spec.dtype


def _trained(
    work: Work,
    spec: RunSpec,
    path: Path,
    prepared: Done,
    *,
    train: tuple[TokenStore, Sequence[int]],
    evaluation: tuple[TokenStore, Sequence[int]],
) -> Done:
    """A full tuning in a run folder of its own, on those rows."""
    from graftwork.pipeline.full import train_full

    with RunFolder(path) as folder:
        own = replace(work, spec=spec, folder=folder, crew=SOLO, at_hand=None)
        own_prepared = _prepared(own, prepared, train=train, evaluation=evaluation)
        trained = train_full(own, own_prepared)
    gc.collect()
    return trained


def _prepared(work: Work, prepared: Done, **sides: tuple[TokenStore, Sequence[int]]) -> Done:
    """The step `prepare` of a folder: rows that another one has prepared."""
    began_s = time.monotonic()
    data = work.folder.path / "data"
    inputs = {"from": prepared.inputs, "rows": {name: digest(list(rows)) for name, (_, rows) in sides.items()}}
    if done := work.folder.still_done("prepare", inputs):
        return done
    told = dict(prepared.summary)
    for name, (store, rows) in sides.items():
        targets, content, records = [], sha256(), 0
        with StoreWriter(data / name) as writer:
            for entry in map(store.packed, rows):
                writer.add(entry)
                targets.append(entry.num_targets)
                content.update(entry.tokens)
                records += entry.window == 0
        summary = side_summary(writer.lengths, targets, num_records=records, digest=content.hexdigest())
        told[name] = {**summary, "files": writer.files}
    outputs = [f"data/{name}.{part}" for name in sides for part in ("tokens", "targets", "index.npy")]
    return work.folder.record("prepare", inputs, outputs, told, began_s)
