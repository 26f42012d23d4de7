"""Training against TRL and LLaMA-Factory: how many times faster, in how much of their memory, to the same loss?

    .venv/bin/python benchmarks/training.py --trl-python PEERS/bin/python [--llamafactory-python OTHER/bin/python]
        [--rounds 5] [--steps 4] [--threads 2] [--only NAME ...] [--records FILE] [--ours training.batch_size=8 ...]

A peer lives in a virtual environment of its own (`pip install trl peft datasets`, `pip install llamafactory`). Every
trainer is a process: it loads the base, warms up, and then does `--steps` optimizer steps whenever its turn comes, so
that all are measured in one session. All see the same tokens in the same steps (the demo's questions), with the same
targets, LoRA of rank 8 at all linear layers, AdamW at one constant rate, gradients clipped at 1.

`trl as shipped` keeps every default of SFTConfig that is not about the task; `trl ...` and `llamafactory ...` are
settings that we tried to make them fast with on a CPU, and the fastest of a peer's in this very run is what we
compare with. At the end every adapter is read into one float32 base and asked for its loss on the same records; with
`--reference` TRL also trains in float32, which says what the loss should be.
Writes benchmarks/results/training_<machine>.json.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import training_ours
from training_loss import losses_of
from training_task import BASE, Task, in_order, prepared, write_for_peers, write_recipe

from graftwork.base.locate import locate
from graftwork.data.encode import Encoded

HERE = Path(__file__).parent
OURS, SHIPPED = "graftwork", "trl as shipped"
BF16 = {"model_init_kwargs": {"dtype": "bfloat16"}, "bf16": False}
EAGER = {"model_init_kwargs": {"dtype": "bfloat16", "attn_implementation": "eager"}, "bf16": False}
LEAN = {"gradient_checkpointing": False, "logging_steps": 1000, "disable_tqdm": True, "optim": "adamw_torch_fused"}
LOADED = {"flash_attn": "sdpa", "gradient_checkpointing": False, "logging_steps": 1000, "bf16": True}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A trainer to measure.

    Attributes:
        kind: which package.
        batch_size: records in a forward pass.
        settings: the package's own, over those that all have.
    """

    kind: str
    batch_size: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def asked_of(task: Task) -> dict[str, Asked]:
    """All that can be measured, by name."""
    whole = task.per_step
    return {
        OURS: Asked(kind="ours", batch_size=whole),
        SHIPPED: Asked(kind="trl", batch_size=8),
        "trl bfloat16": Asked(kind="trl", batch_size=whole, settings={**BF16, **LEAN}),
        "trl bfloat16 eager": Asked(kind="trl", batch_size=whole, settings={**EAGER, **LEAN}),
        "trl bfloat16 eager compiled": Asked(
            kind="trl", batch_size=whole, settings={**EAGER, **LEAN, "torch_compile": True}
        ),
        "trl bfloat16 checkpointed": Asked(
            kind="trl", batch_size=whole, settings={**EAGER, **LEAN, "gradient_checkpointing": True}
        ),
        "trl padding-free": Asked(
            kind="trl", batch_size=whole, settings={**BF16, **LEAN, "padding_free": True, "max_length": None}
        ),
        "trl reference float32": Asked(kind="trl", batch_size=8, settings={**LEAN, "bf16": False}),
        "llamafactory": Asked(kind="llamafactory", batch_size=whole, settings=LOADED),
        "llamafactory eager": Asked(
            kind="llamafactory", batch_size=whole, settings={**LOADED, "flash_attn": "disabled"}
        ),
    }


