"""A version of the registry loaded on its base, and its logits held against those on record: as a server does it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from graftwork.base.fingerprint import fingerprint
from graftwork.base.locate import locate
from graftwork.registry.access.roles import Principal
from graftwork.registry.state import Registry
from graftwork.serving.models.disk import DiskCache
from graftwork.serving.models.lineage import lineage_of, refuse_unservable

if TYPE_CHECKING:
    from graftwork.adapters.logits import DtypeName, LogitFingerprint
    from graftwork.base.load import Base
    from graftwork.serving.models.judging import Verdict
    from graftwork.serving.models.lineage import Lineage

NO_LIMIT_BYTES = 1 << 62


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What was compared, and what came of it.

    Attributes:
        base: what the base is called here.
        dtype: number format here; `recorded` has that of the training.
    """

    verdict: Verdict
    recorded: LogitFingerprint
    base: str
    dtype: DtypeName


def prove(
    registry: Registry, who: Principal, version: str, *, base: str | None = None, dtype: DtypeName | None = None
) -> Proof:
    """Load a version, and all that it stands on, as a server would, and judge its logits.

    Args:
        base: what to call the base instead of what the version says.
        dtype: number format; None for the one of its training.

    Raises:
        NotFoundError: there is no such version, or no such base.
        IntegrityError: the version cannot be served on this base; says all reasons.
        GraftworkError: as loading a base or an adapter does.
    """
    lineage = lineage_of(registry, who, version)
    ref = base or lineage[-1].manifest.base.ref
    refuse_unservable(lineage, ref, fingerprint(locate(ref)))
    with TemporaryDirectory(prefix="graftwork-") as name, ExitStack() as stack:
        disk = DiskCache(Path(name), registry.blobs, budget_bytes=NO_LIMIT_BYTES)
        stack.callback(disk.close)
        folders = [stack.enter_context(disk.held(one.digest, one.manifest)) for one in lineage]
        return _judged(lineage, folders, ref, dtype)


def _judged(lineage: Lineage, folders: list[Path], ref: str, dtype: DtypeName | None) -> Proof:
    from graftwork.base.load import load_base
    from graftwork.serving.models.reading import recorded_in

    recorded = recorded_in(folders[-1])
    base = load_base(ref, dtype=dtype or recorded.dtype, quantised=recorded.quantised)
    return Proof(
        verdict=_verdict(lineage, folders, base, recorded, dtype or recorded.dtype),
        recorded=recorded,
        base=ref,
        dtype=dtype or recorded.dtype,
    )


def _verdict(
    lineage: Lineage, folders: list[Path], base: Base, recorded: LogitFingerprint, dtype: DtypeName
) -> Verdict:
    from graftwork.adapters.bank import AdapterBank, Row
    from graftwork.adapters.probing import logits_after
    from graftwork.serving.models.judging import judge
    from graftwork.serving.models.reading import read_lineage

    bank, read = AdapterBank(base), read_lineage(lineage, folders, base)
    row = tuple(bank.add(adapter, name=version.digest) for version, adapter in zip(lineage, read.adapters, strict=True))

    def numbers(of: Row) -> list[list[float]]:
        return [logits_after(bank, of, one.tokens)[list(one.ids)].tolist() for one in recorded.asked]

    return judge(recorded, numbers(row), numbers(None), dtype=dtype)
