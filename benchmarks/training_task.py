"""What all trainers of `training.py` learn: the same records, as the same tokens, in the same steps.

The demo's questions, whose file is in the package so that anyone can repeat this, or any file of prompts and
completions. They are prepared as for any run; the order is the one that our loop draws, and peers are given the tokens
in that order and told not to shuffle.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import graftwork
from graftwork.data.batches import evenly, step_indices
from graftwork.data.encode import Encoded
from graftwork.data.store import TokenStore
from graftwork.pipeline.folder import Done
from graftwork.pipeline.run import run

BASE = "bundled:smollm2-135m-instruct"
DEMO = Path(graftwork.__file__).parent / "pipeline/demo/triage.jsonl"
SYSTEM = (
    "Which department of a medical school answers this question? Reply with one word: Anatomy, Dentistry, "
    "Gynaecology, Microbiology, Ophthalmology, Pediatrics, Pharmacology or Physiology."
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained, for all trainers alike.

    Attributes:
        records: JSON lines in a layout that `graftwork` knows; empty for the demo's.
        num_records: of its first lines.
        per_step: records of an optimizer step.
    """

    records: str = ""
    num_records: int = 256
    per_step: int = 16
    rank: int = 8
    alpha: float = 16.0
    learning_rate: float = 2e-4
    seed: int = 0


def write_recipe(task: Task, folder: Path, num_steps: int) -> Path:
    """A recipe for it, with its records beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (Path(task.records) if task.records else DEMO).read_text("utf-8").splitlines()[: task.num_records]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    asked = {
        "name": "bench",
        "base": BASE,
        "preset": "light",
        "data": {
            "train": "records.jsonl",
            "evaluation": {"fraction": 0.05},
            "max_tokens": 1024,
            **({} if task.records else {"system": SYSTEM}),
        },
        "adapter": {"method": "lora", "rank": task.rank, "alpha": task.alpha, "targets": ["all"], "dropout": 0.0},
        "training": {
            "steps": num_steps,
            "batch_size": task.per_step,
            "learning_rate": task.learning_rate,
            "schedule": {"kind": "constant"},
            "max_grad_norm": 1.0,
            "checkpoint_every": 1_000_000,
            "evaluate_every": 0,
            "seed": task.seed,
        },
    }
    path = folder / "recipe.yaml"  # JSON is YAML
    path.write_text(json.dumps(asked, indent=1), "utf-8")
    return path


def prepared(recipe: Path, out: Path, settings: Sequence[str] = ()) -> Sequence[Encoded]:
    """The training records as tokens, in the order of their store."""
    done = run(recipe, out=out, settings=settings, until="prepare").steps["prepare"]
    return store_of(done, out)


def store_of(done: Done, out: Path) -> TokenStore:
    """The records that a finished preparation left in the run's folder."""
    return TokenStore(out / "data" / "train", done.summary["train"]["files"])


def in_order(task: Task, records: Sequence[Encoded], num_steps: int) -> Iterator[list[Encoded]]:
    """Those of each step, as our loop draws them."""
    mixture = evenly(len(records))
    for step in range(num_steps):
        drawn = step_indices(step, mixture=mixture, per_step=task.per_step, seed=task.seed)
        yield [records[i] for i in drawn]


def write_for_peers(steps: Sequence[Sequence[Encoded]], path: Path) -> None:
    """One record a line: its tokens, and which are learned."""
    with path.open("w", encoding="utf-8") as file:
        for record in (record for step in steps for record in step):
            row = {"input_ids": list(map(int, record.tokens_T)), "completion_mask": list(map(int, record.is_target_T))}
            file.write(json.dumps(row) + "\n")