class Trainer:
    """One process."""

    def __init__(self, python: str, script: str, told: Mapping[str, Any], log: Path) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": str(told["threads"]), "HF_HUB_OFFLINE": "1", "WANDB_DISABLED": "true"}
        env["DISABLE_VERSION_CHECK"] = "1"  # LLaMA-Factory refuses neighbours it was not released with
        self.log = log
        self.ready: dict[str, Any] = {}
        with log.open("w", encoding="utf-8") as errors:
            command = [python, str(HERE / script), json.dumps(told)]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
            )

    def said(self) -> dict[str, Any]:
        """Its next line. Raises RuntimeError with the end of its log when it has died."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.log.read_text("utf-8", errors="replace")[-1500:])
        found: dict[str, Any] = json.loads(line)
        return found

    def steps(self, num: int) -> dict[str, Any]:
        """Have it do so many steps."""
        self._tell(f"go {num}")
        return self.said()

    def end(self) -> None:
        """Have it write its adapter and leave."""
        self._tell("end")
        self.said()
        self.process.wait()

    def _tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


def common(task: Task, asked: Asked, num_steps: int) -> dict[str, Any]:
    """What both peers are told of the task."""
    return {
        "max_steps": num_steps,
        "learning_rate": task.learning_rate,
        "lr_scheduler_type": "constant",
        "per_device_train_batch_size": asked.batch_size,
        "gradient_accumulation_steps": task.per_step // asked.batch_size,
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "seed": task.seed,
        "save_strategy": "no",
        "report_to": "none",
    }


def started(told: argparse.Namespace, task: Task, name: str, asked: Asked, folder: Path) -> Trainer:
    """The process of one trainer."""
    out = folder / name.replace(" ", "-")
    out.mkdir()
    num_steps = training_ours.WARM_UP + told.rounds * told.steps
    say: dict[str, Any] = {"kind": asked.kind, "threads": told.threads, "out": str(out)}
    log = out / "log.txt"
    if asked.kind == "ours":
        say |= {"recipe": str(folder / "recipe.yaml"), "out": str(folder / "run"), "settings": told.ours}
        return Trainer(sys.executable, "training_ours.py", say, log)
    say |= {"base": str(locate(BASE)), "data": str(folder / "peers.jsonl")}
    say |= {"lora": {"r": task.rank, "lora_alpha": task.alpha}}
    say["settings"] = common(task, asked, num_steps) | dict(asked.settings)
    if asked.kind == "trl":
        say["settings"] |= {"train_sampling_strategy": "sequential", "completion_only_loss": True}
    python = told.trl_python if asked.kind == "trl" else told.llamafactory_python
    return Trainer(python, "training_peer.py", say, log)


def warmed_up(told: argparse.Namespace, task: Task, folder: Path, trainers: dict[str, Trainer]) -> list[str]:
    """Start the trainers one after another, each until it is ready; names of those that never were."""
    dead = []
    for name, asked in chosen(told, task).items():
        trainers[name] = started(told, task, name, asked, folder)
        try:
            trainers[name].ready = trainers[name].said()
            print(f"{name} is ready", flush=True)
        except RuntimeError as error:
            print(f"{name} failed: {error}", flush=True)
            dead.append(name)
    return dead


def measured(
    trainers: Mapping[str, Trainer], rounds: int, steps: int
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """What each said, ready and then in its turns. The order turns too; one that dies is left out, and said."""
    said = {name: [trainer.ready] for name, trainer in trainers.items()}
    died: list[str] = []
    for number in range(rounds):
        names = [name for name in trainers if name not in died]
        for name in names[number % len(names) :] + names[: number % len(names)]:
            try:
                said[name].append(trainers[name].steps(steps))
                print(f"round {number + 1}: {name} {said[name][-1]['seconds'] / steps:.2f} s a step", flush=True)
            except (RuntimeError, BrokenPipeError) as error:
                print(f"{name} failed: {error}", flush=True)
                died.append(name)
    return {name: lines for name, lines in said.items() if name not in died}, died


def compared(
    said: Mapping[str, list[dict[str, Any]]], order: Sequence[Sequence[Encoded]], steps: int
) -> dict[str, dict[str, Any]]:
    """Of each trainer its speed and memory, and ours as so many times as fast, with so much of its memory."""
    warm = training_ours.WARM_UP
    turns = range(len(said[OURS]) - 1)
    tokens = [sum(len(r.tokens_T) for s in order[warm + i * steps : warm + (i + 1) * steps] for r in s) for i in turns]
    speeds = {n: [t / line["seconds"] for t, line in zip(tokens, x[1:], strict=True)] for n, x in said.items()}
    peaks = {name: max(line["peak_bytes"] for line in lines) for name, lines in said.items()}
    stepping = {name: max(line["peak_while_stepping_bytes"] for line in lines[1:]) for name, lines in said.items()}
    cpu_s = {name: statistics.median(line["cpu_seconds"] for line in lines[1:]) / steps for name, lines in said.items()}
    found = {}
    for name, speed in speeds.items():
        ratios = [own / other for own, other in zip(speeds[OURS], speed, strict=True)]
        found[name] = {
            "tokens_per_s": speed,
            "tokens_per_s_median": statistics.median(speed),
            "ours_times_as_fast": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
            "cpu_s_a_step_median": cpu_s[name],
            "ours_times_less_cpu": cpu_s[name] / cpu_s[OURS],
            "peak_bytes": peaks[name],
            "peak_while_stepping_bytes": stepping[name],
            "ours_share_of_peak": peaks[OURS] / peaks[name],
            "ours_share_of_peak_while_stepping": stepping[OURS] / stepping[name],
        }
    return found


def adapter_alone(out: Path) -> Path:
    """What a peer wrote of its adapter, without the pickled files beside it, which we never read."""
    alone = out / "adapter-alone"
    alone.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(out / name, alone / name)
    return alone


def versions_of(python: str) -> str:
    """Of the packages that matter, in a peer's environment."""
    code = (
        "from importlib.metadata import version, PackageNotFoundError as E\n"
        "for p in ('torch', 'transformers', 'peft', 'trl', 'llamafactory'):\n"
        "    try: print(p, version(p))\n"
        "    except E: pass"
    )
    return "; ".join(
        subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    )


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("rounds", 5),
        ("steps", 4),
        ("threads", os.cpu_count()),
        ("num-records", 256),
        ("per-step", 16),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--trl-python", default="")
    parser.add_argument("--llamafactory-python", default="")
    parser.add_argument("--records", default="", help="JSON lines; the demo's by default")
    parser.add_argument("--only", nargs="*", help="names of trainers; ours is always among them")
    parser.add_argument("--ours", nargs="*", default=[], help="our own settings, as of graftwork train --set")
    parser.add_argument("--reference", action="store_true", help="let TRL train in float32 too, for its loss")
    return parser.parse_args()


