"""Statistics: do intervals hold what they say, and how often is a worse subject called "not worse"?

    .venv/bin/python benchmarks/simulations.py [--sets 10000] [--only not_worse]

Data sets with a known truth are drawn from a seed, and judged by the functions that judge evaluations. Intervals of
95 % should hold the truth in 94 to 96 of 100 sets; of subjects that are worse by the whole margin at most 5.5 of 100
may be called not worse, by the test's own alpha of 2.5 % and were it 5 %. Shares of
items that stand alone are not drawn: their coverage is summed exactly over all counts, and given as mean and least over
shares. Writes benchmarks/results/simulations.json; no timings.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from graftwork.evaluation.comparing import Rules, apart, effective_counts, spread_between
from graftwork.evaluation.measuring import measured
from graftwork.evaluation.sample import Sample
from graftwork.evaluation.statistics.jackknife import ratio
from graftwork.evaluation.statistics.paired_shares import tango, tango_not_worse
from graftwork.evaluation.statistics.shares import clopper_pearson, share, wilson

RESULTS = Path(__file__).parent / "results"
WITHIN_GROUP = 0.3
"""Correlation of items of one group."""
Pair = tuple[Sample, Sample]


def sample(totals_N, groups_N, weights_N=None, *, is_share=False, is_within_one=False, rows_NK=None, value=ratio):
    """A sample of drawn scores."""
    weights_N = np.ones_like(totals_N) if weights_N is None else weights_N
    return Sample(
        rows_NK=np.stack([totals_N, weights_N], 1) if rows_NK is None else rows_NK,
        groups_N=groups_N,
        weights_N=weights_N if rows_NK is None else np.ones_like(totals_N),
        own_N=totals_N / weights_N,
        value=value,
        is_share=is_share,
        is_within_one=is_share or is_within_one,
    )


def group_numbers(generator: np.random.Generator, num_groups: int, sizes: str):
    """Groups of one item, of four, or of one to seven."""
    if sizes == "one":
        return np.arange(num_groups)
    each_G = np.full(num_groups, 4) if sizes == "four" else generator.integers(1, 8, size=num_groups)
    return np.repeat(np.arange(num_groups), each_G)


def beta(generator, mean: float, size: int):
    """Shares of groups around `mean`, so that items of a group correlate."""
    both = (1 - WITHIN_GROUP) / WITHIN_GROUP
    return generator.beta(mean * both, (1 - mean) * both, size=size)


def yes_no(generator, num_groups: int, sizes: str, truth: float) -> tuple[Sample, float]:
    """Yes and no in groups."""
    groups_N = group_numbers(generator, num_groups, sizes)
    p_G = beta(generator, truth, num_groups)
    return sample((generator.random(len(groups_N)) < p_G[groups_N]).astype(float), groups_N, is_share=True), truth


def partly_right(generator, num_groups: int, sizes: str, right: float) -> tuple[Sample, float]:
    """Scores as of f1: many 1, some 0, the others between."""
    groups_N = group_numbers(generator, num_groups, sizes)
    kind_N = generator.random(len(groups_N))
    wrong = (1 - right) / 2
    score_N = np.where(kind_N < right, 1.0, np.where(kind_N < right + wrong, 0.0, generator.beta(2, 2, len(groups_N))))
    return sample(score_N, groups_N, is_within_one=True), right + wrong * 0.5


def bits(generator, num_groups: int, sizes: str, skew: float) -> tuple[Sample, float]:
    """Bits per byte: lengths of 20 to 500 bytes, bits as a gamma, by group and by item; `skew` 1: an exponential."""
    groups_N = group_numbers(generator, num_groups, sizes)
    weights_N = np.round(generator.lognormal(4.5, 0.6, len(groups_N))) + 1
    shape = 1 / skew
    of_group_G = generator.gamma(2 * shape, 1 / (2 * shape), num_groups)
    rate_N = of_group_G[groups_N] * generator.gamma(2 * shape, 1 / (2 * shape), len(groups_N))
    return sample(rate_N * weights_N, groups_N, weights_N), 1.0


def runs(counts):
    """An F of matches, runs said and runs expected, as chrF and BLEU are made of."""
    matches, said, expected = counts[..., 0], counts[..., 1], counts[..., 2]
    return 2 * matches / (said + expected)


def corpus(generator, num_groups: int, sizes: str, _: float) -> tuple[Sample, float]:
    """A metric of all items together: summed matches of runs."""
    groups_N = group_numbers(generator, num_groups, sizes)
    num = len(groups_N)
    expected_N = np.round(generator.lognormal(3, 0.6, num)) + 2
    said_N = np.maximum(1, np.round(expected_N * generator.uniform(0.6, 1.4, num)))
    share_N = np.clip(0.5 + 0.3 * generator.standard_normal(num_groups)[groups_N], 0.02, 0.98)
    matches_N = generator.binomial(np.minimum(said_N, expected_N).astype(int), share_N).astype(float)
    rows_NK = np.stack([matches_N, said_N, expected_N], 1)
    return sample(matches_N, groups_N, rows_NK=rows_NK, value=runs, is_within_one=True), float("nan")


def of_paired_yes_no(generator, num_groups: int, sizes: str, differing: float, difference: float) -> Pair:
    """Two subjects' yes and no that differ on `differing` of the items, ours less theirs `difference`."""
    groups_N = group_numbers(generator, num_groups, sizes)
    alone = sizes == "one"
    q_G = np.full(num_groups, differing) if alone else beta(generator, differing, num_groups)
    ours_of_them = (1 + difference / differing) / 2
    s_G = np.full(num_groups, ours_of_them) if alone else beta(generator, ours_of_them, num_groups)
    num = len(groups_N)
    differs_N = generator.random(num) < q_G[groups_N]
    ours_N = generator.random(num) < s_G[groups_N]
    both_N = generator.random(num) < 0.6
    first_N = np.where(differs_N, ours_N, both_N).astype(float)
    second_N = np.where(differs_N, ~ours_N, both_N).astype(float)
    return sample(first_N, groups_N, is_share=True), sample(second_N, groups_N, is_share=True)


