"""Adapters that stand on finished ones: what lies under a folder, each found by its path and known by its digest."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.card import FILE, Card, On
from graftwork.adapters.files import read_card
from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.core.spec import parse, plain

MOST_BELOW = 8
"""Adapters that one may stand on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One of several adapters that stand on one another: its folder, and its card if it has one."""

    folder: Path
    card: Card | None


def adapter_folder(path: Path) -> Path:
    """The adapter's folder: `path`, or the one inside when `path` is the folder of a run."""
    return path / "adapter" if (path / "adapter").is_dir() else path


def standing(path: Path) -> tuple[Standing, ...]:
    """The adapter at `path` and all that it stands on, the lowest first. Reads no tensor.

    Raises:
        NotFoundError: one of them is not there.
        IntegrityError: one is not the one that was stood on, there are too many, or `read_card` refuses one.
    """
    folder = adapter_folder(path)
    found = [Standing(folder=folder, card=read_card(folder))]
    while found[0].card and found[0].card.on:
        if len(found) > MOST_BELOW:
            raise IntegrityError(f"{folder} stands on more than {MOST_BELOW} adapters, or on itself.")
        found.insert(0, _under(found[0].folder, found[0].card.on))
    return tuple(found)


def noted(lower: Standing, path: str, folder: Path) -> On:
    """What the card of the adapter in `folder` says of the one it stands on, which its user called `path`."""
    assert lower.card is not None
    near = os.path.relpath(lower.folder.resolve(), folder.resolve())
    return On(path=path, near=near, digest=lower.card.digest)


def at_rest(adapter: Adapter) -> Adapter:
    """The same tensors, as they answer when nothing of them is trained: without dropout."""
    placed = {
        key: replace(here, spec=parse(type(here.spec), {**plain(here.spec), "dropout": 0.0}))
        if "dropout" in type(here.spec).model_fields
        else here
        for key, here in adapter.placed.items()
    }
    return Adapter(spec=adapter.spec, placed=placed)


def _under(upper: Path, told: On) -> Standing:
    """What `upper` stands on: where it was, or where it lies if both were moved together."""
    digests = []
    places = [place for place in (Path(told.path), upper / told.near) if _is_there(place)]
    for folder in dict.fromkeys(adapter_folder(place).resolve() for place in places):
        card = read_card(folder)
        if card and card.digest == told.digest:
            return Standing(folder=folder, card=card)
        digests.append(f"the one at {folder} has {card.digest if card else f'no {FILE}'}")
    if not digests:
        raise NotFoundError(
            f"{upper} stands on the adapter {told.digest[:16]} at {told.path}, which is not there. Put it back."
        )
    raise IntegrityError(
        f"{upper} stands on an adapter with digest {told.digest}; {', '.join(digests)}. Restore it, or train again on "
        "what is there."
    )


def _is_there(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no folder can have
        return False
