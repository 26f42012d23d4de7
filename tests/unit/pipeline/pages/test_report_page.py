"""The report as a page: what it says, in which order, and that nothing in it can do harm."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.tally import STEPS, Tally, flow
from graftwork.pipeline.pages.flow import flow_of
from graftwork.pipeline.pages.report import report_page

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e\x1b[31m"


@pytest.fixture
def page(report):
    return lambda **changes: report_page(report(**changes), name="hotline", quarantine="data/quarantine.jsonl")


def test_the_headline_says_what_became_of_all_rows(page):
    assert "2,299 rows: 2,251 used, 48 kept back, none lost without a reason." in page()
    assert "共\u00a02,299\u00a0行：采用\u00a02,251\u00a0行，隔离\u00a048\u00a0行，无一行去向不明。" in page()


def test_a_sum_that_is_wrong_is_said_first_and_marked(page, report):
    wrong = report()["flow"]
    wrong[2]["out"] -= 5
    told = page(flow=wrong)
    assert "The sums do not add up. Do not rely on this data." in told
    assert told.count("✗") == 4  # the step, the one after it, the sum of the table, and the check below
    assert "✗" not in page()


def test_a_lost_target_takes_the_headline_back(page):
    told = page(num_targets_lost=2)
    assert "Do not rely on this data." in told
    assert told.count("✗") == 1


@pytest.mark.parametrize(
    "changes", [{"num_rows": 2300}, {"sources": [{"file": "a", "layout": "", "num_rows": 1, "num_usable": 1}]}]
)
def test_counts_that_contradict_each_other_are_marked(page, changes):
    assert "✗" in page(**changes)


def test_everything_comes_in_the_order_in_which_it_is_asked_for(page, read):
    found = [value for name, value in read(page()).attributes if name == "id" and not value.startswith("say-")]
    assert found == ["flow", "repairs", "sides", "spread", "personal", "examples", "proofs", "made", "glossary"]


def test_all_numbers_of_the_report_are_on_the_page(page, read):
    text = read(page()).text
    for number in ("2,299", "2,251", "40,000", "10,040", "6,000", "3f3f3f3f3f3f", "17 – 32", "33 – 64", "88.3 %"):
        assert number in text, number


def test_the_difference_of_a_repair_is_marked(page):
    assert re.search(r"<bdi dir=\"auto\">a <del>·</del>b</bdi>", page())


def test_examples_of_personal_data_stand_with_personal_data(page, read):
    text = read(page()).text
    assert text.index("Personal data") < text.index("call [PHONE] now") < text.index("Examples of every decision")


def test_nothing_from_the_data_becomes_part_of_the_page(report, read):
    def poisoned(value):
        if isinstance(value, dict):
            return {key if key in known else HOSTILE + key: poisoned(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [poisoned(inner) for inner in value]
        return HOSTILE + value if isinstance(value, str) else value

    clean = report(made={"seed": "7"})
    kept = {"quarantined", "repaired", "languages", "kinds", "made"}
    known = {*re.findall(r'"(\w+)":', json.dumps(clean))} - {
        "json",
        "empty",
        "duplicates",
        "zh",
        "latin",
        "phone",
    } | kept
    told = read(report_page(poisoned(clean), name=HOSTILE, quarantine=HOSTILE))
    assert "script" not in told.tags
    assert "img" not in told.tags
    assert told.tags.count("style") == 1
    assert not [name for name, _ in told.attributes if name.startswith("on")]
    assert "\u202e" not in told.text
    assert "\x1b" not in told.text
    assert told.text.count("<script>alert(1)</script>") > 9


def test_a_page_is_one_file_that_asks_for_nothing(page, read):
    told = page()
    assert not re.search(r"https?:|url\(|@import|<script|\bsrc=|\bhref=", told)
    assert "default-src 'none'; style-src 'unsafe-inline'" in told
    assert read(told).tags[:2] == ["html", "head"]


def test_both_languages_are_there_and_one_is_chosen(page, read):
    told = read(page())
    assert told.attributes.count(("lang", "en")) > 100
    assert told.attributes.count(("lang", "zh-Hans")) > 100
    assert told.attributes.count(("checked", None)) == 1


def test_every_table_says_what_its_columns_and_rows_are(page):
    for table in re.findall(r"<table.*?</table>", page(), re.S):
        assert '<th scope="row"' in table
        assert '<th scope="col"' in table or 'class="made"' in table


def test_a_clean_report_says_so_and_has_no_empty_tables(page, report):
    clean = Tally(num_rows=2251)
    told = page(
        num_rows=2251,
        flow=flow(clean),
        examples=[],
        languages={},
        sources=[],
        personal_data={"mode": "off", "num_records": 0, "kinds": {}},
    )
    for said in (
        "2,251 rows: all of them used, none lost.",
        "Nothing had to be repaired.",
        "It was not looked for: data.privacy is off in the recipe.",
        "There was nothing to decide: every row was used as it is.",
    ):
        assert said in told
    assert "✗" not in told


def test_that_nothing_was_found_is_not_said_where_nothing_was_looked_for(page):
    told = page(personal_data={"mode": "drop", "num_records": 0, "kinds": {}})
    assert "It was looked for, and none was found (mode: records with it are kept back (drop))." in told
    assert "未发现（处理方式：含有者整条隔离（drop））。" in told


def test_read_back_records_are_said_to_be_a_sample(page):
    assert "3 of 50 tried" in page(num_not_read_back=3)
    assert "抽查\u00a050\u00a0条，3\u00a0条不符" in page(num_not_read_back=3)


def test_of_three_hundred_files_most_are_folded_away_and_all_are_there(page):
    files = [{"file": f"part-{i}.jsonl", "layout": None, "num_rows": 1, "num_usable": 1} for i in range(300)]
    told = page(sources=files)
    assert "288 more files" in told
    assert all(f"part-{i}.jsonl<" in told for i in range(300))


def test_what_else_is_known_of_its_making_is_shown_with_or_without_a_word_for_it(page):
    told = page(made={"seed": 7, "num_tokens": 3})
    assert "随机种子" in told
    assert ">num_tokens</th>" in told


@given(
    st.lists(st.lists(st.integers(1, 500), max_size=4), min_size=len(STEPS), max_size=len(STEPS)), st.integers(0, 400)
)
def test_any_true_count_adds_up_and_any_false_one_does_not(why, held):
    tally = Tally(num_rows=sum(map(sum, why)) + 2 * held)
    for step, counts in zip(STEPS, why, strict=True):
        tally.quarantined.update({(step, f"reason {i}"): count for i, count in enumerate(counts)})
    report = {
        "num_rows": tally.num_rows,
        "flow": flow(tally),
        "train": {"num_records": held},
        "evaluation": {"num_records": held},
    }
    assert flow_of(report).adds_up
    for wrong in (
        {"num_rows": tally.num_rows + 1},
        {"train": {"num_records": held + 1}},
        {"flow": [*report["flow"][:-1], {**report["flow"][-1], "out": 2 * held + 1}]},
    ):
        assert not flow_of({**report, **wrong}).adds_up
    assert not flow_of({**report, "train": {"num_records": held + 1}}).sides_add_up
    assert not flow_of({**report, "num_rows": tally.num_rows + 1}).whole_adds_up