def of_paired_scores(generator, num_groups: int, sizes: str, differing: float, difference: float) -> Pair:
    """Two subjects' scores from 0 to 1, most of them equal."""
    first, second = of_paired_yes_no(generator, num_groups, sizes, differing, 2 * difference)
    part_N = generator.beta(2, 2, first.num_items)  # of the items that differ half of the gain on the mean
    middle_N = (first.own_N + second.own_N) / 2
    far_N = (first.own_N - second.own_N) * part_N / 2
    return tuple(sample(middle_N + side * far_N, first.groups_N, is_within_one=True) for side in (1, -1))


def of_paired_bits(generator, num_groups: int, sizes: str, _: float, difference: float) -> Pair:
    """Two subjects' bits per byte, which go together."""
    theirs, _truth = bits(generator, num_groups, sizes, 0.2)
    by_group_N = (0.1 * generator.standard_normal(num_groups))[theirs.groups_N]
    moved_N = difference + by_group_N + 0.1 * generator.standard_normal(theirs.num_items)
    return sample(theirs.rows_NK[:, 0] + moved_N * theirs.weights_N, theirs.groups_N, theirs.weights_N), theirs


def lone_shares() -> Iterator[dict]:
    """Coverage of shares of items that stand alone, exactly; common ones and rare ones."""
    from scipy.stats import binom

    for num in (20, 50, 100, 200, 500, 1000):
        k = np.arange(num + 1.0)
        for name, truths in (
            ("0.02 to 0.98", np.linspace(0.02, 0.98, 481)),
            ("0.0005 to 0.02", np.linspace(5e-4, 0.02, 79)),
        ):
            chance_KP = binom.pmf(k[:, None], num, truths[None])
            row = {"items": num, "shares": name}
            for method in (share, wilson, clopper_pearson):
                low_K, high_K = method(k, num)
                holds_P = (chance_KP * ((low_K[:, None] <= truths) & (truths <= high_K[:, None]))).sum(0)
                row[method.__name__] = {"mean": round(holds_P.mean(), 4), "least": round(holds_P.min(), 4)}
            yield row


def coverage(draw: Callable, settings: Sequence[tuple], sets: int) -> Iterator[dict]:
    """How often the interval of a value holds the truth."""
    for number, (num_groups, sizes, extra) in enumerate(settings):
        generator = np.random.default_rng([number, num_groups])
        truth = _truth_of_corpus(draw, sizes, extra) if draw is corpus else None
        held = wide = 0.0
        for _ in range(sets):
            drawn, known = draw(generator, num_groups, sizes, extra)
            found = measured(drawn)
            held += found.low <= (known if truth is None else truth) <= found.high
            wide += found.high - found.low
        yield {
            "kind": draw.__name__,
            "groups": num_groups,
            "sizes": sizes,
            "setting": extra,
            "coverage": round(held / sets, 4),
            "mean_width": round(wide / sets, 4),
        }


def _truth_of_corpus(draw: Callable, sizes: str, extra: float) -> float:
    drawn, _ = draw(np.random.default_rng(99), 400_000, sizes, extra)
    return float(drawn.value(drawn.rows_NK.sum(0)))


