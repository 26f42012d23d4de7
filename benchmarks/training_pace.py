"""How trainers of `training.py` are paced: each in a process of its own that steps only when told to, so that they take
turns in one session. Standard library alone: the peers' own Pythons run it.

A trainer calls `stepped` after every optimizer step. Over standard input it is told `go N` or `end`; over standard
output it says, a line of JSON each, that it is ready and what its last steps took.
"""

import json
import os
import resource
import sys
import time


class Pace:
    """One trainer's side."""

    def __init__(self, warm_up: int) -> None:
        self.left = warm_up
        self.began_s: tuple[float, float] | None = None  # on the wall, on the CPU
        self.losses: list[float] = []
        self.says = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        os.dup2(2, 1)  # what a library prints is not said to the driver

    def lost(self, loss: float) -> None:
        """Note a loss, in nats per target."""
        self.losses.append(loss)

    def stepped(self) -> bool:
        """After a step. False: stop training."""
        self.left -= 1
        if self.left > 0:
            return True
        self._say()
        told = sys.stdin.readline().split()
        if not told or told[0] == "end":
            return False
        self.left, self.losses = int(told[1]), []
        _forget_peak()
        self.began_s = time.perf_counter(), time.process_time()
        return True

    def ended(self) -> None:
        """After training, with all that is kept written."""
        self.says.write(json.dumps({"said": "ended"}) + "\n")

    def _say(self) -> None:
        wall_s, cpu_s = self.began_s or (time.perf_counter(), time.process_time())
        said = {
            "said": "stepped" if self.began_s else "ready",
            "seconds": time.perf_counter() - wall_s,
            "cpu_seconds": time.process_time() - cpu_s,
            "losses": self.losses,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "peak_while_stepping_bytes": _peak_bytes(),
        }
        self.says.write(json.dumps(said) + "\n")


def _forget_peak() -> None:
    """The peak of resident memory is counted from here on, where the system can (Linux)."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return  # then it is the peak of the whole life


def _peak_bytes() -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            found = [line.split()[1] for line in lines if line.startswith("VmHWM")]
        return int(found[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
