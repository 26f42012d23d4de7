"""A server with everything that watches one: guard, limits, metrics, a log, receipts."""

import io
from contextlib import contextmanager

from tests.support.receipts import a_key
from tests.support.served import served
from tests.support.solo_engine import SoloEngine

from graftwork.core.spec import parse
from graftwork.pipeline.replaying import base_note, engine_note
from graftwork.serving.guard.door import GuardDoor
from graftwork.serving.guard.guard import Guard
from graftwork.serving.guard.spec import GuardSpec
from graftwork.serving.operations.journal import Journal
from graftwork.serving.operations.limits import RateLimits
from graftwork.serving.operations.logs import AnswerLog
from graftwork.serving.operations.metrics import Metrics
from graftwork.serving.operations.receipts import Notary
from graftwork.serving.operations.recorder import Recorder
from graftwork.serving.operations.spec import LogsSpec, RatesSpec
from graftwork.serving.operations.writing import ReceiptWriter


class Operated:
    """What there is to look at."""

    def __init__(self, server, log, recorder, journal):
        self.server, self.log, self.recorder, self.journal = server, log, recorder, journal

    def lines(self):
        """The log."""
        return self.log.getvalue().splitlines()


@contextmanager
def operated(bank, folder, models=None, *, policy=None, rates=None, contents="off", clock=lambda: 0.0):
    """A server over a bank that writes receipts into a folder."""
    engine, log = SoloEngine(bank), io.StringIO()
    guard = Guard(parse(GuardSpec, policy or {}))
    metrics = Metrics(engine.report)
    journal = Journal(folder)
    notary = Notary(base_note(bank), engine_note(bank, engine), a_key())
    writer = ReceiptWriter(notary, journal, lambda outcome, _: metrics.receipt(outcome))
    answers = AnswerLog(log, parse(LogsSpec, {"contents": contents}))
    recorder = Recorder(metrics, log=answers, receipts=writer, guard=guard)
    parts = {
        "guard": GuardDoor(guard, recorder.guarded),
        "limits": RateLimits(parse(RatesSpec, rates or {}), clock),
        "watcher": recorder,
        "receipts": writer,
        "metrics": metrics.rendered,
    }
    try:
        with served(bank, models, engine=engine, **parts) as server:
            yield Operated(server, log, recorder, journal)
    finally:
        writer.close()
