"""Quality checks: how many records and bytes a second each takes on one core, on clean text.

    .venv/bin/python benchmarks/quality.py [--records 20000] [--rounds 3]

Half the records are English, half Chinese, 100 to 2,000 characters of made-up sentences with nothing wrong in them: the
case of most real records. A check that is off by default runs with zh and en wanted. Rounds alternate over the checks;
the median counts. Writes benchmarks/results/quality_<machine>.json.
"""

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from graftwork.core.spec import parse
from graftwork.data.quality.check import CHECKS
from graftwork.data.quality.judge import Judge
from graftwork.data.quality.spec import QualitySpec
from graftwork.data.quality.traits import traits
from graftwork.data.quality.whole import WHOLE_CHECKS
from graftwork.data.records import Origin, Record

RESULTS = Path(__file__).parent / "results"
WANTED = {"language": {"languages": ["zh", "en"]}}
ENGLISH = "the of and to in is that for it with as was on are by this be from at which or has have an"
CHINESE = "的 是 在 和 了 有 我们 可以 需要 进行 建议 根据 情况 问题 因此 如果 通过 提供 使用 检查"
NUM_WORDS = 5_000


def vocabulary(chance: random.Random, *, chinese: bool) -> list[str]:
    """Common words, each many times, and made-up ones."""
    common = (CHINESE if chinese else ENGLISH).split()
    if chinese:
        rare = ["".join(chr(chance.randrange(0x4E00, 0x5E00)) for _ in range(2)) for _ in range(NUM_WORDS)]
    else:
        rare = ["".join(chance.choices("etaoinshrdlucm", k=chance.randint(4, 10))) for _ in range(NUM_WORDS)]
    return rare + common * (NUM_WORDS // len(common))


def sentence(chance: random.Random, words: list[str], *, chinese: bool) -> str:
    """A sentence of words in no order."""
    said = chance.choices(words, k=chance.randint(6, 20))
    number = str(chance.randint(1, 9999))
    if chinese:
        return f"{''.join(said)}{number}元。"
    return f"{' '.join(said).capitalize()} {number}. "


def records(num: int, *, seed: int = 0) -> list[Record]:
    """Clean records of 100 to 2,000 characters."""
    chance = random.Random(seed)
    words = {chinese: vocabulary(chance, chinese=chinese) for chinese in (False, True)}
    made = []
    for index in range(num):
        chinese, length = index % 2 == 0, chance.randint(100, 2000)
        said = ""
        while len(said) < length:
            said += sentence(chance, words[chinese], chinese=chinese)
        asked = sentence(chance, words[chinese], chinese=chinese).strip()
        turns = ({"role": "user", "content": asked}, {"role": "assistant", "content": said.strip()})
        made.append(Record(turns, Origin("x.jsonl", index + 1)))
    return made


def jobs() -> dict[str, Callable[[Sequence[Record]], None]]:
    """What is measured, by name: each check by itself, all of them, traits."""
    off: dict[str, object] = dict.fromkeys((*CHECKS, *WHOLE_CHECKS), "off")

    def judging(asked: dict[str, object]) -> Callable[[Sequence[Record]], None]:
        judge = Judge(parse(QualitySpec, asked))

        def run(given: Sequence[Record]) -> None:
            wrong = [said.quarantined for record in given if (said := judge(record)).quarantined]
            assert not wrong, wrong[0]

        return run

    def only(name: str) -> dict[str, object]:
        default = {} if CHECKS[name].default != "off" else WANTED[name]
        return {**off, name: default}

    def of_traits(given: Sequence[Record]) -> None:
        traits(given, parse(QualitySpec, {}))

    each = {name: judging(only(name)) for name in CHECKS}
    return {**each, "all defaults": judging({}), "all": judging(WANTED), "traits": of_traits}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("records", 20_000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    told = parser.parse_args()
    given = records(told.records)
    num_bytes = sum(len(turn["content"].encode()) for record in given for turn in record.messages)
    measured = jobs()
    for job in measured.values():
        job(given[:50])  # loads what is loaded once
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(told.rounds):
        for name, job in measured.items():
            began = time.perf_counter()
            job(given)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    result = {
        "question": "how many records and bytes a second does each check take on one core?",
        "bytes": num_bytes,
        "megabytes_per_s": {name: num_bytes / taken / 1e6 for name, taken in medians.items()},
        "records_per_s": {name: len(given) / taken for name, taken in medians.items()},
        "seconds": seconds,
        "asked": vars(told),
        "machine": {"processor": platform.machine()},
        "versions": {name: version(name) for name in ("numpy", "rensa", "ftfy", "py3langid")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"quality_{platform.machine()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{len(given):,} records, {num_bytes / 1e6:.1f} MB; {path.name}")
    for name, taken in medians.items():
        print(f"{name:>14} {num_bytes / taken / 1e6:9.1f} MB/s {len(given) / taken:12,.0f} records/s")


if __name__ == "__main__":
    main()
