"""From a run's folder to a version in the registry: held against what the run recorded, then put in whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.adapters.card import FILE as CARD
from graftwork.adapters.card import Card
from graftwork.adapters.logits import FILE as LOGITS
from graftwork.core.digests import digest, digest_of_file
from graftwork.core.errors import GraftworkError, IntegrityError, NotFoundError, Problem, SpecError
from graftwork.core.files import read_foreign_json, read_json
from graftwork.core.spec import parse, plain
from graftwork.evaluation.certificate.document import checked
from graftwork.evaluation.result import read
from graftwork.pipeline.folder import STATE, Done, RunFolder
from graftwork.pipeline.model_folder import ModelCard
from graftwork.pipeline.recipes import read_request, recipe_digest
from graftwork.pipeline.spec import RunSpec
from graftwork.registry.access.roles import Principal
from graftwork.registry.manifest import Manifest
from graftwork.registry.signing.envelope import of_version, signed
from graftwork.registry.signing.keys import PrivateKey
from graftwork.registry.state import Registry
from graftwork.registry.versions import add

if TYPE_CHECKING:
    from graftwork.evaluation.result import EvaluationResult

RECIPE, RESULT, CERTIFICATE, REPORT, CLOSELY = (
    "recipe.yaml",
    "evaluation.json",
    "certificate.json",
    "data/report.json",
    "result",
)
CARD_LIMIT_BYTES = 16_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What was put in.

    Attributes:
        notes: what a reader should know, such as why there is no certificate.
    """

    version: str
    manifest: Manifest
    notes: tuple[str, ...]


def register(registry: Registry, who: Principal, run: Path, *, key: PrivateKey | None = None) -> Registered:
    """Put the run in `run` in as a version, signed if a key is given.

    Raises:
        NotFoundError: it is no run's folder.
        SpecError: the run is not done far enough.
        IntegrityError: something in it is not as the run recorded, with all that is not.
        ConflictError: a process works in it.
    """
    who.refuse_unless("add")
    if not (run / STATE).is_file():
        raise NotFoundError(f"{run} is no run's folder: it holds no {STATE}. `graftwork run` makes one.")
    with RunFolder(run) as folder:
        manifest, notes = manifest_of(folder)
        envelope = signed(of_version(manifest), key) if key else None
        version = add(registry, who, manifest, {one.path: run / one.path for one in manifest.files}, envelope)
    return Registered(version=version, manifest=manifest, notes=notes)


def manifest_of(folder: RunFolder) -> tuple[Manifest, tuple[str, ...]]:
    """What the version of a run says, and notes about it. Raises as `register`."""
    steps, run = folder.steps(), folder.path
    if missing := [name for name in ("prepare", "train") if name not in steps]:
        raise SpecError([Problem(f"{run}", f"no step {', '.join(missing)}", "a run that is trained", "graftwork run")])
    _refuse_changed(run, steps)
    spec, card = read_request(run / RECIPE), _card(run, steps["train"])
    _refuse_other_recipe(run, spec, card, steps["prepare"])
    files = [*steps["train"].outputs, RECIPE, REPORT]
    raw = _raw(run, spec, card, steps["prepare"])
    found, notes = _evaluated(folder, spec, steps)
    if found is not None:
        raw["evaluation"] = found
        files += [RESULT] if found["certificate"] is None else [RESULT, CERTIFICATE]
    raw["files"] = [_note(run, path) for path in sorted(set(files))]
    raw["logits"] = next((one["digest"] for one in raw["files"] if Path(one["path"]).name == LOGITS), None)
    return parse(Manifest, raw), notes


def _refuse_changed(run: Path, steps: Mapping[str, Done]) -> None:
    """Raise unless every file of every step is as it was left."""
    wrong = []
    for name, done in steps.items():
        for relative, expected in done.outputs.items():
            path = run / relative
            if not path.is_file():
                wrong.append(f"{relative} is gone; step {name} left it.")
            elif digest_of_file(path) != expected:
                wrong.append(f"{relative} is not as step {name} left it.")
    if wrong:
        raise IntegrityError("\n".join([f"{run} is not as its run recorded:", *wrong, "Run its recipe again."]))


