"""Adapters of a lineage read from the disk, strictly, in the thread of a loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.adapters.file_form import TENSORS
from graftwork.adapters.files import HEADER_LIMIT_BYTES, read_adapter
from graftwork.adapters.logits import FILE, LIMIT_BYTES, LogitFingerprint, read_fingerprint
from graftwork.base.fingerprint import safetensors_header
from graftwork.core.errors import IntegrityError

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.base.load import Base
    from graftwork.registry.versions import Version
    from graftwork.serving.models.lineage import Lineage

WIDE = "F64"
"""The number format that takes 8 bytes in memory; all others are kept in 4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What lies in the folders of a lineage.

    Attributes:
        adapters: the lowest first.
        recorded: fingerprint of the last one's logits.
    """

    adapters: tuple[Adapter, ...]
    recorded: LogitFingerprint

    def num_bytes(self, base_itemsize: int) -> int:
        """Of all tensors, and of the factors that an engine makes of them in the number format of its base."""
        numbers = sum(tensor.numel() for adapter in self.adapters for _, tensor in adapter.tensors())
        return sum(adapter.num_bytes for adapter in self.adapters) + numbers * base_itemsize


def bytes_in(folders: Sequence[Path], base_itemsize: int) -> int:
    """Bytes that what lies in these folders takes in memory, from the headers of their files, as `Read.num_bytes`.

    Raises:
        IntegrityError: a header is broken.
    """
    headers = [safetensors_header(folder / TENSORS, limit_bytes=HEADER_LIMIT_BYTES) for folder in folders]
    entries = [entry for header in headers for entry in header.values()]
    return sum(prod(entry.shape) * ((8 if entry.dtype == WIDE else 4) + base_itemsize) for entry in entries)


def read_lineage(lineage: Lineage, folders: Sequence[Path], base: Base) -> Read:
    """The adapters in `folders`, which are those of `lineage`.

    Raises:
        IntegrityError: a folder holds something else than its version says.
        GraftworkError: as `read_adapter`.
    """
    adapters = tuple(_adapter(version, folder, base) for version, folder in zip(lineage, folders, strict=True))
    recorded = recorded_in(folders[-1])
    refuse_other(recorded, lineage[-1].manifest.content, base)
    return Read(adapters=adapters, recorded=recorded)


def recorded_in(folder: Path) -> LogitFingerprint:
    """The fingerprint of logits in an adapter's folder. Raises IntegrityError when there is none, or it is broken."""
    path = folder / FILE
    if not path.is_file():
        raise IntegrityError(f"the version holds no {FILE}. Run its recipe again.")
    with path.open("rb") as file:
        return read_fingerprint(file.read(LIMIT_BYTES + 1))


def refuse_other(recorded: LogitFingerprint, content: str, base: Base) -> None:
    """Raise IntegrityError unless it is of the adapter with this digest, on this base."""
    vocab_size = base.halves.vocab_size
    if recorded.adapter != content or recorded.base != base.fingerprint.digest:
        raise IntegrityError(f"{FILE} is the fingerprint of another adapter, or of one on another base.")
    if any(max(*one.ids, *one.tokens) >= vocab_size for one in recorded.asked):
        raise IntegrityError(f"{FILE} names tokens that the base does not have: it has {vocab_size}.")


def _adapter(version: Version, folder: Path, base: Base) -> Adapter:
    loaded = read_adapter(folder, base)
    if loaded.card is None or loaded.card.digest != version.manifest.content:
        found = loaded.card.digest[:12] if loaded.card else "none"
        raise IntegrityError(f"its card is of another adapter: {found}, not {version.manifest.content[:12]}.")
    if (loaded.card.on.digest if loaded.card.on else None) != version.manifest.on:
        raise IntegrityError("its card says that it stands on something else than its version says.")
    return loaded.adapter
