"""Likeness, exactly, and groups of what is alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.core.spec import parse
from graftwork.data.quality.groups import (
    MOST_REFUSALS,
    MOST_REFUSALS_AMONG_MANY,
    blocks,
    first_of_equal,
    grouped,
    united,
)
from graftwork.data.quality.likeness import are_alike, compared, likeness, own_stretch
from graftwork.data.quality.spec import QualitySpec
from graftwork.data.quality.text import PART, compared_text, normalised, parts, read_parts, shingles
from graftwork.data.quality.traits import Traits, traits
from graftwork.data.quality.whole import judged
from graftwork.data.records import Origin, Record

DEFAULT = {"threshold": 0.8, "own_characters": 12}


def said(question, answer, **more):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(turns, Origin("x.jsonl", 1), **more)


def ready(question, answer):
    return compared(compared_text(said(question, answer)))


def alike(a, b, **asked):
    one, other = ready(*a), ready(*b)
    assert are_alike(one, other, **{**DEFAULT, **asked}) == are_alike(other, one, **{**DEFAULT, **asked})
    return are_alike(one, other, **{**DEFAULT, **asked})


@given(st.text(max_size=60))
def test_normalising_twice_is_as_once_for_width_and_white_space(text):
    once = normalised(text)
    assert once == once.strip()
    assert "  " not in once
    assert PART not in once


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_the_compared_text_gives_its_parts_back(question, answer, worse):
    record = said(question, answer, rejected=worse)
    assert read_parts(compared_text(record)) == parts(record)


def test_width_case_and_white_space_make_no_difference():
    assert normalised("Ｌｏａｎ　 Rate：５％\n") == normalised("loan rate:5%")


def test_shingles_are_five_characters_of_latin_and_three_of_chinese():
    assert shingles("abcdef") == {"abcde", "bcdef"}
    assert shingles("贷款利率五") == {"贷款利", "款利率", "利率五"}
    assert shingles("ab") == {"ab\0\0\0"}
    assert len(shingles("")) == 1


def test_likeness_is_shared_shingles_over_all():
    a, b = compared(f"{PART}{PART}abcdefgh{PART}"), compared(f"{PART}{PART}abcdefgi{PART}")
    assert likeness(a, b) == 3 / 5


LONG = "The customer may end the contract at the end of each month, in writing, without giving a reason for it."


def test_a_word_changed_dropped_or_added_leaves_records_alike():
    question = "How and when may the customer end the contract?"
    for changed in ("end of every month", "end of month", "very end of each month"):
        assert alike((question, LONG), (question, LONG.replace("end of each month", changed)))


def test_records_that_share_a_long_instruction_and_nothing_else_are_different():
    instruction = (
        "Read the following message of a customer and say which of our departments is to answer it. Answer with one "
        "word from this list: support, lending, complaints, fraud, branches. Say fraud whenever money has left without "
        "the customer's wish, complaints whenever somebody is to be sorry for something, and support in all other "
        "cases; do not explain yourself, do not greet, and never guess a name. Here is what the customer wrote: "
    )
    one, other = "my card was swallowed by the machine", "the app shows a wrong balance today"
    assert likeness(ready(instruction + one, "support"), ready(instruction + other, "support")) > 0.8
    assert not alike((instruction + one, "support"), (instruction + other, "support"))


def test_the_same_sentences_about_two_things_are_different():
    def about(name):
        asked = f"Which simple measures help old people against {name}, and which of them should rather be avoided?"
        return (
            asked,
            f"Against {name} help rest, warmth, much water, light meals and a walk in the morning and the evening.",
        )

    one, other = about("gout"), about("rash")
    assert likeness(ready(*one), ready(*other)) >= 0.8
    assert not alike(one, other)
    assert alike(one, (one[0], other[1]))


def test_two_questions_with_one_long_answer_are_different():
    one, other = ("Is it inherited?", LONG), ("Can I sue?", LONG)
    assert likeness(ready(*one), ready(*other)) > 0.7
    assert not alike(one, other, threshold=0.7)


def test_own_stretch_counts_a_chinese_character_twice():
    one, other = compared(f"{PART}{PART}今天的贷款利率很高{PART}"), compared(f"{PART}{PART}今天的存款税率很高{PART}")
    assert own_stretch(one, other) >= 2 * 2


def test_what_stands_apart_does_not_make_one_long_stretch():
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda omikron".split()  # noqa: SIM905
    other = [*words]
    other[1], other[5], other[9] = "wuxyq", "wqxuv", "qvuxw"
    one, two = (compared(f"{PART}{PART}{' '.join(w)}{PART}") for w in (words, other))
    assert own_stretch(one, two) == 5


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20))
def test_united_groups_are_the_connected_ones_named_by_their_first(pairs):
    root = united(np.arange(16), np.array(pairs, np.int64).reshape(-1, 2))
    neighbours = {i: {i} for i in range(16)}
    for a, b in pairs:
        together = neighbours[a] | neighbours[b]
        for i in together:
            neighbours[i] = together
    assert root.tolist() == [min(neighbours[i]) for i in range(16)]


@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=30))
def test_blocks_cover_all_pairs_in_order_and_stay_small(lengths):
    pairs = np.array([[i, i] for i in range(len(lengths))])
    cut = list(blocks(pairs, np.array(lengths, np.uint32)))
    assert [i for block in cut for i in range(block.start, block.stop)] == list(range(len(lengths)))
    assert all(block.stop - block.start == 1 or sum(2 * n for n in lengths[block]) <= 400_000 for block in cut)


WORDS = (
    *("loan", "rate", "bank", "month", "pay", "card", "limit", "fee", "credit", "account", "transfer", "customer"),
    *("利率", "贷款", "银行", "每月", "客户", "合同"),
)
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
PAIRS = st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=14)


def fetched(records):
    return lambda i: compared_text(records[i])


@given(PAIRS, st.lists(st.integers(0, 200), max_size=8), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_chunks_do_not_change_the_verdict(said_, copied, size):
    records = [said(*pair) for pair in said_]
    records += [said(*said_[i % len(said_)]) for i in copied]
    spec = parse(QualitySpec, {})
    whole = traits(records, spec)
    joined = Traits.joined([traits(records[at : at + size], spec) for at in range(0, len(records), size)])
    for name in Traits.__slots__:
        assert np.array_equal(getattr(whole, name), getattr(joined, name))
    one, other = (judged(seen, spec, text_of=fetched(records)) for seen in (whole, joined))
    assert one.quarantined == other.quarantined
    assert one.group.tolist() == other.group.tolist()


@given(PAIRS, st.lists(st.integers(0, 200), max_size=8))
@settings(max_examples=60, deadline=None)
def test_whoever_is_set_aside_is_like_an_earlier_record_and_in_the_end_like_one_that_is_kept(said_, copied):
    records = [said(*pair) for pair in said_]
    records += [said(said_[i % len(said_)][0], said_[i % len(said_)][1] + " too") for i in copied]
    spec = parse(QualitySpec, {"contradictions": "off"})
    verdict = judged(traits(records, spec), spec, text_of=fetched(records))
    for index, why in verdict.quarantined.items():
        assert why.like < index
        kept = index
        while kept in verdict.quarantined:
            kept = verdict.quarantined[kept].like
        assert kept < index
        one, other = (compared(compared_text(records[i])) for i in (index, why.like))
        assert likeness(one, other) >= (1 if why.reason == "duplicates" else 0.8)
        assert verdict.group[index] == verdict.group[why.like]
    assert all(group <= index for index, group in enumerate(verdict.group.tolist()))


def test_nearly_all_planted_near_duplicates_are_in_one_group_with_their_original():
    chance = np.random.default_rng(5)
    words = ["".join(chance.choice(list("abcdefghijklmnop"), 6)) for _ in range(900)]
    originals = [" ".join(chance.choice(words, 30)) for _ in range(300)]
    copies = [text.replace(text.split()[n % 30], "xyzxyz", 1) for n, text in enumerate(originals)]
    records = [said(text[:100], text[100:]) for text in (*originals, *copies)]
    spec = parse(QualitySpec, {})
    group = judged(traits(records, spec), spec, text_of=fetched(records)).group
    assert (group[300:] == np.arange(300)).mean() > 0.97
    assert group[:300].tolist() == list(range(300))


def comparisons(bands):
    """How many comparisons are made of records of these bands, none of which is like another."""
    num, asked = len(bands), []
    content = np.stack([np.arange(num), np.arange(num)], axis=1).astype(np.uint64)
    ones = np.ones(num, np.uint64)
    seen = Traits(content, ones, ones, ones, ones.astype(bool), ones.astype(np.uint32), bands.astype(np.uint32))

    def never(a, b):
        asked.append(1)
        return False

    text = f"{PART}{PART}a{PART}"
    root = grouped(seen, first_of_equal(seen), alike=never, text_of=lambda i: text, tell=lambda share: None)
    assert root.tolist() == list(range(num))
    return len(asked)


def test_a_band_that_all_records_share_costs_no_more_than_its_size():
    num = 400
    assert num < comparisons(np.zeros((num, 16))) <= MOST_REFUSALS_AMONG_MANY * num


def test_bands_that_few_share_cost_no_more_than_their_size_in_all():
    num = 400
    bands = np.random.default_rng(1).integers(0, num // 20, (num, 16))
    assert num < comparisons(bands) <= (MOST_REFUSALS + MOST_REFUSALS_AMONG_MANY) * num


def test_texts_are_asked_for_in_order_and_only_where_bands_agree():
    texts = ["the first text is about loans and cards", "the first text is about loans and card", "quite another one"]
    records, asked = [said(text, "a longer answer than a label has, surely.") for text in texts], []
    spec = parse(QualitySpec, {})

    def text_of(index):
        asked.append(index)
        return compared_text(records[index])

    shares = []
    judged(traits(records, spec), spec, text_of=text_of, progress=shares.append)
    assert set(asked) <= {0, 1}
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@given(PAIRS)
def test_traits_are_small(said_):
    seen = traits([said(*pair) for pair in said_], parse(QualitySpec, {}))
    assert sum(getattr(seen, name).nbytes for name in Traits.__slots__) <= 110 * len(said_)


def test_no_records_have_no_verdict_and_no_error():
    spec = parse(QualitySpec, {})
    verdict = judged(traits([], spec), spec, text_of=lambda i: pytest.fail("asked"))
    assert (verdict.quarantined, verdict.group.tolist()) == ({}, [])


def test_without_a_check_for_likeness_no_signatures_are_kept():
    spec = parse(QualitySpec, {"near_duplicates": "off", "leakage": "off"})
    assert traits([said("a", "b")], spec).bands_NB.shape == (1, 0)
