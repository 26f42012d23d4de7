"""Two tasks that share one adapter: does projecting their gradients help either, against the ordinary sum?

    .venv/bin/python benchmarks/conflicts.py [--steps 40] [--records 240] [--held-out 60] [--rate 5e-4] [--rank 8]
                                             [--batch-size 8] [--seeds 3] [--rounds 5] [--threads 1] [--data FILE]

Data: BANKING77 (PolyAI-LDN/task-specific-datasets, CC BY 4.0), bank customers' messages with one of 77 intents, not in
the repository; --data names JSON lines of it (text, label). And the medical questions of the demo.

Two pairs of tasks. `schemes`: the same kind of message, and nothing in the prompt says whether the intent is wanted in
words or as its number, so that no adapter can do both well (no message is in both tasks). `fields`: the intent of a
message to a bank, the department of a medical question. Arms: `sum` (training.conflicts: report, the ordinary
gradient) and `projected` (project), with the same adapter, records, order and seeds. Told are the loss on held-out
records of each task, in nats per token, the paired difference between the arms with its 95 % interval over records
(seeds differ besides), the angle between the tasks' gradients, and the CPU time of a step with and without.
Writes benchmarks/results/conflicts_<machine>.json whichever way it goes.
"""

import argparse
import hashlib
import json
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.base.load import Base, load_base
from graftwork.cli.watching import Terminal
from graftwork.core.files import write_jsonl
from graftwork.data.store import TokenStore
from graftwork.evaluation.estimate import ratio_of
from graftwork.evaluation.held_out import record_nats
from graftwork.pipeline.recipes import requested
from graftwork.pipeline.run import run_spec
from graftwork.pipeline.watch import Quiet
from graftwork.training.report import StepReport

BASE = "bundled:smollm2-135m-instruct"
RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data" / "banking77" / "train.jsonl"
SIZES = (
    ("steps", 40),
    ("records", 240),
    ("held-out", 60),
    ("rank", 8),
    ("batch-size", 8),
    ("seeds", 3),
    ("rounds", 5),
    ("threads", 1),
)
CONFLICTS = {"sum": "report", "projected": "project"}
STEPS_TIMED = 11
PAIRS = {"schemes": ("words", "numbers"), "fields": ("words", "departments")}
Rows = list[dict[str, str]]


def drawn(rows: Rows) -> Rows:
    """In an order that no position has a say in."""
    return sorted(rows, key=lambda row: hashlib.sha256(row["prompt"].encode()).digest())


def tasks(data: Path) -> dict[str, Rows]:
    """Records of each task; no message is in two of them."""
    messages = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    labels = sorted({row["label"] for row in messages})
    in_words = drawn([{"prompt": row["text"], "completion": row["label"].replace("_", " ")} for row in messages])
    number = {label.replace("_", " "): str(place) for place, label in enumerate(labels)}
    triage = (files("graftwork.pipeline.demo") / "triage.jsonl").read_text("utf-8")
    return {
        "words": in_words[::2],
        "numbers": [{**row, "completion": number[row["completion"]]} for row in in_words[1::2]],
        "departments": drawn([json.loads(line) for line in triage.splitlines()]),
    }


def recipe_of(pair: str, asked: str, seed: int, folder: Path, told: argparse.Namespace) -> dict[str, Any]:
    """The request of one training."""
    names = PAIRS[pair]
    return {
        "name": "arm",
        "base": BASE,
        "data": {
            "train": [str(folder / f"{name}.jsonl") for name in names],
            "evaluation": str(folder / f"{pair}-held-out.jsonl"),
            "quality": {"near_duplicates": "off"},
        },
        "adapter": {"rank": told.rank},
        "training": {
            "steps": told.steps,
            "learning_rate": told.rate,
            "batch_size": told.batch_size,
            "evaluate_every": 0,
            "checkpoint_every": 1000,
            "seed": seed,
            "conflicts": asked,
        },
    }


def trained(pair: str, arm: str, seed: int, folder: Path, base: Base, told: argparse.Namespace) -> dict[str, Any]:
    """One training: held-out nats of each record of both tasks, and what the run says of conflicts."""
    recipe, out = recipe_of(pair, CONFLICTS[arm], seed, folder, told), folder / f"{pair}-{arm}-{seed}"
    with Terminal() as terminal:
        done = run_spec(requested(recipe), out=out, watch=terminal, base=base, until="train")
    store = TokenStore(out / "data" / "evaluation", done.steps["prepare"].summary["evaluation"]["files"])
    records = list(store)
    bank = AdapterBank(base)
    handle = bank.load(done.adapter, name="arm")

    def nats_of(owner: tuple[Handle, ...] | None) -> list[float]:
        return record_nats(
            base.halves, records, lambda rows: bank.route([owner] * rows), batch_size=16, device=base.device
        )

    nats = nats_of((handle,))
    before = nats_of(None) if (arm, seed) == ("sum", 0) else []
    bank.remove(handle)
    lines = [record.origin.line for record in records]
    return {
        "conflicts": done.steps["train"].summary["conflicts"],
        "lines": lines,
        "targets": [record.num_targets for record in records],
        "nats": nats,
        "base_nats": before,
    }


