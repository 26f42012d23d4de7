"""vLLM as an `Engine`: a thread that hears requests, steps vLLM, and tells what it says.

One promise of `serving.interface` is not vLLM's, so not ours here: a greedy request may get other last bits, and so
another token, beside other requests (vLLM has VLLM_BATCH_INVARIANT for some GPUs). Nor are tenants given fair shares:
requests are answered as they come.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from graftwork.adapters.bank import Handle
from graftwork.adapters.probing import dtype_name
from graftwork.core.errors import GraftworkError, OverloadedError, WorkError
from graftwork.serving.asked import Ask, EngineReport, Finish, Update
from graftwork.serving.inbox import Inbox, Joins, Leaves, Works
from graftwork.serving.vllm.core import Core, Sizes
from graftwork.serving.vllm.form import no_change, write_for_vllm
from graftwork.serving.vllm.live import Live
from graftwork.serving.vllm.sampling import refuse_impossible
from graftwork.serving.vllm.spec import VllmSpec

if TYPE_CHECKING:
    from graftwork.base.load import Base

T = TypeVar("T")
LOG = logging.getLogger("graftwork.serving")

NOBODY = EngineReport(
    waiting=0,
    running=0,
    kv_tokens=0,
    kv_tokens_kept=None,
    kv_tokens_total=0,
    steps=0,
    prompt_tokens=0,
    cached_tokens=0,
    new_tokens=0,
)


class VllmEngine:
    """An `Engine` (see `serving.interface`) that has vLLM compute.

    Attributes:
        sizes: what it can take.
        name: with vLLM's version.
        device: kind of what it computes on.
        multiple: None: rows are not filled up, so last bits may depend on what else is under way.
    """

    multiple: int | None = None

    def __init__(self, base: Base, spec: VllmSpec) -> None:
        """Begin with the files of a base, which may be an outline; waits until vLLM is ready.

        Raises:
            SpecError: vLLM is not installed.
            WorkError: it does not begin.
        """
        self.spec = spec
        self._inbox, self._live, self._adapters = Inbox(), dict[str, Live](), dict[int, Any]()
        self._counts, self._is_draining, self._numbers = NOBODY, False, itertools.count(1)
        begun: Future[Core] = Future()
        self._thread = Thread(target=self._run, args=(base, begun), name="graftwork vllm", daemon=True)
        self._thread.start()
        self._core = begun.result()
        self.sizes: Sizes = self._core.sizes
        self.name, self.device = self._core.name, self._core.device

    def submit(self, ask: Ask, told: Callable[[Update], None]) -> None:
        """See `Engine`."""
        sizes = self.sizes
        refuse_impossible(
            ask, vocab_size=sizes.vocab_size, context_tokens=sizes.context_tokens, kv_tokens=sizes.kv_tokens
        )
        if self._is_draining:
            raise OverloadedError("the server is shutting down and takes no more requests.", retry_after_s=5)
        num_waiting = self.report().waiting
        self._inbox.join(ask, told, num_waiting=num_waiting, most_waiting=self.spec.max_waiting)

    def cancel(self, id: str) -> None:
        """See `Engine`."""
        self._inbox.put(Leaves(id))

    def between_steps(self, work: Callable[[], T]) -> Future[T]:
        """See `Engine`: vLLM itself does what it is told between two of its own steps."""
        return self._inbox.work(work)

    def load(self, name: str, folder: Path) -> Handle:
        """Load an adapter under a name that no other has, and a number that none ever had; in the engine's thread.

        Raises:
            IntegrityError: vLLM refuses it.
            WorkError: vLLM let go of others to make room.
        """
        handle = Handle(next(self._numbers), name)
        self._adapters[handle.number] = self._core.load(handle.name, handle.number, folder)
        if lost := self._adapters.keys() - self._core.loaded():
            del self._adapters[handle.number]
            self._core.unload(handle.number)
            raise WorkError(f"vLLM let go of {len(lost)} adapters that it was not told to.")
        return handle

    def unload(self, handle: Handle) -> None:
        """Let go of an adapter; in the engine's thread. Raises WorkError when vLLM keeps it."""
        del self._adapters[handle.number]
        self._core.unload(handle.number)

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive() and not self._inbox.is_closed and self._core.is_alive

    def report(self) -> EngineReport:
        """See `Engine`, as far as can be seen from here: whoever has said nothing yet waits."""
        live = list(self._live.values())
        running = [one for one in live if one.has_begun]
        page = self.sizes.page_tokens
        pages = sum(-(-(len(one.ask.prompt_T) + one.num_said) // page) for one in running)
        return replace(
            self._counts,
            waiting=len(live) - len(running) + self._inbox.num_joining(),
            running=len(running),
            kv_tokens=pages * page,
            kv_tokens_total=self.sizes.kv_tokens,
        )

    def drain(self) -> None:
        """See `Engine`."""
        self._is_draining = True

    def close(self) -> None:
        """See `Engine`."""
        self._is_draining = True
        self._inbox.close()
        self._thread.join()

    def _run(self, base: Base, begun: Future[Core]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="graftwork-vllm-") as work:
                nothing, _ = write_for_vllm(Path(work), no_change(base), base)
                core = Core(base.folder, self.spec, dtype=dtype_name(base), nothing=nothing)
        except BaseException as error:  # noqa: BLE001  whoever waits for it is told
            known = isinstance(error, GraftworkError)
            begun.set_exception(error if known else WorkError(f"vLLM does not begin: {error}"))
            return
        self._core = core
        begun.set_result(core)
        reason = ""
        try:
            while not self._inbox.is_closed:
                self._hear(waits=not self._live)
                if self._live:
                    self._step()
        except Exception:
            LOG.exception("the engine has ended")
            reason = "the engine has ended."
        self._inbox.close()
        self._hear(waits=False)  # what came before the end was said
        for id_ in list(self._live):
            self._end(id_, "failed" if reason else "cancelled", reason)
        core.close()

    def _hear(self, *, waits: bool) -> None:
        for one in self._inbox.taken(waits=waits):
            if isinstance(one, Works):
                one.do()
            elif isinstance(one, Joins):
                self._join(one)
            elif one.id in self._live:
                self._core.abort(one.id)
                self._end(one.id, "cancelled")

    def _join(self, one: Joins) -> None:
        ask = one.ask
        if self._inbox.is_closed:
            one.told(Update(finish="cancelled"))
            return
        try:
            if ask.id in self._live:
                raise WorkError(f"a request {ask.id!r} is under way already.")
            self._core.add(ask, self._adapter(ask))
        except Exception as error:  # noqa: BLE001  whoever asked is told, and the others go on
            one.told(Update(finish="failed", reason=str(error)))
            return
        self._live[ask.id] = Live(ask, one.told, self.sizes.vocab_size)

    def _adapter(self, ask: Ask) -> Any:
        row = ask.served.row
        if row is None:
            return None
        (handle,) = (row,) if isinstance(row, Handle) else row
        if handle.number not in self._adapters:
            raise WorkError(f"the adapter {handle.name[:12]} is not in memory.")
        return self._adapters[handle.number]

    def _step(self) -> None:
        self._count(steps=1)
        for output in self._core.step():
            live = self._live.get(output.request_id)
            if live is None:
                continue  # it was cancelled
            had_begun, num_before = live.has_begun, live.num_said
            finish = live.say(output)
            if not had_begun:
                self._count(prompt_tokens=len(live.ask.prompt_T) - live.cached_tokens, cached_tokens=live.cached_tokens)
            self._count(new_tokens=live.num_said - num_before)
            if finish:
                del self._live[output.request_id]
                if finish == "failed":
                    self._core.abort(output.request_id)

    def _end(self, id_: str, finish: Finish, reason: str = "") -> None:
        live = self._live.pop(id_)
        live.tell(Update(finish=finish, reason=reason, cached_tokens=live.cached_tokens))

    def _count(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + num for name, num in more.items()})
