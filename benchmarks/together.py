"""Eight adapters trained together against the same eight one after another, on the bundled base.

    .venv/bin/python benchmarks/together.py [--rounds 3] [--steps 8] [--records 4]

Ranks 1 to 64, three methods, rates and data of their own: short service questions, few records a step. Each way is a
process of its own, in turn; what is compared is the seconds of all steps (loading and preparing are left out), the
largest memory of the process against that of the largest run alone, and the adapters' digests.
Writes benchmarks/results/together_<machine>.json.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
WANTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora-1": ({"method": "lora", "rank": 1}, {"learning_rate": 4e-4}),
    "lora-4": ({"method": "lora", "rank": 4, "dropout": 0.05}, {"learning_rate": 2e-4}),
    "lora-8": ({"method": "lora", "rank": 8}, {"learning_rate": 3e-4, "seed": 1}),
    "lora-16": ({"method": "lora", "rank": 16}, {"learning_rate": 1e-4, "schedule": {"kind": "cosine"}}),
    "lora-32": ({"method": "lora", "rank": 32}, {"learning_rate": 1e-4, "optimizer": {"weight_decay": 0.1}}),
    "lora-64": ({"method": "lora", "rank": 64, "targets": ["attention"]}, {"learning_rate": 1e-4}),
    "dora-8": ({"method": "dora", "rank": 8}, {"learning_rate": 2e-4, "seed": 2}),
    "ia3": ({"method": "ia3"}, {"learning_rate": 3e-3}),
}


def recipes(folder: Path, steps: int, records: int) -> list[Path]:
    """Eight of them, each with records of its own."""
    made = []
    for number, (name, (adapter, training)) in enumerate(WANTED.items()):
        rows = [
            {
                "prompt": f"Order {1000 * number + i}: where is it?",
                "completion": f"Desk {name}: parcel {i % 7} is on its way.",
            }
            for i in range(40)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        asked = {
            "name": name,
            "base": "bundled:smollm2-135m-instruct",
            "data": {"train": f"{name}.jsonl", "evaluation": {"fraction": 0.1}, "quality": {"near_duplicates": "off"}},
            "adapter": adapter,
            "training": {"steps": steps, "batch_size": records, "evaluate_every": 0, **training},
        }
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps(asked))
        made.append(path)
    return made


def worker(told: dict[str, Any]) -> dict[str, Any]:
    """One way, in a process of its own: seconds of the steps, peak memory, digests."""
    import torch

    from graftwork.pipeline.isolation import seconds_of_rounds
    from graftwork.pipeline.recipes import read_request
    from graftwork.pipeline.run import run_spec
    from graftwork.pipeline.together import run_together

    torch.set_num_threads(told["threads"])
    specs, out = [read_request(Path(path), []) for path in told["recipes"]], Path(told["out"])
    if told["together"]:
        results = run_together(specs, out=out, evaluates=False, most_tokens=told["most_tokens"]).results
        seconds = sum(seconds_of_rounds(out, specs))
    else:
        results = {spec.name: run_spec(spec, out=out / spec.name, until="train") for spec in specs}
        seconds = sum(sum(seconds_of_rounds(out, [spec])) for spec in specs)
    return {
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "digests": {name: result.steps["train"].summary["adapter_digest"] for name, result in results.items()},
    }


def in_a_process(told: dict[str, Any]) -> dict[str, Any]:
    """`worker` in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", json.dumps(told)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("rounds", 3),
        ("steps", 8),
        ("records", 4),
        ("most-tokens", 1024),
        ("threads", os.cpu_count() or 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--worker")
    told = parser.parse_args()
    if told.worker:
        print(json.dumps(worker(json.loads(told.worker))))
        return
    times, memory, same = [], [], []
    for _ in range(told.rounds):
        with tempfile.TemporaryDirectory() as held:
            paths = [str(path) for path in recipes(Path(held), told.steps, told.records)]
            shared = {"threads": told.threads, "most_tokens": told.most_tokens}
            beside = in_a_process({**shared, "recipes": paths, "out": f"{held}/together", "together": True})
            alone = [
                in_a_process({**shared, "recipes": [path], "out": f"{held}/alone", "together": False}) for path in paths
            ]
        times.append(beside["seconds"] / sum(one["seconds"] for one in alone))
        memory.append(beside["peak_bytes"] / max(one["peak_bytes"] for one in alone))
        digests = {name: digest for one in alone for name, digest in one["digests"].items()}
        same.append(sum(beside["digests"][name] == digest for name, digest in digests.items()))
        print(
            f"time {times[-1]:.2f} of one after another, memory {memory[-1]:.2f} of one, same bytes {same[-1]} of 8",
            flush=True,
        )
    result = {
        "question": "what do eight adapters trained together take, against one after another?",
        "time_median": statistics.median(times),
        "times": times,
        "memory_median": statistics.median(memory),
        "memories": memory,
        "same_bytes": same,
        "asked": {"steps": told.steps, "records": told.records, "most_tokens": told.most_tokens, "wanted": WANTED},
        "machine": {"processor": platform.machine(), "threads": told.threads},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"together_{platform.machine()}_{told.threads}cpu.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"together takes {result['time_median']:.2f} of the time and {result['memory_median']:.2f} of the memory;",
        path.name,
    )


if __name__ == "__main__":
    main()
