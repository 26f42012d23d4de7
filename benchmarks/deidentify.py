"""How fast personal data is found: megabytes of UTF-8 text a second on one core, by language and source.

    .venv/bin/python benchmarks/deidentify.py [--rounds 5] [--cases 1500] [--shared ../shared/data]

All embedded recognisers are on. `generated` are the short, dense texts of `graftwork privacy measure`; the others are
read from public data beside the repository where it is there, and left out where it is not. The sources take turns in
each round; the time is that of the processor, so that a busy machine counts less. Writes
benchmarks/results/deidentify_<machine>.json.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

from graftwork.core.spec import parse
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.labelled import labelled
from graftwork.data.privacy.spec import PrivacySpec

RESULTS = Path(__file__).parent / "results"
SHARED = {
    "zh service, a turn each": ("crosswoz/val.jsonl", "turns"),
    "zh service, a dialogue each": ("crosswoz/val.jsonl", "dialogue"),
    "zh medical": ("huatuo/medical_qa_zh.jsonl", "output"),
    "en bank": ("banking77/train.jsonl", "text"),
    "en medical": ("medquad/train.jsonl", "answer"),
}
MOST_CHARACTERS = 300_000


def texts(path: Path, field: str) -> list[str]:
    """Texts of one source, up to a limit."""
    found: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if field == "turns":
            found += [message["content"] for message in row["messages"]]
        elif field == "dialogue":
            found.append("\n".join(message["content"] for message in row["messages"]))
        else:
            found.append(row[field])
        if sum(map(len, found[-1:])) and sum(map(len, found)) > MOST_CHARACTERS:
            break
    return found


def megabytes_per_s(deidentifier: Deidentifier, given: list[str]) -> float:
    """One pass over the texts."""
    began = time.process_time()
    for text in given:
        deidentifier.find(text)
    return sum(len(text.encode()) for text in given) / 1e6 / (time.process_time() - began)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, default=1500)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    told = parser.parse_args()
    sources = {
        f"{language} generated": [c.text for c in labelled(language, seed=0, num_cases=told.cases)]
        for language in ("zh", "en")
    }
    missing = []
    for name, (file, field) in SHARED.items():
        if (told.shared / file).is_file():
            sources[name] = texts(told.shared / file, field)
        else:
            missing.append(name)
    deidentifier = Deidentifier(parse(PrivacySpec, {}), None)
    for given in sources.values():
        megabytes_per_s(deidentifier, given[:50])  # warm-up
    speeds: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(told.rounds):
        for name, given in sources.items():
            speeds[name].append(megabytes_per_s(deidentifier, given))
    result = {
        "question": "how many megabytes of text a second are searched for personal data on one core?",
        "megabytes_per_s": {
            name: {"median": statistics.median(values), "min": min(values), "max": max(values), "all": values}
            for name, values in speeds.items()
        },
        "bytes_per_text": {name: sum(len(t.encode()) for t in given) // len(given) for name, given in sources.items()},
        "not_measured": missing,
        "asked": {"rounds": told.rounds, "cases": told.cases},
        "machine": {"processor": platform.machine(), "threads": 1, "python": platform.python_version()},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"deidentify_{platform.machine()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    for name, values in speeds.items():
        spread = f"{min(values):.2f} to {max(values):.2f}, n={told.rounds}"
        print(f"{name:30s} {statistics.median(values):5.2f} MB/s ({spread})")
    print(path.name + (f"; not measured, no data: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main()
