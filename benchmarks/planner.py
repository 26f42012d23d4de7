"""How near is the planner's forecast of peak memory and step time to what runs take?

    OMP_NUM_THREADS=1 .venv/bin/python -P benchmarks/planner.py [--runs FILE] [--profile FILE]

Each run is a process of its own (`planner_child.py`) on the bundled base: its peak is the largest resident set, its
time the median of its later steps on the CPU, one thread. The machine is calibrated in the same way, on the
CPU's clock, in this process. `--runs` goes on from runs that were measured, `--profile` takes a calibration that was.
Writes benchmarks/results/planner_<machine>.{json,md}.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from graftwork.adapters.asked import places_of
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import facts_from_config
from graftwork.base.locate import locate
from graftwork.data.batches import evenly
from graftwork.pipeline.calibrate import measured_profile, profile_from
from graftwork.planning.figures import Heads
from graftwork.planning.plan import Machine, Model, Request, plan_of
from graftwork.planning.time import Profile
from graftwork.planning.workload import alike

RESULTS = Path(__file__).parent / "results"
CHILD = Path(__file__).with_name("planner_child.py")
MEMORY_BAR, TIME_BAR = 0.10, 0.20


def case(adapter: dict[str, Any], length: int, batch: int, **more: Any) -> dict[str, Any]:
    """A run; a quarter of each record is learned."""
    usual = {"dtype": "bfloat16", "quantised": "off", "checkpointing": False, "shared": 0, "steps": 4}
    return {**usual, "targets": length // 4, **more, "adapter": adapter, "length": length, "batch": batch}


def lora(rank: int, **more: Any) -> dict[str, Any]:
    """A request for LoRA."""
    return {"method": "lora", "rank": rank, **more}


CASES = {
    "lora8_bf16_32x16": case(lora(8), 32, 16),
    "lora1_bf16_128x8": case(lora(1), 128, 8),
    "lora64_bf16_256x4": case(lora(64), 256, 4),
    "lora16_bf16_1024x1": case(lora(16), 1024, 1),
    "lora16_bf16_1024x4_ck": case(lora(16), 1024, 4, checkpointing=True),
    "lora16_fp32_128x8": case(lora(16), 128, 8, dtype="float32"),
    "lora8_fp32_512x2": case(lora(8), 512, 2, dtype="float32"),
    "lora8_fp32_256x16_ck": case(lora(8), 256, 16, dtype="float32", checkpointing=True),
    "lora16_int8_128x8": case(lora(16), 128, 8, quantised="int8"),
    "lora4qkv_bf16_64x16": case(lora(4, targets=["attention.qkv"]), 64, 16),
    "lora8_bf16_96x16_shared64": case(lora(8), 96, 16, shared=64, targets=8),
    "dora8_bf16_128x4": case({"method": "dora", "rank": 8}, 128, 4),
    "ia3_bf16_256x4": case({"method": "ia3"}, 256, 4),
    "adalora8_bf16_128x8": case({"method": "adalora", "rank": 8, "init_rank": 12}, 128, 8),
    "prefix30_bf16_128x8": case({"method": "prefix_tuning", "positions": 30}, 128, 8),
    "full_fp32_128x2": case({"method": "full"}, 128, 2, dtype="float32"),
    "full_bf16_64x8": case({"method": "full"}, 64, 8),
}


def run(one: dict[str, Any]) -> dict[str, Any]:
    """What a run takes, in a process of its own."""
    command = [sys.executable, "-P", str(CHILD), json.dumps(one)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def model() -> Model:
    """The bundled base."""
    facts = facts_from_config(locate("bundled:smollm2-135m-instruct"))
    return Model(name="llama", facts=facts, heads=Heads(queries=9, keys=3, dim=64), tied=True)


def forecast(one: dict[str, Any], base: Model, profile: Profile) -> tuple[float, float]:
    """Peak bytes and seconds of a step, as the planner has them."""
    is_full = one["adapter"]["method"] == "full"
    spec = None if is_full else parse_adapter_spec(one["adapter"])
    if spec is not None:
        places_of(spec, base.facts)
    num = 2 * one["batch"]
    request = Request(
        model=base,
        adapter=spec,
        is_full=is_full,
        sample=alike(one["length"], one["targets"], shared=one["shared"], num=num),
        batch_size=one["batch"],
        accumulation=1,
        num_steps=one["steps"],
        num_targets=num * one["targets"],
        dtype=one["dtype"],
        quantised=one["quantised"],
        recomputes=one["checkpointing"],
        mixture=evenly(num),
    )
    machine = Machine(
        name="here", on_cpu=True, profile=profile, runtime_bytes=profile.runtime_bytes, holes=profile.holes
    )
    plan = plan_of(request, machine)
    assert plan.step_seconds is not None
    return plan.memory.total, plan.step_seconds


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="JSON lines of runs; read first, and what is measured is added")
    parser.add_argument("--profile", type=Path, help="a calibration; read if it is there, written if not")
    told = parser.parse_args()
    known: dict[str, Any] = {}
    if told.runs and told.runs.is_file():
        known = {row["name"]: row for row in map(json.loads, told.runs.read_text().splitlines())}
    profile = profile_of(told.profile)
    base, rows = model(), []
    for name, one in CASES.items():
        found = known.get(name) or {"name": name, "case": one, **run(one)}
        if told.runs and name not in known:
            with told.runs.open("a") as file:
                file.write(json.dumps(found) + "\n")
        peak, seconds = forecast(one, base, profile)
        rows.append(
            {
                "run": name,
                "peak_bytes": found["peak"],
                "planned_bytes": peak,
                "memory_ratio": peak / found["peak"],
                "step_s": found["step_s"],
                "fastest_s": min(found["seconds"]),
                "planned_s": seconds,
                "time_ratio": seconds / found["step_s"],
            }
        )
    write(rows, profile)


def profile_of(path: Path | None) -> Profile:
    """A calibration on the CPU's clock."""
    if path and path.is_file():
        return profile_from(json.loads(path.read_text()))
    profile = measured_profile(1, time.process_time, lambda text: print(text, file=sys.stderr))
    if path:
        path.write_text(json.dumps(asdict(profile)))
    return profile


def write(rows: list[dict[str, Any]], profile: Profile) -> None:
    """The table, as JSON and Markdown."""
    near = sum(abs(row["memory_ratio"] - 1) <= MEMORY_BAR for row in rows)
    soon = sum(abs(row["time_ratio"] - 1) <= TIME_BAR for row in rows)
    name = RESULTS / f"planner_{platform.machine()}"
    summary = {"runs": len(rows), "memory_within_bar": near, "time_within_bar": soon}
    told = {"summary": summary, "rows": rows, "profile": asdict(profile)}
    name.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    lines = [
        f"Peak memory within {MEMORY_BAR:.0%} in {near} of {len(rows)} runs, time within {TIME_BAR:.0%} in {soon}.",
        "Time is that on the CPU, one thread. Names: method, rank, number format, tokens x records, ck: checkpointing.",
        "",
        "| run | peak, MiB | planned | ratio | step, s | planned | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory = f"{row['peak_bytes'] / 2**20:.0f} | {row['planned_bytes'] / 2**20:.0f} | {row['memory_ratio']:.2f}"
        lines.append(
            f"| {row['run']} | {memory} | {row['step_s']:.2f} | {row['planned_s']:.2f} | {row['time_ratio']:.2f} |"
        )
    name.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