def _card(run: Path, trained: Done) -> Card | ModelCard:
    """The card of what was trained, which is the one on record."""
    kind: type[Card] | type[ModelCard] = ModelCard if "model_digest" in trained.summary else Card
    where = run / ("model" if kind is ModelCard else "adapter") / CARD
    try:
        card = parse(kind, read_foreign_json(where, limit_bytes=CARD_LIMIT_BYTES))
    except SpecError as error:
        raise IntegrityError(f"{where} is not as it was written:\n{error}") from error
    if card.digest not in (trained.summary.get("adapter_digest"), trained.summary.get("model_digest")):
        raise IntegrityError(f"{where} is the card of something else than the run recorded.")
    return card


def _refuse_other_recipe(run: Path, spec: RunSpec, card: Card | ModelCard, prepared: Done) -> None:
    told = card.provenance
    data = {side: prepared.summary[side]["digest"] for side in ("train", "evaluation")}
    reasons = []
    if told.get("recipe") != dict(plain(spec)):
        reasons.append(f"{RECIPE} is not the recipe that it was trained by")
    named = told.get("data")
    if not isinstance(named, dict) or any(named.get(side) != digest for side, digest in data.items()):
        reasons.append("it was trained on other data than lies there")
    if reasons:
        raise IntegrityError(f"{run}: {' and '.join(reasons)}. Run the recipe again.")


def _raw(run: Path, spec: RunSpec, card: Card | ModelCard, prepared: Done) -> dict[str, Any]:
    told = card.provenance
    on = card.on.digest if isinstance(card, Card) and card.on else None
    return {
        "kind": "adapter" if isinstance(card, Card) else "model",
        "content": card.digest,
        "base": dict(plain(card.base)),
        "on": on,
        "recipe": recipe_digest(spec),
        "data": {**told["data"], "report": prepared.outputs.get(REPORT)},
        "seed": told["seed"],
        "num_steps": told["num_steps"],
        "versions": told["versions"],
        "environment": {name: told[name] for name in ("threads", "stages") if name in told},
    }


def _evaluated(
    folder: RunFolder, spec: RunSpec, steps: Mapping[str, Done]
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """What was measured of this very adapter, as a manifest has it; None when nothing was."""
    done = steps.get("evaluate")
    if done is None:
        return None, ("It is not evaluated: no certificate.",)
    if not _is_of_this(folder, spec, steps, done):
        return None, ("Its evaluation is of another adapter, or other data; it was left out. Run the recipe again.",)
    result, told = digest_of_file(folder.path / RESULT), read_json(folder.path / RESULT)
    if CERTIFICATE not in done.outputs or not isinstance(told, dict) or CLOSELY not in told:
        return {"result": result, "certificate": None}, ("Its recipe names no dimensions: no certificate.",)
    document = read_json(folder.path / CERTIFICATE)
    if not isinstance(document, dict) or "refused" in document:
        reasons = document.get("refused", ()) if isinstance(document, dict) else ()
        return {"result": result, "certificate": None}, ("It has no certificate:", *map(str, reasons))
    closely = read(told[CLOSELY])
    checked(document, closely)
    said = _verdicts(closely, "full" if spec.is_full else "adapter")
    return {"result": result, "certificate": document["digest"], "verdicts": said}, ()


def _is_of_this(folder: RunFolder, spec: RunSpec, steps: Mapping[str, Done], done: Done) -> bool:
    from graftwork.pipeline.evaluate_inputs import evaluate_inputs  # what it needs takes a while to load
    from graftwork.pipeline.watch import Quiet
    from graftwork.pipeline.work import Work

    work = Work(spec=spec, folder=folder, watch=Quiet())
    beside = steps.get("baseline")
    try:
        could = [evaluate_inputs(work, steps["prepare"], steps["train"], one) for one in (beside, None)]
    except OSError as error:
        raise IntegrityError(f"{folder.path}: what its evaluation followed from cannot be read ({error}).") from error
    except GraftworkError as error:
        raise IntegrityError(f"{folder.path}: what its evaluation followed from is not there:\n{error}") from error
    return done.inputs in [digest(inputs) for inputs in could]


def _verdicts(result: EvaluationResult, name: str) -> list[dict[str, str]]:
    """The verdicts on the subject of this name, dimension by dimension and over all."""
    whole = [(dimension.name, dimension.verdicts) for dimension in result.dimensions]
    return [
        {"dimension": dimension, "reference": one.reference, "verdict": one.verdict}
        for dimension, verdicts in [*whole, ("all", result.verdicts)]
        for one in verdicts
        if one.subject == name
    ]


def _note(run: Path, path: str) -> dict[str, Any]:
    return {"path": path, "digest": digest_of_file(run / path), "num_bytes": (run / path).stat().st_size}