def compared(pair: str, runs: dict[str, list[dict[str, Any]]], num_held_out: int) -> list[dict[str, Any]]:
    """Of each task of a pair, the losses of both arms and their paired difference, over all seeds."""
    rows = []
    for task, name in enumerate(PAIRS[pair]):
        lines = runs["sum"][0]["lines"]
        mine = [i for i, line in enumerate(lines) if (line - 1) // num_held_out == task]
        targets = [runs["sum"][0]["targets"][i] for i in mine]
        nats = {
            arm: [statistics.mean([run["nats"][i] for run in runs[arm]]) for i in mine] for arm in ("sum", "projected")
        }
        base = [runs["sum"][0]["base_nats"][i] for i in mine]
        change = ratio_of([b - a for a, b in zip(nats["sum"], nats["projected"], strict=True)], targets)
        rows.append(
            {
                "task": name,
                "num_records": len(mine),
                "base": sum(base) / sum(targets),
                **{arm: sum(values) / sum(targets) for arm, values in nats.items()},
                "each_seed": {
                    arm: [sum(run["nats"][i] for i in mine) / sum(targets) for run in runs[arm]] for arm in nats
                },
                "difference": change.mean,
                "difference_within": 1.96 * change.stderr,
            }
        )
    return rows


def measured(folder: Path, told: argparse.Namespace) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """All trainings of all pairs, and the time of a step."""
    found: dict[str, Any] = {}
    base, of_tasks = load_base(BASE), tasks(told.data)
    for name, rows in of_tasks.items():
        write_jsonl(folder / f"{name}.jsonl", rows[told.held_out : told.held_out + told.records])
    for pair, names in PAIRS.items():
        held_out = [row for name in names for row in of_tasks[name][: told.held_out]]
        write_jsonl(folder / f"{pair}-held-out.jsonl", held_out)
        runs: dict[str, list[dict[str, Any]]] = {"sum": [], "projected": []}
        for seed in range(told.seeds):
            for arm, done in runs.items():
                done.append(trained(pair, arm, seed, folder, base, told))
        found[pair] = {
            "tasks": compared(pair, runs, told.held_out),
            "conflicts": {arm: [run["conflicts"] for run in done] for arm, done in runs.items()},
        }
        show(pair, found[pair])
    return found, paces(folder, base, told)


def show(pair: str, found: dict[str, Any]) -> None:
    """A pair's rows as a table."""
    print(f"\n{pair}\n| task | base | sum | projected | projected - sum | each seed |\n|---|---|---|---|---|---|")
    for row in found["tasks"]:
        seeds = "; ".join(f"{a:.3f} {b:.3f}" for a, b in zip(*row["each_seed"].values(), strict=True))
        change = f"{row['difference']:+.3f} +- {row['difference_within']:.3f}"
        print(f"| {row['task']} | {row['base']:.3f} | {row['sum']:.3f} | {row['projected']:.3f} | {change} | {seeds} |")
    for arm, told in found["conflicts"].items():
        (first,) = told[0]["pairs"]
        frac, ratio = told[0]["in_conflict_frac"], told[0]["mean_norm_ratio"]
        angle = f"mean angle {first['mean_angle_deg']:.0f} degrees, {first['largest_angle_deg']:.0f} at most"
        print(f"{arm}: {angle}; in conflict in {frac:.0%} of steps; norm ratio {ratio:.2f}")
    print(flush=True)


class Paced(Quiet):
    """Notes how long the CPU has been at work when each step ends."""

    def __init__(self) -> None:
        self.ends_s: list[float] = []

    def step(self, report: StepReport) -> None:
        """A step is done."""
        self.ends_s.append(time.process_time())


def paces(folder: Path, base: Base, told: argparse.Namespace) -> dict[str, list[float]]:
    """CPU seconds of a step, in rounds of all three; the first step of each is left out."""
    found: dict[str, list[float]] = {"off": [], "report": [], "project": []}
    for number in range(told.rounds):
        for asked, paced in found.items():
            recipe, watch = recipe_of("schemes", asked, 0, folder, told), Paced()
            recipe["training"]["steps"] = STEPS_TIMED
            run_spec(requested(recipe), out=folder / f"{asked}-{number}", watch=watch, base=base, until="train")
            paced.append((watch.ends_s[-1] - watch.ends_s[0]) / (STEPS_TIMED - 1))
    return found


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in SIZES:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    if not told.data.is_file():
        raise SystemExit(f"{told.data} is not there. BANKING77 as JSON lines (text, label): give --data.")
    torch.set_num_threads(told.threads)
    with tempfile.TemporaryDirectory() as folder:
        found, steps_cpu_s = measured(Path(folder), told)
    times = {
        asked: [one / off for one, off in zip(steps_cpu_s[asked], steps_cpu_s["off"], strict=True)]
        for asked in ("report", "project")
    }
    for asked, ratios in times.items():
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}, n = {told.rounds}"
        print(f"a step with {asked}: {statistics.median(ratios):.2f} of the CPU time without ({spread})")
    result = {
        "question": "does projecting the gradients of tasks that share an adapter help either?",
        "pairs": found,
        "step_cpu_s": steps_cpu_s,
        "step_cpu_ratio": times,
        "asked": {name: value for name, value in vars(told).items() if name != "data"},
        "machine": {"processor": platform.machine(), "threads": told.threads},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"conflicts_{platform.machine()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path.name)


if __name__ == "__main__":
    main()
