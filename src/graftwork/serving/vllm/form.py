"""What of our adapters vLLM can compute, and how they are written for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.adapters.arithmetic import added
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.file_form import FORMS
from graftwork.adapters.files import exchangeable, write_adapter
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.adapters.standing import at_rest
from graftwork.base.facts import LinearPlace
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import parse

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.base.any_model import Host
    from graftwork.base.load import Base

BLOCK_ROLES = ("attention.", "mlp.")
"""Roles of layers that vLLM adapts; its router, experts and head are other layers than those of training."""

HINT = "Serve it with the engine graftwork, or merge it into its base."


def plain_lora(adapters: Sequence[Adapter], *, max_rank: int) -> Adapter:
    """The one LoRA that adapters come to, one on top of the other.

    Raises:
        SpecError: with all that vLLM could not compute. Most of it vLLM would refuse as well, some it would leave out
            without a word.
    """
    found = [at_rest(exchangeable(adapter)) for adapter in adapters]
    problems = [problem for adapter in found for problem in _problems(adapter)]
    if problems:
        raise SpecError(dict.fromkeys(problems))
    one = found[0] if len(found) == 1 else added([(adapter, 1.0) for adapter in found])
    if not FORMS["LORA"].holds(one):
        raise SpecError([Problem("adapter.scaling", "several", "one scaling in all places, for vLLM", HINT)])
    rank = max(here.params["a_RI"].shape[0] for here in one.placed.values())
    if rank > max_rank:
        what = "the rank of all that it stands on together" if len(found) > 1 else "its rank"
        raise SpecError([Problem("adapter.rank", rank, f"{what} to be at most {max_rank}", "Raise engine.max_rank.")])
    return one


def write_for_vllm(root: Path, adapter: Adapter, base: Host) -> tuple[Path, str]:
    """Write an adapter under `root` as a PEFT folder whose name is the digest of what it computes; both."""
    digest = adapter.digest()
    written = write_adapter(root / digest, adapter, base, {})
    assert written.digest == digest, "a plain LoRA is written as it is"
    return root / digest, digest


def no_change(base: Base) -> Adapter:
    """A LoRA of the least rank that adds nothing."""
    bank = AdapterBank(base)
    return bank[
        bank.fresh(parse(LoraSpec, {"method": "lora", "rank": 1, "targets": ["attention"]}), seed=0, name="nothing")
    ]


def _problems(adapter: Adapter) -> Iterator[Problem]:
    for here in adapter.placed.values():
        if here.method.name != "lora":
            yield Problem("adapter.method", here.method.name, "a LoRA, or what comes to one, for vLLM", HINT)
        elif not isinstance(here.place, LinearPlace) or not here.place.role.startswith(BLOCK_ROLES):
            yield Problem("adapter.target_modules", here.place.name, "layers of attention and MLP, for vLLM", HINT)
        elif here.part:
            yield Problem("adapter.parts", here.part + 1, "one part, for vLLM", HINT)
