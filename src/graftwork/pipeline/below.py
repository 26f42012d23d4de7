"""The finished adapters that a run's own one stands on: refused before anything is spent, held still in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.adapters.asked import positions_in_front
from graftwork.adapters.card import FILE
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.core.errors import IntegrityError, NotFoundError, Problem, SpecError

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.adapters.standing import Standing
    from graftwork.pipeline.work import Work

FINISHED = "a finished adapter: the folder of a run or of an adapter"


def found_below(work: Work) -> tuple[Standing, ...]:
    """What the recipe's `on` names and all that it stands on, the lowest first; nothing without `on`.

    Raises:
        SpecError: no adapter of this base can be stood on there; says all reasons.
    """
    from graftwork.adapters.standing import standing

    asked = work.spec.on
    if asked is None:
        return ()
    try:
        below = standing(Path(asked))
    except (NotFoundError, IntegrityError) as error:
        raise SpecError([Problem("on", asked, FINISHED, str(error))]) from error
    if problems := list(_problems(work, asked, below)):
        raise SpecError(problems)
    return below


def told_below(work: Work) -> dict[str, Any]:
    """What the inputs of a step say of it: digests, and nothing where there is nothing."""
    return {"on": [one.card.digest for one in work.below if one.card]} if work.below else {}


def positions_below(below: Sequence[Standing]) -> int:
    """Positions that these adapters put in front of the tokens of every row."""
    specs = [one.card.spec for one in below if one.card and one.card.spec]
    return sum(positions_in_front(parse_adapter_spec(spec)) for spec in specs)


def load_below(work: Work, bank: AdapterBank) -> dict[Handle, str]:
    """Put them into `bank`, untrained and without dropout, the lowest first; with what each computes, as a digest.

    Raises:
        IntegrityError: one is not what it was when the run was checked.
    """
    from graftwork.adapters.files import read_adapter
    from graftwork.adapters.standing import at_rest

    held = {}
    for one in work.below:
        loaded = read_adapter(one.folder, work.base)
        if loaded.card is None or one.card is None or loaded.card.digest != one.card.digest:
            raise IntegrityError(f"{one.folder} changed while it was being read.")
        handle = bank.add(at_rest(loaded.adapter), name=one.folder.name)
        held[handle] = bank[handle].digest()
    return held


def refuse_moved(bank: AdapterBank, held: Mapping[Handle, str]) -> None:
    """Raise IntegrityError unless all that `load_below` gave still computes the same, which must always be so."""
    if any(bank[handle].digest() != before for handle, before in held.items()):
        raise IntegrityError("the adapter below changed while training. Nothing was kept; this is a bug, report it.")


def _problems(work: Work, asked: str, below: Sequence[Standing]) -> Iterator[Problem]:
    from graftwork.adapters.standing import MOST_BELOW

    own = work.folder.path.resolve()
    lower = below[-1]
    if lower.card is None:
        hint = f"{lower.folder} has no {FILE}: it was made elsewhere. `graftwork blend` writes it with one."
        yield Problem("on", asked, "an adapter that says which base it belongs to", hint)
    elif parts := lower.card.base.fingerprint().differences(work.fingerprint):
        hint = f"It belongs to {lower.card.base.ref!r}; they differ in {', '.join(parts)}."
        yield Problem("on", asked, f"an adapter of {work.spec.base!r}", hint)
    if len(below) > MOST_BELOW:
        hint = f"It stands on {len(below) - 1}. `graftwork blend` makes one of them all."
        yield Problem("on", asked, f"an adapter that stands on at most {MOST_BELOW - 1} others", hint)
    if inside := [one for one in below if one.folder.resolve().is_relative_to(own)]:
        hint = f"{inside[0].folder} lies in the folder of this run, which replaces it. Give the run another with --out."
        yield Problem("on", asked, "an adapter of another run", hint)
