"""vLLM's memory as an `AdapterStore`: folders named by what they compute, each loaded once under that name.

vLLM finds adapters by number and keeps keys and values by name. A number is never used for another adapter, and the
name is the digest of what is computed, so nothing of an earlier one can answer for a later one. The folder is gone once
the load is proved: nothing can be read from it a second time.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.serving.vllm.form import plain_lora, write_for_vllm

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.adapters.bank import Handle
    from graftwork.base.load import Base
    from graftwork.serving.models.store import PutIn
    from graftwork.serving.vllm.engine import VllmEngine


class VllmStore:
    """The adapters of a `VllmEngine`.

    Attributes:
        base: described, so that adapters can be read for it; its weights are in vLLM alone.
    """

    def __init__(self, engine: VllmEngine, base: Base, root: Path | None = None) -> None:
        """Prepare.

        Args:
            root: folder for what is written on its way to vLLM; the system's when None.
        """
        self.base, self._engine, self._root = base, engine, root
        self._handles: dict[str, Handle] = {}
        self._holders: Counter[Handle] = Counter()

    @property
    def most(self) -> int:
        """As `AdapterStore.most`."""
        return self._engine.spec.adapters

    @contextmanager
    def ready(self, adapters: Sequence[Adapter], name: str) -> Iterator[PutIn]:
        """As `AdapterStore.ready`: the folder is there while the block lasts."""
        one = plain_lora(adapters, max_rank=self._engine.spec.max_rank)
        with tempfile.TemporaryDirectory(dir=self._root, prefix="graftwork-vllm-") as work:
            folder, digest = write_for_vllm(Path(work), one, self.base)
            yield partial(self._put_in, folder, digest)

    def take_out(self, row: tuple[Handle, ...]) -> None:
        """As `AdapterStore.take_out`; vLLM lets go of it when nobody else holds the same."""
        for handle in row:
            self._holders[handle] -= 1
            if not self._holders[handle]:
                del self._holders[handle], self._handles[handle.name]
                self._engine.unload(handle)

    def _put_in(self, folder: Path, digest: str) -> tuple[Handle, ...]:
        handle = self._handles.get(digest)
        if handle is None:  # two numbers under one name would be taken for each other
            handle = self._handles[digest] = self._engine.load(digest, folder)
        self._holders[handle] += 1
        return (handle,)
