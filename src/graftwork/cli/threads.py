"""Whether a thread that waits for another spins or sleeps, decided once before torch is loaded.

Spinning is up to twice as fast on cores that have nothing else to do, and ten times slower on cores that have (LOG.md):
the spinning thread holds the core that the one it waits for needs. Results are the same bytes either way.
"""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
LOOK_S = 0.25
MOST_BUSY_FRAC = 0.2
"""Share of all cores' time that others may use before spinning does harm."""


def wait_as_the_machine_allows() -> None:
    """Set OMP_WAIT_POLICY, unless the user has: threads sleep when others use the cores."""
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ and STAT.is_file():
        before = STAT.read_text()
        time.sleep(LOOK_S)
        if busy_frac(before, STAT.read_text()) > MOST_BUSY_FRAC:
            os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def busy_frac(before: str, after: str) -> float:
    """Share of all cores' time that was used between two readings of /proc/stat.

    >>> busy_frac("cpu 10 0 0 90 0 0 0 0", "cpu 20 0 0 110 10 0 0 0")
    0.25
    """
    first, last = ([int(n) for n in text.splitlines()[0].split()[1:9]] for text in (before, after))
    spent = [b - a for a, b in zip(first, last, strict=True)]
    idle = spent[3] + spent[4]  # idle, and waiting for a disk
    return 1 - idle / (sum(spent) or 1)
