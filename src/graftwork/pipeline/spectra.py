"""How large the updates are while they are trained: rows of spectrum.jsonl, one for each adapted matrix at each look.

The looks of a training are at the tensors that it trains. The last look, whose rows say `written`, is at the adapter as
it is written: averaged over the steps, or of the best step, or with the ranks it was given, where that was asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from graftwork.adapters.adapter import Adapter
from graftwork.pipeline.begin import Trained
from graftwork.pipeline.metrics import keep_until
from graftwork.pipeline.work import Work
from graftwork.training.spectrum import spectra, summary_of

SPECTRUM = "spectrum.jsonl"


def begin_spectra(work: Work, trained: Trained) -> None:
    """Leave of an earlier try what is not done again."""
    keep_until(work, SPECTRUM, step=trained.job.first_step, job=trained.digest)


def put_if_due(work: Work, trained: Trained, step: int) -> None:
    """Look after `step`, if it is time to."""
    job = trained.job
    if step % (job.spec.watch_every or job.spec.checkpoint_every) == 0:
        put_spectra(work, trained, job.bank[job.handle], step=step)


def put_spectra(work: Work, trained: Trained, adapter: Adapter, *, step: int, written: bool = False) -> dict[str, Any]:
    """Look at an adapter.

    Returns:
        What there is to say of its updates all together; nothing when its method has none.
    """
    found = spectra(trained.job.bank, adapter)
    if found:
        said = {"written": written, "job": trained.digest[:16]}
        with (work.folder.path / SPECTRUM).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"step": step, **asdict(one), **said}) + "\n" for one in found)
    return summary_of(found)
