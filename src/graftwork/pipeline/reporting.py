"""The report on an evaluation (report.html), and the model card (README.md) beside what was trained. No torch.

Both are written from what lies in the folder, so that they can be written again, in another language, at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.adapters.card import FILE as CARD
from graftwork.adapters.file_form import CONFIG
from graftwork.adapters.own_form import TYPE as OWN
from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.core.files import read_json, write_text
from graftwork.core.recipe import read_recipe
from graftwork.core.spec import plain
from graftwork.evaluation.certificate.document import checked
from graftwork.evaluation.result import EvaluationResult, Kind, read
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.metrics import METRICS, rows_in
from graftwork.pipeline.model_folder import MODEL
from graftwork.pipeline.pages.evaluation import Background, Certified, evaluation_page
from graftwork.pipeline.pages.model_card import CardFacts, model_card
from graftwork.pipeline.pages.page import Language
from graftwork.pipeline.pages.quick_look import quick_result
from graftwork.pipeline.pages.words import Both, label
from graftwork.pipeline.recipes import recipe_digest, requested
from graftwork.pipeline.spec import RunSpec

RESULT, CLOSELY = "evaluation.json", "result"
"""Where an evaluation lies, and where in it the result of its dimensions."""
CERTIFICATE = "certificate.json"
"""Beside it: the document of `evaluation.certificate`, or {"refused": [reason, ...]} where none could be given."""
PAGE, README = "report.html", "README.md"
RECIPE = "recipe.yaml"
DATA_REPORT = "data/report.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a report left.

    Attributes:
        card: None where nothing was trained in the folder.
        certified: what the certificate there says, checked.
    """

    page: Path
    card: Path | None
    certified: Certified


def write_report(folder: Path, *, language: Language = "en", out: Path | None = None) -> Written:
    """Write the report on the evaluation in `folder`, and the model card of what was trained there.

    Args:
        folder: of a run, or of an evaluation of finished adapters.
        out: a folder for both files; the run's own by default, the card beside the adapter.

    Raises:
        NotFoundError: nothing is evaluated there.
        IntegrityError: a file is not as it was written.
    """
    result, certified = read_result(folder)
    spec = _spec(folder)
    trained = next((folder / name for name in ("adapter", MODEL) if (folder / name / CARD).is_file()), None)
    card = _json(trained / CARD) if trained else {}
    background = Background(
        certified=certified,
        metrics=rows_in(folder / METRICS) if (folder / METRICS).is_file() else (),
        data=_json(folder / DATA_REPORT) if (folder / DATA_REPORT).is_file() else {},
        lineage=_lineage(spec, card),
    )
    page = (out or folder) / PAGE
    name = spec.name if spec else folder.resolve().name
    write_text(page, evaluation_page(result, name=name, language=language, background=background))
    if spec is None or trained is None:
        return Written(page=page, card=None, certified=certified)
    readme = (out or trained) / README
    has_certificate = certified.status == "holds"
    facts = CardFacts(
        name=name,
        told={key: None if value is None else str(value) for key, value in plain(spec.card).items()},
        recipe=dict(plain(spec)),
        recipe_digest=recipe_digest(spec),
        card=card,
        training=RunFolder(folder).steps()["train"].summary,
        data=background.data,
        result=result,
        is_exchangeable=_is_exchangeable(trained),
        has_certificate=has_certificate,
    )
    write_text(readme, model_card(facts, language))
    return Written(page=page, card=readme, certified=certified)


def read_result(folder: Path) -> tuple[EvaluationResult, Certified]:
    """The evaluation that lies in `folder`, and what its certificate says. Raises as `write_report`."""
    if not (folder / RESULT).is_file():
        raise NotFoundError(f"{folder} holds no {RESULT}: nothing is evaluated there. `graftwork run` does it.")
    told = _json(folder / RESULT)
    if CLOSELY in told:
        result = read(told[CLOSELY])
        return result, certified_of(folder, result)
    try:
        return quick_result(told, trained=_trained_kind(folder)), Certified()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{folder / RESULT} is not as it was written. Evaluate again.") from error


def certified_of(folder: Path, result: EvaluationResult) -> Certified:
    """What the certificate in `folder` says of `result`: nothing where there is none, and every reason against it."""
    path = folder / CERTIFICATE
    if not path.is_file():
        return Certified()
    document = _json(path)
    if refused := document.get("refused"):
        return Certified(status="refused", reasons=tuple(map(str, refused)))
    try:
        checked(document, result)
    except IntegrityError as error:
        return Certified(status="refused", reasons=(str(error),), digest=str(document.get("digest", "")))
    return Certified(status="holds", digest=str(document["digest"]))


def _json(path: Path) -> Mapping[str, Any]:
    told = read_json(path)
    if not isinstance(told, dict):
        raise IntegrityError(f"{path} is not as it was written: no JSON object.")
    return told


def _trained_kind(folder: Path) -> Kind:
    return "full" if (folder / MODEL / CARD).is_file() else "adapter"


def _spec(folder: Path) -> RunSpec | None:
    """The run's effective recipe; None where the folder is no run's."""
    path = folder / RECIPE
    return requested(read_recipe(path)) if path.is_file() else None


def _is_exchangeable(trained: Path) -> bool:
    return not (trained / CONFIG).is_file() or _json(trained / CONFIG).get("peft_type") != OWN


def _lineage(spec: RunSpec | None, card: Mapping[str, Any]) -> list[tuple[Both, str]]:
    """Where what was trained comes from."""
    if spec is None or not card:
        return []
    base, provenance = card["base"], card["provenance"]
    stages = " → ".join(str(stage.get("name", "")) for stage in provenance.get("stages", ()))
    told = {
        "lineage_recipe": recipe_digest(spec),
        "lineage_base": f"{base['ref']} {base['weights']}",
        "lineage_trained": card["digest"],
        "lineage_on": (card.get("on") or {}).get("digest", ""),
        "lineage_stages": stages,
        "lineage_train_data": provenance.get("data", {}).get("train", ""),
        "lineage_held_data": provenance.get("data", {}).get("evaluation", ""),
        "lineage_seed": str(provenance.get("seed", "")),
        "lineage_versions": ", ".join(f"{name} {number}" for name, number in provenance.get("versions", {}).items()),
    }
    return [(label(key), value) for key, value in told.items() if value]
