"""Does reading the field's text first help an adapter that learns to answer? Two stages against the answers alone.

    .venv/bin/python benchmarks/stages.py [--pages 400] [--records 120] [--held-out 120] [--reading 50] [--answering 30]
                                          [--rate 5e-4] [--rank 16] [--max-tokens 192] [--seeds 2] [--data FILE]

Data: MedQuAD (abachaa/MedQuAD, CC BY 4.0), questions and answers about diseases, not in the repository; --data names
JSON lines of it (question, answer, focus). Of records drawn by digest, some are held out, some are learned to answer,
and the answers of others, under the name of the disease and without a question, are the pages that are read. No answer
has two of these roles; a disease may have a page and a held-out question, as in a field that has its documents at hand.

Arms, all with the same adapter, seed and held-out records: `answers` (one stage), `answers, as long` (one stage with as
many steps as both stages have together), `pages, then answers` (two stages). Told is the loss on held-out answers, in
nats per token, with its 95 % interval over records; of differences between arms the interval of the paired difference
would be narrower, and seeds differ besides. Writes benchmarks/results/stages_<machine>.json whichever way it goes.
"""

import argparse
import hashlib
import json
import platform
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from graftwork.base.load import Base, load_base
from graftwork.cli.watching import Terminal
from graftwork.core.files import write_jsonl
from graftwork.pipeline.recipes import requested
from graftwork.pipeline.run import run_spec

BASE = "bundled:smollm2-135m-instruct"
RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data" / "medquad" / "train.jsonl"
SIZES = (("pages", 400), ("records", 120), ("held-out", 120), ("reading", 50), ("answering", 30), ("rank", 16))
MORE = (("max-tokens", 192), ("batch-size", 8), ("seeds", 2))
SHORTEST, LONGEST = 80, 500
"""Characters of an answer that is used: whole within a row."""


def split(data: Path, told: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Held-out records, records to learn to answer and pages, none of whose answers is in two of them."""
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    once = {row["answer"].strip(): row for row in rows if SHORTEST <= len(row["answer"]) <= LONGEST}
    drawn = sorted(once.values(), key=lambda row: hashlib.sha256(row["answer"].encode()).digest())
    first, second = told.held_out, told.held_out + told.records
    return {"held-out": drawn[:first], "records": drawn[first:second], "pages": drawn[second : second + told.pages]}


def written(parts: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Put them where recipes can read them."""
    for name in ("held-out", "records"):
        write_jsonl(
            folder / f"{name}.jsonl", ({"prompt": r["question"], "completion": r["answer"]} for r in parts[name])
        )
    write_jsonl(folder / "pages.jsonl", ({"text": f"{r['focus']}\n\n{r['answer']}"} for r in parts["pages"]))


def recipe(arm: str, folder: Path, seed: int, told: argparse.Namespace) -> dict[str, Any]:
    """The request of one arm."""
    answers = {"train": str(folder / "records.jsonl")}
    pages = {"train": str(folder / "pages.jsonl"), "learn": "all"}
    data = {"evaluation": str(folder / "held-out.jsonl"), "max_tokens": told.max_tokens, "windows": "off"}
    training = {"learning_rate": told.rate, "batch_size": told.batch_size, "seed": seed, "checkpoint_every": 1000}
    training["evaluate_every"] = 0
    whole: dict[str, Any] = {"name": "arm", "base": BASE, "adapter": {"rank": told.rank}, "evaluation": {"answers": 2}}
    whole["evaluation"]["max_new_tokens"] = 2
    if arm != "pages, then answers":
        steps = told.answering + (told.reading if arm == "answers, as long" else 0)
        return {**whole, "data": {**data, **answers}, "training": {**training, "steps": steps}}
    stages = [
        {"name": "pages", "data": pages, "training": {"steps": told.reading}},
        {"name": "answers", "data": answers, "training": {"steps": told.answering}},
    ]
    return {**whole, "data": data, "training": training, "stages": stages}


def loss_of(arm: str, folder: Path, seed: int, base: Base, told: argparse.Namespace) -> dict[str, Any]:
    """Held-out loss of base and adapter after one arm."""
    out = folder / f"{seed}-{arm.replace(', ', '-').replace(' ', '-')}"
    with Terminal() as terminal:
        done = run_spec(requested(recipe(arm, folder, seed, told)), out=out, watch=terminal, base=base)
    found: dict[str, Any] = done.evaluation["loss"]
    return found


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (*SIZES, *MORE):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    if not told.data.is_file():
        raise SystemExit(f"{told.data} is not there. MedQuAD as JSON lines (question, answer, focus): give --data.")
    parts = split(told.data, told)
    known = {row["focus"] for row in parts["pages"]}
    covered = sum(row["focus"] in known for row in parts["held-out"])
    arms = ("answers", "answers, as long", "pages, then answers")
    losses: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    base = load_base(BASE)
    with tempfile.TemporaryDirectory() as work:
        written(parts, Path(work))
        for seed in range(told.seeds):
            for arm in arms:
                losses[arm].append(loss_of(arm, Path(work), seed, base, told))
    before = losses["answers"][0]["base"]
    print(f"{len(parts['held-out'])} held-out questions, {covered} about a disease that has a page")
    print(f"| arm | steps | nats per token (mean of {told.seeds} seeds) | each seed |\n|---|---|---|---|")
    print(f"| base | 0 | {before['mean']:.3f} +- {1.96 * before['stderr']:.3f} | |")
    for arm in arms:
        steps = told.answering + (0 if arm == "answers" else told.reading)
        means = [one["adapter"]["mean"] for one in losses[arm]]
        within = 1.96 * losses[arm][0]["adapter"]["stderr"]
        each = " ".join(f"{mean:.3f}" for mean in means)
        print(f"| {arm} | {steps} | {statistics.mean(means):.3f} +- {within:.3f} | {each} |")
    result = {
        "question": "does reading the field's text first help an adapter that learns to answer?",
        "losses": losses,
        "num_held_out": len(parts["held-out"]),
        "num_held_out_with_page": covered,
        "asked": {name: str(v) if isinstance(v, Path) else v for name, v in vars(told).items() if name != "data"},
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"stages_{platform.machine()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path.name)


if __name__ == "__main__":
    main()
