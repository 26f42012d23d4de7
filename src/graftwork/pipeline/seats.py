"""Which of several processes this one is, as launchers say it (torchrun, accelerate, or this package itself). No torch.

They all set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT in the environment. What this package starts
itself talks through a file instead, which no other user of the machine can reach: GRAFTWORK_STORE.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graftwork.core.errors import Problem, SpecError

STORE = "GRAFTWORK_STORE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """One process among several.

    Attributes:
        rank: from 0; that one writes, the others compute with it.
        size: how many there are.
        local_rank: as `rank`, among those of this machine.
        local_size: how many there are on this machine.
        file: the store that all of them talk through, where it is a file.
        host: where else it is.
        hosts_store: whether this process holds it; else the launcher does, or another.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    file: str = ""
    host: str = ""
    port: int = 0
    hosts_store: bool = False


def seat_from(environment: Mapping[str, str]) -> Seat | None:
    """The seat that a launcher gave to this process; None when none did, or when there is one process alone.

    Raises:
        SpecError: what it says is not whole, or does not make sense.

    >>> told = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    >>> seat_from(told).rank, seat_from({}), seat_from({"WORLD_SIZE": "1"})
    (1, None, None)
    """
    if environment.get("WORLD_SIZE", "1") == "1":
        return None
    problems: list[Problem] = []
    size = _number(environment, "WORLD_SIZE", problems, least=1)
    rank = _number(environment, "RANK", problems, below=size)
    local_size = _number(environment, "LOCAL_WORLD_SIZE", problems, least=1, default=size)
    local_rank = _number(environment, "LOCAL_RANK", problems, default=rank)
    if file := environment.get(STORE, ""):
        host, port = "", 0
    else:
        port = _number(environment, "MASTER_PORT", problems, least=1, below=1 << 16)
        host = environment.get("MASTER_ADDR", "")
        if not host:
            problems.append(_problem("MASTER_ADDR", None, "the name of the machine of rank 0"))
    if problems:
        raise SpecError(problems)
    by_launcher = environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return Seat(
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        file=file,
        host=host,
        port=port,
        hosts_store=rank == 0 and not by_launcher and not file,
    )


def environment_of(seat: Seat) -> dict[str, str]:
    """What `seat_from` reads, for one that talks through a file."""
    return {
        "RANK": str(seat.rank),
        "WORLD_SIZE": str(seat.size),
        "LOCAL_RANK": str(seat.local_rank),
        "LOCAL_WORLD_SIZE": str(seat.local_size),
        STORE: seat.file,
    }


def _number(
    environment: Mapping[str, str],
    name: str,
    problems: list[Problem],
    *,
    least: int = 0,
    below: int = 1 << 20,
    default: int | None = None,
) -> int:
    said = environment.get(name)
    if said is None and default is not None:
        return default
    if said is not None and said.isascii() and said.isdigit() and least <= int(said) < below:
        return int(said)
    problems.append(_problem(name, said, f"a whole number from {least} to {below - 1}"))
    return least


def _problem(name: str, said: object, expected: str) -> Problem:
    return Problem(name, said, expected, "torchrun and accelerate set it; without them, use --processes.")
