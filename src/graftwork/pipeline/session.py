"""What goes on around the steps of a training: metrics, looks at the held-out loss, checkpoints; and how it ends."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Interrupted, WorkError
from graftwork.core.heap import Heap
from graftwork.pipeline.begin import Trained
from graftwork.pipeline.computing import computed_with
from graftwork.pipeline.conflicts import summary_of, words_of
from graftwork.pipeline.curves import write_curves
from graftwork.pipeline.held_out import put_best_back
from graftwork.pipeline.metrics import METRICS, metrics_from, rows_in
from graftwork.pipeline.spectra import begin_spectra, put_if_due
from graftwork.pipeline.work import Work
from graftwork.training.averaging import settle
from graftwork.training.checkpoints import Keeping, said_at, save_checkpoint
from graftwork.training.loop import train
from graftwork.training.memory import checkpoint_activations, keep_activations

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.training.report import StepReport


def to_the_end(work: Work, trained: Trained) -> dict[str, Any]:
    """Do the steps that are left, with metrics, looks and checkpoints, and put what is to be kept in its place.

    Returns:
        Steps done, whether that was early, and after which of them the tensors were as they are now.
    """
    asked = trained.job.spec.gradient_checkpointing
    with (
        computed_with(trained.computing["threads"]),
        recomputing(trained.job.bank, asked=asked),
        closing(ongoing(work, trained)) as session,
    ):
        try:
            next(session)
            for report in train(trained.job, time.monotonic):
                session.send(report)
        except StopIteration as stop:
            ended: dict[str, Any] = stop.value
            return ended
    raise AssertionError  # after the last step the session ends


@contextmanager
def recomputing(bank: AdapterBank, *, asked: bool) -> Iterator[None]:
    """Inside, the base forgets activations and makes them again, if asked."""
    if asked:
        checkpoint_activations(bank)
    try:
        yield
    finally:
        if asked:
            keep_activations(bank)


def ongoing(work: Work, trained: Trained) -> Generator[None, StepReport, dict[str, Any]]:
    """What goes on around the steps of a training, whoever does them: is sent the report of each, until it returns as
    `to_the_end`."""
    looks, done, heap = trained.looks, trained.job.first_step, Heap()
    try:
        begin_spectra(work, trained)
        with metrics_from(work, job=trained.digest, first_step=done) as metrics:
            if looks:
                looks.begin(said_at(trained.checkpoints, done).noted)
            work.watch.training(done, trained.job.num_steps)
            ends = done >= trained.job.num_steps or (looks is not None and looks.is_enough)
            while not ends:
                last = yield
                done = last.step
                metrics.step(last)
                put_if_due(work, trained, done)
                if looks and looks.plan.is_due(done):
                    metrics.looked(looks.take(done))
                heap.tidy()
                ends = _saved_as_needed(work, trained, done)
    except OSError as error:  # a full disk, most likely
        why = f"{work.folder.path / METRICS}: {error.strerror or error}"
        raise WorkError(f"{why}. The last checkpoint is kept; the same command goes on from it.") from error
    write_curves(work)
    return _kept(work, trained, done)


def _saved_as_needed(work: Work, trained: Trained, step: int) -> bool:
    """Save the state after `step` if it is time to; whether the training is at its end.

    Raises:
        Interrupted: asked to stop before the end.
    """
    job, looks = trained.job, trained.looks
    ends = step == job.num_steps or (looks is not None and looks.is_enough)
    stop = work.watch.should_stop() and not ends  # at the end, the adapter is written
    best_step = looks.best_step if looks else None
    if ends or stop or step == best_step or step % job.spec.checkpoint_every == 0:
        save_checkpoint(
            trained.checkpoints,
            step=step,
            job=trained.digest,
            params=job.params,
            optimizer=job.optimizer,
            beside=trained.beside,
            keeping=Keeping(
                newest=job.spec.keep_checkpoints,
                best_step=best_step,
                noted=looks.noted if looks else {},
                computing=trained.computing,
            ),
        )
    if stop:
        raise Interrupted(f"saved after step {step} of {job.num_steps}")
    return ends


def _kept(work: Work, trained: Trained, done: int) -> dict[str, Any]:
    job, looks = trained.job, trained.looks
    kept_step = done
    if looks and looks.best_step is not None:
        kept_step = looks.best_step
        put_best_back(looks, trained.checkpoints, trained.digest, trained.beside)
        trained.ready(job.optimizer)
    if job.averages:
        settle(job.averages)
    if done < job.num_steps:
        work.watch.say(f"the held-out loss has stopped falling: ended after step {done} of {job.num_steps}")
    if kept_step < done:
        work.watch.say(f"the adapter of step {kept_step} had the lowest held-out loss; it is the one that is kept")
    ended = {"num_steps": done, "ended_early": done < job.num_steps, "kept_step": kept_step}
    return ended | _conflicts(work, job.spec.conflicts)


def _conflicts(work: Work, asked: str) -> dict[str, Any]:
    """Of all steps, also those before the run was stopped."""
    if asked == "off":
        return {}
    found = summary_of(rows_in(work.folder.path / METRICS), [source.path for source in work.spec.data.sources])
    if found:
        work.watch.say(words_of(found, projects=asked == "project"))
    return {"conflicts": {"asked": asked, **found}}
