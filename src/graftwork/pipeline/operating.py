"""What watches a server, put together: counts, log, limits, guard and receipts, as the settings ask for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from graftwork.core.errors import Problem, SpecError
from graftwork.core.files import write_bytes
from graftwork.registry.signing.keys import PUBLIC, public_pem, read_private_key, read_public_key, write_new_key
from graftwork.serving.guard.door import GuardDoor
from graftwork.serving.guard.guard import read_guard
from graftwork.serving.models.loading import Event, EventKind
from graftwork.serving.operations.journal import Journal
from graftwork.serving.operations.limits import RateLimits
from graftwork.serving.operations.logs import AnswerLog, Level
from graftwork.serving.operations.metrics import Metrics, ModelsStand
from graftwork.serving.operations.recorder import Recorder
from graftwork.serving.operations.spec import ReceiptsSpec
from graftwork.serving.operations.writing import ReceiptWriter

if TYPE_CHECKING:
    from graftwork.registry.signing.keys import PrivateKey
    from graftwork.serving.asked import EngineReport
    from graftwork.serving.guard.guard import Guard
    from graftwork.serving.operations.receipts import Notary
    from graftwork.serving.spec import ServeSpec

SERVER_KEY = "server.key"
LEVELS: dict[EventKind, Level] = {"refused": "error", "failed": "error", "kept": "warning"}
"""Of what becomes of versions; info for all else."""


SAID: dict[EventKind, str] = {
    "loaded": "version loaded",
    "refused": "version refused",
    "failed": "version not loaded",
    "evicted": "version left memory",
    "moved": "name is answered by another version",
    "kept": "name was moved and is answered as before",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Where receipts are kept.

    Attributes:
        public_key: file with what their signatures are checked with.
        key_id: of that key.
        is_new_key: whether it was made at this start.
        repaired: what a kill had left half written and is taken away now; empty when nothing.
    """

    folder: str
    public_key: str
    key_id: str
    is_new_key: bool
    repaired: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """What can be opened before a base is in memory, so that what is wrong with it is told at once.

    Attributes:
        journal: of receipts; None where none are kept, and then there are no key and no `kept`.
    """

    guard: Guard | None
    journal: Journal | None = None
    key: PrivateKey | None = None
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class ModelEvents:
    """Hears what becomes of versions: a line of the log each, and a count by kind."""

    log: AnswerLog
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(get_args(EventKind), 0)))

    def told(self, event: Event) -> None:
        """As `RegistryModels` tells it."""
        self.counts[event.kind] += 1
        known = {key: value for key, value in asdict(event).items() if value and key != "kind"}
        known |= {"seconds": round(event.seconds, 3)} if event.seconds else {}
        what = SAID[event.kind] if event.version else "registry not read"
        self.log.tell(LEVELS.get(event.kind, "info"), what, **known)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stands:
    """What counts are read from when somebody looks."""

    engine: Callable[[], EngineReport]
    models: Callable[[], ModelsStand]
    is_draining: Callable[[], bool]
    lost_lines: Callable[[], int]


def made_ready(stack: ExitStack, spec: ServeSpec, receipts: Path | None) -> Ready:
    """The guard's policy, and the folder and key of receipts; what must be closed goes on `stack`.

    Args:
        receipts: folder for them where the settings name none; None to keep none then.

    Raises:
        GraftworkError: the policy is wrong, another server writes receipts there, or their key is no key.
    """
    guard = read_guard(Path(spec.guard)) if spec.guard else None
    asked = spec.receipts
    if not isinstance(asked, ReceiptsSpec) or (asked.folder is None and receipts is None):
        return Ready(guard=guard)
    folder = Path(asked.folder) if asked.folder else receipts
    assert folder is not None
    key = read_private_key(Path(asked.key)) if asked.key else None
    journal = _opened(folder)
    stack.callback(journal.close)
    is_new_key = key is None and not (folder / SERVER_KEY).exists()
    if is_new_key:
        write_new_key(folder / SERVER_KEY)
    key = key or read_private_key(folder / SERVER_KEY)
    public = folder / f"{SERVER_KEY}{PUBLIC}"
    if not public.exists() or read_public_key(public) != key.public:
        write_bytes(public, public_pem(key.public))
    kept = Kept(
        folder=str(folder),
        public_key=str(public),
        key_id=key.public.key_id,
        is_new_key=is_new_key,
        repaired=journal.repaired,
    )
    return Ready(guard=guard, journal=journal, key=key, kept=kept)


def watched(
    stack: ExitStack,
    spec: ServeSpec,
    ready: Ready,
    notary_of: Callable[[PrivateKey], Notary],
    log: AnswerLog,
    stands: Stands,
) -> dict[str, Any]:
    """What the HTTP side is given of what watches it, by the names of `serving.http.parts.Parts`."""
    metrics = Metrics(stands.engine, stands.models, stands.is_draining, stands.lost_lines)
    parts: dict[str, Any] = {"limits": RateLimits(spec.rates, time.monotonic), "metrics": metrics.rendered}
    writer = None
    if ready.journal is not None and ready.key is not None:
        writer = ReceiptWriter(notary_of(ready.key), ready.journal, _outcome(metrics, log))
        stack.callback(writer.close)
        parts["receipts"] = writer
    recorder = Recorder(metrics, log=log, receipts=writer, guard=ready.guard)
    if ready.guard is not None:
        parts["guard"] = GuardDoor(ready.guard, recorder.guarded)
    return {**parts, "watcher": recorder}


def _opened(folder: Path) -> Journal:
    try:
        return Journal(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError([Problem("receipts.folder", str(folder), "a folder that can be written", reason)]) from error


def _outcome(metrics: Metrics, log: AnswerLog) -> Callable[[str, str], None]:
    def outcome(what: str, reason: str) -> None:
        metrics.receipt(what)
        if what == "failed":
            log.tell("error", "receipt not written", reason=reason)

    return outcome
