"""Receipts on their way to disk: handed over at once, written by a thread, synced when it has caught up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from graftwork.serving.operations.journal import Journal
from graftwork.serving.operations.receipts import Answered, Notary, Signed


class ReceiptWriter:
    """Signs receipts and writes them behind the caller's back. `close` it; what was handed over is written then."""

    def __init__(self, notary: Notary, journal: Journal, outcome: Callable[[str, str], None]) -> None:
        """`outcome` hears "written", or "failed" and why, of every receipt; in the writer's thread."""
        self._notary, self._journal, self._outcome = notary, journal, outcome
        self._queue: SimpleQueue[Signed | None] = SimpleQueue()
        self._pending: dict[str, Signed] = {}
        self._thread = threading.Thread(target=self._run, name="graftwork-receipts", daemon=True)
        self._thread.start()

    def put(self, answered: Answered) -> str:
        """Sign the receipt of an answer and hand it over; its digest."""
        one = self._notary.receipt(answered)
        self._pending[one.digest] = one
        self._queue.put(one)
        return one.digest

    def find(self, tenant: str, text: str) -> str:
        """As `Journal.find`; it may read files, so not for an event loop."""
        for one in tuple(self._pending.values()):
            if one.receipt.tenant == tenant and text in (one.digest, one.receipt.request):
                return one.envelope
        return self._journal.find(tenant, text)

    def close(self) -> None:
        """Write what is left and let the folder go."""
        self._queue.put(None)
        self._thread.join()
        self._journal.close()

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            self._write(one)
            if self._queue.empty():
                self._sync()

    def _write(self, one: Signed) -> None:
        try:
            self._journal.append(one)
        except OSError as error:  # a full disk: the answer was given, and its receipt is not on record
            self._outcome("failed", str(error.strerror or error))
        else:
            self._outcome("written", "")
        self._pending.pop(one.digest, None)

    def _sync(self) -> None:
        try:
            self._journal.sync()
        except OSError as error:
            self._outcome("failed", str(error.strerror or error))