def chosen(told: argparse.Namespace, task: Task) -> dict[str, Asked]:
    """The trainers to measure: those whose Python was named."""
    have = {"ours": sys.executable, "trl": told.trl_python, "llamafactory": told.llamafactory_python}
    found = {name: asked for name, asked in asked_of(task).items() if have[asked.kind]}
    if not told.reference:
        found.pop("trl reference float32", None)
    if told.only is not None:
        if unknown := set(told.only) - set(found):
            raise SystemExit(f"no trainers {sorted(unknown)}; there are {sorted(found)}")
        found = {name: asked for name, asked in found.items() if name == OURS or name in told.only}
    return found


def main() -> None:
    """Measure, print, write."""
    told = arguments()
    task = Task(
        records=told.records, num_records=told.num_records, per_step=told.per_step, learning_rate=told.learning_rate
    )
    num_steps = training_ours.WARM_UP + told.rounds * told.steps
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = prepared(write_recipe(task, folder, num_steps), folder / "run", told.ours)
        order = list(in_order(task, records, num_steps))
        write_for_peers(order, folder / "peers.jsonl")
        trainers: dict[str, Trainer] = {}
        try:
            dead = warmed_up(told, task, folder, trainers)
            said, died = measured({n: t for n, t in trainers.items() if n not in dead}, told.rounds, told.steps)
            for one in said:
                trainers[one].end()
        finally:
            for trainer in trainers.values():
                trainer.process.kill()
        if OURS not in said:
            raise SystemExit("ours failed, so there is nothing to compare with")
        found = compared(said, order, told.steps)
        places = {n: folder / "run/adapter" if n == OURS else adapter_alone(folder / n.replace(" ", "-")) for n in said}
        for one, loss in losses_of(places, list(records)[:96]).items():
            found[one]["loss_nats_float32"] = loss
    write(told, found, [*dead, *died])


def write(told: argparse.Namespace, found: dict[str, dict[str, Any]], dead: list[str]) -> None:
    """The table, and the file."""
    result = {
        "question": "how many times faster than its peers does it train, and in how much of their memory?",
        "trainers": found,
        "failed": dead,
        "asked": {key: value for key, value in vars(told).items() if not key.endswith("python")},
        "machine": {"processor": platform.machine(), "threads": told.threads},
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "peers": [versions_of(python) for python in (told.trl_python, told.llamafactory_python) if python],
    }
    path = HERE / "results" / f"training_{platform.machine()}_{told.threads}cpu.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    for name, one in found.items():
        ratio = one["ours_times_as_fast"]
        spread = f"{ratio['min']:.2f} to {ratio['max']:.2f}, time on the CPU {one['ours_times_less_cpu']:.2f}"
        shares = f"{one['ours_share_of_peak']:.2f}, while stepping {one['ours_share_of_peak_while_stepping']:.2f}"
        print(
            f"{name:30} {one['tokens_per_s_median']:7.0f} tokens/s; ours {ratio['median']:5.2f} x ({spread}); peak "
            f"{one['peak_bytes'] / 1e9:5.2f} GB, ours {shares} of it; loss {one['loss_nats_float32']:.4f}"
        )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
