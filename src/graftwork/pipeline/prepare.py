"""Step `prepare`: from sources to training and held-out rows of tokens, with a report on what became of every row."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

from graftwork import __version__
from graftwork.core.digests import digest, digest_of_file
from graftwork.core.errors import IntegrityError, Problem, SpecError, Told
from graftwork.core.files import write_json, write_text
from graftwork.core.spec import plain
from graftwork.data.privacy.key import read_key
from graftwork.data.privacy.vault import proof_of, write_vault
from graftwork.data.sources.read import files_of
from graftwork.data.spec import HeldOut
from graftwork.data.store import files_of as files_of_store
from graftwork.data.tally import Tally, flow
from graftwork.data.tasks import Reading
from graftwork.pipeline.first_pass import first_pass
from graftwork.pipeline.folder import Done
from graftwork.pipeline.pages.report import report_page
from graftwork.pipeline.recipes import recipe_digest
from graftwork.pipeline.second_pass import decide, write_side
from graftwork.pipeline.spool import Spool
from graftwork.pipeline.work import Work

TRAIN, EVALUATION = "data/train.jsonl", "data/evaluation.jsonl"
REPORT, PAGE = "data/report.json", "data/report.html"
MOST_FILES = 200
"""Files that the report names one by one."""
QUARANTINE, VAULT, SPOOL = "data/quarantine.jsonl", "data/pseudonyms.vault", "data/.spool"


def prepare(work: Work) -> Done:
    """Do the step, unless it is done already.

    Raises:
        NotFoundError: a source is not there.
        SpecError: nothing can be used, or more went to quarantine than the recipe allows.
        Interrupted: asked to stop; nothing is kept.
    """
    began_s, inputs = time.monotonic(), _inputs(work)
    if done := work.folder.still_done("prepare", inputs):
        work.watch.say("prepare: done already")
        return done
    _refuse_answers_without_room(work)
    folder = work.folder.path
    (folder / "data").mkdir(exist_ok=True)
    with Spool(folder / SPOOL, folder / QUARANTINE) as spool:
        reading = first_pass(work, spool)
        _refuse_too_much_lost(work, spool)
        sides = decide(work, spool)
        train, evaluation = (
            write_side(work, spool, n, i) for n, i in (("train", sides.train), ("evaluation", sides.evaluation))
        )
        report = _report(work, spool.tally, reading, {"train": train, "evaluation": evaluation})
        report["made"] = _made(work)
        report["split"] = {"num_groups": sides.num_groups, "num_from_templates": sides.num_from_templates}
        outputs = [TRAIN, EVALUATION, REPORT, PAGE, QUARANTINE, *_stores()]
        if work.spec.data.privacy != "off" and (key := read_key(work.spec.data.privacy)):
            write_vault(folder / VAULT, spool.sealed, key)
            outputs.append(VAULT)
    write_json(folder / REPORT, report)
    write_text(folder / PAGE, report_page(report, name=work.spec.name, quarantine=Path(QUARANTINE).name))
    summary = {name: value for name, value in report.items() if name != "examples"}
    return work.folder.record("prepare", inputs, outputs, summary, began_s)


def _made(work: Work) -> dict[str, Any]:
    """From what the data was made."""
    return {
        "recipe_digest": recipe_digest(work.spec),
        "base": work.spec.base,
        "tokenizer": work.fingerprint.tokenizer,
        "template": work.fingerprint.template,
        "seed": work.spec.training.seed,
        "max_tokens": work.max_tokens,
        "graftwork": __version__,
        "python": platform.python_version(),
    }


def _stores() -> list[str]:
    return [f"data/{path.name}" for name in ("train", "evaluation") for path in files_of_store(Path(name))]


def _inputs(work: Work) -> dict[str, Any]:
    spec = work.spec
    told = {key: value for key, value in plain(spec.data).items() if key != "train"}
    return {
        "data": told if isinstance(spec.data.evaluation, HeldOut) else {**told, "evaluation": "a file"},
        "sources": [{k: v for k, v in plain(source).items() if k not in ("path", "weight")} for source in work.sources],
        "seed": spec.training.seed,
        "files": [digest_of_file(path) for source in work.sources for path in files_of(source)],
        "remote": [source.path for source in work.sources if source.is_on_hub],
        "key": _of_key(work),
        "graftwork": __version__,
        "max_tokens": work.max_tokens,
        "tokenizer": work.fingerprint.tokenizer,
        "template": work.fingerprint.template,
    }


def _of_key(work: Work) -> str | None:
    """What tells one key of pseudonyms from another, and nothing about it."""
    privacy = work.spec.data.privacy
    key = None if privacy == "off" else read_key(privacy)
    return None if key is None else digest(proof_of(key).hex())


def _refuse_answers_without_room(work: Work) -> None:
    context, room = work.context_tokens, work.spec.evaluation.max_new_tokens
    if context is not None and room >= context:
        raise SpecError([Problem("evaluation.max_new_tokens", room, f"less than the base's context of {context}")])


def _refuse_too_much_lost(work: Work, spool: Spool) -> None:
    """Refuse when no record is left, or fewer than the recipe demands: with what was wrong with the first rows."""
    tally, most = spool.tally, work.spec.data.most_quarantined_frac
    where = f"All rows and why: {work.folder.path / QUARANTINE}"
    if not len(spool):
        raise SpecError(
            [*_reasons(tally), Problem("data", f"{tally.num_rows} rows", "records that can be used", where)]
        )
    if most is not None and tally.num_quarantined > most * tally.num_rows:
        given = f"{tally.num_quarantined} of {tally.num_rows} rows in quarantine"
        raise SpecError([*_reasons(tally), Problem("data.most_quarantined_frac", given, f"at most {most:g}", where)])


def _reasons(tally: Tally) -> list[Problem]:
    """An example of each reason, the most frequent first."""
    told: list[Problem] = []
    for (step, reason), count in tally.quarantined.most_common():
        example = tally.examples[step, reason][0]
        words = f"{count} rows kept back ({step}: {reason}), the first: {example['detail']}"
        told.append(Told(example["where"], example["text"], words if count > 1 else example["detail"]))
    return told


def _sources(tally: Tally, reading: Reading) -> list[dict[str, Any]]:
    """Every file with its layout, its rows and how many of them can be used; the longest of very many."""
    ordered = tally.rows_by_file.most_common()
    shown, others = ordered[:MOST_FILES], ordered[MOST_FILES:]
    told: list[tuple[Any, ...]] = [(file, reading.layouts[file], n, tally.usable_by_file[file]) for file, n in shown]
    if others:
        usable = sum(tally.usable_by_file[file] for file, _ in others)
        told.append((f"{len(others)} further files", None, sum(n for _, n in others), usable))
    return [dict(zip(("file", "layout", "num_rows", "num_usable"), one, strict=True)) for one in told]


def _report(work: Work, tally: Tally, reading: Reading, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    steps = flow(tally)
    used = sum(side["num_records"] for side in sides.values())
    if steps[-1]["out"] != used or tally.num_lost:
        raise IntegrityError(
            f"{steps[-1]['out']} records should be left and {used} are, {tally.num_lost} targets are in no row. "
            "This is a bug, report it."
        )
    privacy = work.spec.data.privacy
    return {
        "num_rows": tally.num_rows,
        "flow": steps,
        **sides,
        "sources": _sources(tally, reading),
        "languages": dict(tally.languages.most_common()),
        "personal_data": {
            "mode": privacy if privacy == "off" else privacy.mode,
            "num_records": tally.num_personal,
            "kinds": dict(tally.personal.most_common()),
        },
        "num_targets_lost": tally.num_lost,
        "num_read_back": tally.num_read_back,
        "num_not_read_back": tally.num_unread,
        "examples": [
            {"step": step, "reason": reason, **example}
            for (step, reason), examples in sorted(tally.examples.items())
            for example in examples
        ],
    }
