"""Near duplicates: how fast they are found among many short records, how many of those planted, how many wrongly.

    .venv/bin/python benchmarks/near_duplicates.py [--records 100000] [--planted 0.1] [--chinese 0.5] [--seed 0]

Makes records of about 100 to 200 characters from random words, half of them Chinese; a share of them are copies of an
earlier one with a word changed, dropped or added. Then all that the product does: traits of chunks, groups, verdict.
Recall is over planted copies whose exact Jaccard likeness reaches the threshold: the share in one group with what they
copy. Fewer are set aside: what copies a copy may be too unlike the record that is kept. Precision is checked by
computing the likeness to the kept record for a sample of what was set aside. Writes
benchmarks/results/near_duplicates_<machine>_<records>.json.
"""

import argparse
import json
import platform
import random
import resource
import time
from importlib.metadata import version
from pathlib import Path

from graftwork.core.spec import parse
from graftwork.data.quality.likeness import compared, likeness
from graftwork.data.quality.spec import QualitySpec
from graftwork.data.quality.text import compared_text
from graftwork.data.quality.traits import Traits, traits
from graftwork.data.quality.whole import judged
from graftwork.data.records import Origin, Record

RESULTS = Path(__file__).parent / "results"
CHUNK = 5_000


def words(chance: random.Random, num: int, *, chinese: bool) -> list[str]:
    """A vocabulary of random words."""
    if chinese:
        return ["".join(chr(chance.randrange(0x4E00, 0x5E00)) for _ in range(2)) for _ in range(num)]
    return ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(num)]


def varied(chance: random.Random, said: list[str], vocabulary: list[str]) -> list[str]:
    """`said` with one word changed, dropped or added."""
    at = chance.randrange(len(said))
    return [
        *said[:at],
        *chance.choice(([chance.choice(vocabulary)], [], [said[at], chance.choice(vocabulary)])),
        *said[at + 1 :],
    ]


def texts(told: argparse.Namespace) -> tuple[list[tuple[str, str]], dict[int, int]]:
    """Questions and answers, and of each planted copy what it was made from."""
    chance = random.Random(told.seed)
    vocabularies = {chinese: words(chance, 20_000, chinese=chinese) for chinese in (False, True)}
    spoken: list[tuple[bool, list[str]]] = []
    planted: dict[int, int] = {}
    for index in range(told.records):
        if index and chance.random() < told.planted:
            planted[index] = chance.randrange(index)
            chinese, said = spoken[planted[index]]
            spoken.append((chinese, varied(chance, said, vocabularies[chinese])))
            continue
        chinese = chance.random() < told.chinese
        num = chance.randint(50, 100) if chinese else chance.randint(15, 28)
        spoken.append((chinese, chance.choices(vocabularies[chinese], k=num)))
    pairs = []
    for chinese, said in spoken:
        gap, half = "" if chinese else " ", len(said) // 2
        pairs.append((gap.join(said[:half]), gap.join(said[half:])))
    return pairs, planted


def record(pair: tuple[str, str], index: int) -> Record:
    """A conversation of a question and an answer."""
    asked, answered = pair
    return Record(
        ({"role": "user", "content": asked}, {"role": "assistant", "content": answered}), Origin("x", index + 1)
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("records", 100_000), ("planted", 0.1), ("chinese", 0.5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    told = parser.parse_args()
    spec = parse(QualitySpec, {})
    pairs, planted = texts(told)
    made_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def text_of(index: int) -> str:
        return compared_text(record(pairs[index], index))

    began = time.perf_counter()
    chunks = range(0, len(pairs), CHUNK)
    seen = Traits.joined(
        [traits([record(pairs[i], i) for i in range(at, min(at + CHUNK, len(pairs)))], spec) for at in chunks]
    )
    traits_s = time.perf_counter() - began
    verdict = judged(seen, spec, text_of=text_of)
    total_s = time.perf_counter() - began

    threshold = spec.near_duplicates.threshold
    known = random.Random(1).sample(sorted(planted), min(2_000, len(planted)))
    true = [i for i in known if likeness(compared(text_of(i)), compared(text_of(planted[i]))) >= threshold]
    found = [i for i in true if verdict.group[i] == verdict.group[planted[i]]]
    aside = [i for i in true if i in verdict.quarantined]
    near = {i: why for i, why in verdict.quarantined.items() if why.reason == "near_duplicates"}
    sample = random.Random(2).sample(sorted(near), min(2_000, len(near)))
    right = [i for i in sample if likeness(compared(text_of(i)), compared(text_of(near[i].like))) >= threshold]
    result = {
        "question": "how fast are near duplicates found, how many of those planted, how many wrongly?",
        "characters_mean": sum(len(a) + len(b) for a, b in pairs) / len(pairs),
        "traits_s": traits_s,
        "verdict_s": total_s - traits_s,
        "records_per_s": len(pairs) / total_s,
        "recall": len(found) / max(1, len(true)),
        "recall_of": len(true),
        "set_aside": len(aside) / max(1, len(true)),
        "precision": len(right) / max(1, len(sample)),
        "precision_of": len(sample),
        "planted": len(planted),
        "quarantined": len(verdict.quarantined),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "made_records_bytes": made_bytes,
        "traits_bytes_per_record": sum(getattr(seen, name).nbytes for name in seen.__slots__) / len(pairs),
        "asked": vars(told),
        "machine": {"processor": platform.machine()},
        "versions": {name: version(name) for name in ("numpy", "rensa")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"near_duplicates_{platform.machine()}_{told.records}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{len(pairs):,} in {total_s:.1f} s ({result['records_per_s']:,.0f} a second, traits {traits_s:.1f} s)\n"
        f"of {len(true)} planted, in one group with what they copy {result['recall']:.4f}, "
        f"set aside {result['set_aside']:.4f}; precision {result['precision']:.4f} of {len(sample)}\n"
        f"peak {result['peak_bytes'] / 1e9:.2f} GB, {made_bytes / 1e9:.2f} GB of it the records; {path.name}"
    )


if __name__ == "__main__":
    main()
