"""Packed rows: how many times faster is a training step whose records share rows than one with a row for each?

    .venv/bin/python benchmarks/packing.py [--steps 5] [--records 32] [--row-tokens 512]

Records of the demo's kind (short, of many lengths) on the bundled base, all linear layers, rank 8; the same records, in
alternating steps. Writes benchmarks/results/packing_<machine>.json.
"""

import argparse
import json
import platform
import random
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import torch
from step_job import job_on

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.job import TrainJob
from graftwork.training.loop import train

RESULTS = Path(__file__).parent / "results"


def records(num: int, longest: int) -> list[Encoded]:
    """Records of log-normal lengths, a quarter of each learned."""
    chance = random.Random(0)
    made = []
    for i in range(num):
        length = min(longest, max(12, round(chance.lognormvariate(4.2, 0.7))))
        tokens = tuple(chance.randrange(49_000) for _ in range(length))
        made.append(Encoded(tokens, tuple(at >= length * 3 // 4 for at in range(length)), Origin("made", i + 1)))
    return made


def job(told: argparse.Namespace, packing: object) -> TrainJob:
    """A training that sees all records in every step."""
    asked = {"batch_size": 8, "accumulation": told.records // 8, "packing": packing, "seed": 1}
    given = records(told.records, told.row_tokens)
    return job_on(given, {"rank": 8, "targets": ["all"]}, asked, num_steps=told.steps + 1)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("steps", 5), ("records", 32), ("row-tokens", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    told = parser.parse_args()
    runs = {
        "a row each": train(job(told, "off"), time.perf_counter),
        "packed": train(job(told, {"row_tokens": told.row_tokens}), time.perf_counter),
    }
    for run in runs.values():
        next(run)  # warm-up
    reports = {name: [] for name in runs}
    for _ in range(told.steps):
        for name, run in runs.items():
            reports[name].append(next(run))
    pairs = zip(reports["a row each"], reports["packed"], strict=True)
    ratios = [apart.seconds / packed.seconds for apart, packed in pairs]
    tokens = reports["packed"][0].num_tokens
    result = {
        "question": "how many times faster is a training step whose records share rows?",
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "tokens": tokens,
        "seconds": {name: [report.seconds for report in told] for name, told in reports.items()},
        "loss_nats": {name: [report.loss_nats for report in told] for name, told in reports.items()},
        "asked": vars(told),
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"packing_{platform.machine()}.json").write_text(json.dumps(result, indent=2) + "\n")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, n={told.steps}"
    print(f"packed is {result['ratio_median']:.2f} x as fast ({spread}); {tokens:,} tokens a step")


if __name__ == "__main__":
    main()
