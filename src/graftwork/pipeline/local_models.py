"""Adapters from folders, served for a quick look: in memory from the start, without a registry behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from graftwork.adapters.bank import AdapterBank, Row
from graftwork.adapters.logits import FILE, LogitFingerprint
from graftwork.adapters.probing import dtype_name
from graftwork.adapters.standing import adapter_folder, standing
from graftwork.core.digests import digest
from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError, Problem, SpecError, did_you_mean
from graftwork.registry.access.roles import Principal
from graftwork.registry.stages import refuse_bad_name
from graftwork.serving.asked import Served
from graftwork.serving.interface import Engine
from graftwork.serving.models.listing import Listed
from graftwork.serving.models.proving import Prover
from graftwork.serving.models.reading import recorded_in, refuse_other

PROBE = "The quick brown fox jumps over the lazy dog. \u4f60\u597d\uff0c\u4e16\u754c\u3002"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalModel:
    """An adapter from a folder.

    Attributes:
        unproved: why nobody can tell whether it acts as it did in training; empty when it was proved.
        recorded: fingerprint of its logits, if its folder has one.
    """

    row: Row
    content: str
    num_bytes: int = 0
    unproved: str = ""
    recorded: LogitFingerprint | None = None


class LocalModels:
    """The base and adapters from folders, for one tenant; as `serving.http.seams.ServedModels`."""

    def __init__(
        self, bank: AdapterBank, base_name: str, models: Mapping[str, LocalModel], *, tenant: str, made_us: int
    ) -> None:
        self._bank, self._base_name, self._tenant, self._made_us = bank, base_name, tenant, made_us
        self._models = dict(models)

    async def acquire(self, who: Principal, name: str) -> Served:
        """As `Models.acquire`."""
        if name == self._base_name:
            return Served(name=name, version=None, content=self._bank.host.fingerprint.weights, row=None)
        model = self._found(who, name)
        return Served(name=name, version=None, content=model.content, row=model.row)

    def release(self, served: Served) -> None:
        """Everything stays in memory."""

    async def listed(self, who: Principal) -> Sequence[Listed]:
        """As `ServedModels.listed`."""
        own = self._models if who.tenant == self._tenant else {}
        return [
            self._listed(self._base_name, self._bank.host.fingerprint.weights),
            *(self._listed(name, model.content, model.unproved) for name, model in own.items()),
        ]

    async def load(self, who: Principal, name: str) -> None:
        """It is in memory already."""
        await self.acquire(who, name)

    async def pin(self, who: Principal, name: str) -> None:
        """It stays in memory anyway."""
        await self.acquire(who, name)

    async def unload(self, who: Principal, name: str) -> None:
        """Raises ConflictError."""
        await self.acquire(who, name)
        raise ConflictError(f"{name!r} came from a folder and stays in memory. Serve a registry to load and unload.")

    async def unpin(self, who: Principal, name: str) -> None:
        """Raises ConflictError."""
        await self.unload(who, name)

    def _found(self, who: Principal, name: str) -> LocalModel:
        if who.tenant != self._tenant or name not in self._models:
            raise NotFoundError(f"There is no model {name!r} here. {did_you_mean(name, self._models)}".strip())
        return self._models[name]

    async def refresh(self) -> None:
        """Names do not move here."""

    async def __aenter__(self) -> Self:
        """Everything is there."""
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Nothing is held."""

    def _listed(self, name: str, content: str, unproved: str = "") -> Listed:
        return Listed(
            name=name,
            version=None,
            stage="",
            content=content,
            base=self._base_name,
            on=None,
            added_us=self._made_us,
            is_resident=True,
            is_pinned=True,
            answered_by=None,
            refused="",
            unproved=unproved,
        )


def named_folders(words: Sequence[str], base_name: str) -> dict[str, Path]:
    """Folders by the names that they are served as, from words such as `adapter` or `name=adapter`.

    Raises:
        SpecError: a name stands twice, is the base's, or cannot be a name.

    >>> named_folders(["bot=runs/desk"], "base")
    {'bot': PosixPath('runs/desk')}
    """
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for word in words:
        name, equals, text = word.partition("=")
        folder = Path(text if equals else word)
        name = name if equals else folder.resolve().name.lower()
        try:
            refuse_bad_name(name)
        except SpecError as error:
            problems += [
                Problem("--adapter", word, one.expected, "Give it one: name=FOLDER.") for one in error.problems
            ]
        if name in found or name == base_name:
            problems.append(Problem("--adapter", word, "each name once", f"{name!r} is taken: name=FOLDER."))
        found[name] = folder
    if problems:
        raise SpecError(problems)
    return found


def local_models(bank: AdapterBank, folders: Mapping[str, Path]) -> dict[str, LocalModel]:
    """Load the adapters in folders, each with all that it stands on.

    Raises:
        IntegrityError: one of them acts on nothing, or is not what its card says.
        GraftworkError: as loading an adapter does.
    """
    return {name: _local_model(bank, name, folder) for name, folder in folders.items()}


def _local_model(bank: AdapterBank, name: str, folder: Path) -> LocalModel:
    handles = bank.load_standing(adapter_folder(folder))
    if not _acts(bank, handles):
        raise IntegrityError(
            f"the adapter {name!r} in {folder} changes no answer of its base. Train it, or leave it out."
        )
    told = [one.card.digest if one.card else None for one in standing(folder)]
    contents = [one or bank[handle].digest() for one, handle in zip(told, handles, strict=True)]
    content = contents[0] if len(contents) == 1 else digest(contents)
    num_bytes = sum(bank[handle].num_bytes for handle in handles)
    if not (adapter_folder(folder) / FILE).exists():
        why = f"its folder has no {FILE}"
        return LocalModel(row=handles, content=content, num_bytes=num_bytes, unproved=why)
    recorded = recorded_in(adapter_folder(folder))
    refuse_other(recorded, contents[-1], bank.base)
    return LocalModel(row=handles, content=content, num_bytes=num_bytes, recorded=recorded)


async def refuse_unproved(engine: Engine, bank: AdapterBank, models: Mapping[str, LocalModel]) -> None:
    """Hold the logits of all that have a fingerprint against it, through the engine, as those of a registry are.

    Raises:
        IntegrityError: some of them act otherwise than when they were trained, or not at all.
    """
    base = Served(name="", version=None, content=bank.host.fingerprint.weights, row=None)
    prover = Prover(engine, base, dtype=dtype_name(bank.base))
    wrong = []
    for name, model in models.items():
        if model.recorded is not None:
            served = Served(name=name, version=None, content=model.content, row=model.row)
            verdict = await prover.verdict(served, model.recorded)
            if not verdict.is_proved:
                wrong.append(f"the adapter {name!r} is refused: {verdict.reason}")
    if wrong:
        raise IntegrityError("\n".join(wrong))


def _acts(bank: AdapterBank, row: Row) -> bool:
    """Whether the logits of a fixed text are others than the base's."""
    tokens_T = bank.base.chat.tokenizer(PROBE, add_special_tokens=True)["input_ids"]
    tokens_BT = torch.tensor([tokens_T], device=bank.base.device)
    logits = []
    for one in (row, None):
        with torch.no_grad(), bank.route([one]):
            logits.append(bank.base.model(input_ids=tokens_BT).logits)
    return not torch.equal(*logits)