def paired_alone(settings: Sequence[tuple], sets: int) -> Iterator[dict]:
    """As `paired`, of yes and no of items that stand alone; all sets at once, from their counts."""
    for number, (num, differing, margin) in enumerate(settings):
        generator = np.random.default_rng([number, num, 7])
        drawn = {
            truth: generator.multinomial(
                num, [(differing + truth) / 2, (differing - truth) / 2, 1 - differing], size=sets
            ).astype(float)
            for truth in (-margin, 0.0)
        }
        worse, equal = ((d[:, 0], d[:, 1], np.full(sets, float(num))) for d in drawn.values())
        low, high = tango(*worse)
        yield {
            "kind": "yes and no, alone",
            "items": num,
            "differing": differing,
            "margin": margin,
            **rates(tango_not_worse(*worse, margin)),
            "coverage": round(float(((low <= -margin) & (-margin <= high)).mean()), 4),
            "equals_shown_not_worse": round(float((tango_not_worse(*equal, margin) < Rules().alpha).mean()), 4),
        }


def rates(chances) -> dict:
    """How many of subjects worse by the margin are called not worse."""
    return {
        "false_not_worse": round(float((chances < Rules().alpha).mean()), 4),
        "at_5_percent": round(float((chances < 0.05).mean()), 4),
    }


def paired(draw: Callable, settings: Sequence[tuple], sets: int) -> Iterator[dict]:
    """Of subjects that are worse by the margin: how often "not worse", and how often the interval holds the truth."""
    sign = -1.0 if draw is of_paired_bits else 1.0
    for number, (num_groups, sizes, differing, margin) in enumerate(settings):
        generator = np.random.default_rng([number, num_groups, 7])
        drawn = (draw(generator, num_groups, sizes, differing, -sign * margin) for _ in range(sets))
        told = {"kind": draw.__name__, "groups": num_groups, "sizes": sizes, "differing": differing, "margin": margin}
        yield {**told, **(_by_t(drawn, sign, margin) if draw is of_paired_bits else _by_tango(drawn, margin))}


def _by_t(drawn, sign: float, margin: float) -> dict:
    found = [apart(*pair, spread_between(*pair), sign, margin, Rules()) for pair in drawn]
    held = np.mean([one.low <= -margin <= one.high for one in found])
    return {**rates(np.array([one.p_not_worse for one in found])), "coverage": round(float(held), 4)}


def _by_tango(drawn, margin: float) -> dict:
    """As `apart` does, all sets at once."""
    counts = np.array([effective_counts(*pair, spread_between(*pair), 1.0, Rules().level) for pair in drawn]).T
    low, high = tango(*counts)
    held = float(((low <= -margin) & (-margin <= high)).mean())
    return {**rates(tango_not_worse(*counts, margin)), "coverage": round(held, 4)}


VALUES = {
    yes_no: [(g, s, p) for g in (20, 50, 200) for s in ("four", "uneven") for p in (0.02, 0.1, 0.5, 0.9, 0.98)],
    partly_right: [(g, s, p) for g in (20, 50, 200, 1000) for s in ("one", "uneven") for p in (0.1, 0.5, 0.9)],
    bits: [(g, s, k) for g in (20, 50, 200, 1000) for s in ("one", "uneven") for k in (0.2, 1.0)],
    corpus: [(g, s, 0.0) for g in (20, 50, 200) for s in ("one", "uneven")],
}
ALONE = [(n, q, m) for n in (50, 100, 300, 1000, 3000) for q in (0.05, 0.1, 0.2, 0.3) for m in (0.01, 0.02, 0.05)]
SHARES = ((0.1, 0.01), (0.1, 0.05), (0.3, 0.02), (0.3, 0.05))
PAIRS = {
    of_paired_yes_no: [(g, s, q, m) for g in (30, 100, 300) for s in ("four", "uneven") for q, m in SHARES],
    of_paired_scores: [
        (g, s, q, m) for g in (30, 100, 1000) for s in ("one", "uneven") for q, m in SHARES if q > 2 * m
    ],
    of_paired_bits: [(g, s, 1.0, 0.02) for g in (20, 50, 200) for s in ("one", "uneven")],
}


def main() -> None:
    """Draw, judge, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sets", type=int, default=10_000)
    asked.add_argument("--only", choices=["lone_shares", "values", "not_worse_alone", "not_worse"])
    asked = asked.parse_args()
    told: dict[str, list[dict]] = {}
    for part, rows in (
        ("lone_shares", lambda: lone_shares()),
        ("values", lambda: (row for draw, s in VALUES.items() for row in coverage(draw, s, asked.sets))),
        ("not_worse_alone", lambda: paired_alone(ALONE, asked.sets)),
        ("not_worse", lambda: (row for draw, s in PAIRS.items() for row in paired(draw, s, asked.sets))),
    ):
        if asked.only in (None, part):
            told[part] = []
            for row in rows():
                print(json.dumps(row), flush=True)
                told[part].append(row)
    if asked.only is None:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "simulations.json").write_text(json.dumps({"sets": asked.sets, **told}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
