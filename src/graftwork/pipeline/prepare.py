"""Step `prepare`: from sources to training and held-out rows of tokens, with a report on what became of every row."""

from __future__ import annotations

import time
from pathlib import Path

from graftwork.core.errors import Problem, SpecError
from graftwork.core.files import write_json, write_text
from graftwork.data.privacy.key import read_key
from graftwork.data.privacy.vault import write_vault
from graftwork.data.store import files_of as files_of_store
from graftwork.pipeline.data_inputs import data_inputs
from graftwork.pipeline.data_report import data_report, reasons
from graftwork.pipeline.first_pass import first_pass
from graftwork.pipeline.folder import Done
from graftwork.pipeline.pages.report import report_page
from graftwork.pipeline.second_pass import decide, write_side
from graftwork.pipeline.spool import Spool
from graftwork.pipeline.work import Work

TRAIN, EVALUATION = "data/train.jsonl", "data/evaluation.jsonl"
REPORT, PAGE = "data/report.json", "data/report.html"
QUARANTINE, VAULT, SPOOL = "data/quarantine.jsonl", "data/pseudonyms.vault", "data/.spool"
PREVIEW = "data/preview.html"
LATER = ("adapter", "model", "evaluation.json")
"""What later steps made from the data."""


def prepare(work: Work) -> Done:
    """Do the step, unless it is done already.

    Raises:
        NotFoundError: a source is not there.
        SpecError: nothing can be used, or more went to quarantine than the recipe allows.
        Interrupted: asked to stop; nothing is kept.
    """
    _refuse_answers_without_room(work)
    began_s, inputs = time.monotonic(), data_inputs(work)
    if done := work.folder.still_done("prepare", inputs):
        work.watch.say("prepare: done already")
        return done
    folder = work.folder.path
    (folder / "data").mkdir(exist_ok=True)
    with Spool(folder / SPOOL, folder / QUARANTINE) as spool:
        reading = first_pass(work, spool)
        _refuse_too_much_lost(work, spool)
        sides = decide(work, spool)
        _clear_away(work)
        train, evaluation = (
            write_side(work, spool, n, i) for n, i in (("train", sides.train), ("evaluation", sides.evaluation))
        )
        report = data_report(work, spool.tally, reading, {"train": train, "evaluation": evaluation})
        report["split"] = {"num_groups": sides.num_groups, "num_from_templates": sides.num_from_templates}
        outputs = [TRAIN, EVALUATION, REPORT, PAGE, QUARANTINE, *_stores()]
        if work.spec.data.privacy != "off" and (key := read_key(work.spec.data.privacy)):
            write_vault(folder / VAULT, spool.sealed, key)
            outputs.append(VAULT)
    write_json(folder / REPORT, report)
    write_text(folder / PAGE, report_page(report, name=work.spec.name, quarantine=Path(QUARANTINE).name))
    summary = {name: value for name, value in report.items() if name != "examples"}
    return work.folder.record("prepare", inputs, outputs, summary, began_s)


def _stores() -> list[str]:
    return [f"data/{path.name}" for name in ("train", "evaluation") for path in files_of_store(Path(name))]


def _clear_away(work: Work) -> None:
    """What was made of other data, or from it, is not left beside this data as if it were of it."""
    folder = work.folder
    for name in (VAULT, PREVIEW):
        (folder.path / name).unlink(missing_ok=True)
    kept = [folder.set_aside(name) for name in LATER]
    if any(kept):
        folder.forget("train", "evaluate")
        aside = folder.path / "superseded"
        work.watch.say(
            f"prepared anew; what was made of other data is kept at {aside}. Remove what should not be kept."
        )


def _refuse_answers_without_room(work: Work) -> None:
    context, room = work.context_tokens, work.spec.evaluation.max_new_tokens
    if context is not None and room >= context:
        raise SpecError([Problem("evaluation.max_new_tokens", room, f"less than the base's context of {context}")])


def _refuse_too_much_lost(work: Work, spool: Spool) -> None:
    """Refuse when no record is left, or fewer than the recipe demands: with what was wrong with the first rows."""
    tally, most = spool.tally, work.spec.data.most_quarantined_frac
    where = f"All rows and why: {work.folder.path / QUARANTINE}"
    if not len(spool):
        raise SpecError([*reasons(tally), Problem("data", f"{tally.num_rows} rows", "records that can be used", where)])
    if num := tally.quarantined["template", "marks"]:
        expected = "marked, since the data marks what is learned"
        raise SpecError([Problem("data.learn", work.spec.data.learn, expected, f"{num} records do.")])
    if most is not None and tally.num_quarantined > most * tally.num_rows:
        given = f"{tally.num_quarantined} of {tally.num_rows} rows in quarantine"
        raise SpecError([*reasons(tally), Problem("data.most_quarantined_frac", given, f"at most {most:g}", where)])
