"""What every quality check must do. A new check joins by being in a catalog; its parameters need a line in a table."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse, plain
from graftwork.data.quality import record_checks, whole_checks
from graftwork.data.quality.check import CHECKS, Quarantined, Repaired
from graftwork.data.quality.judge import Judge
from graftwork.data.quality.spec import QualitySpec
from graftwork.data.quality.text import compared_text
from graftwork.data.quality.traits import traits
from graftwork.data.quality.whole import WHOLE_CHECKS, judged
from graftwork.data.records import TEXT, Origin, Record

REAL = Path(__file__).parents[3] / "shared" / "data"
REAL_FILES = ("huatuo/medical_qa_zh.jsonl", "gsm8k/train.jsonl", "medquad/train.jsonl", "disc-finllm/task.jsonl")


def said(answer, question="What is it?", **more):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(turns, Origin("x.jsonl", 1), **more)


NEEDED = {"language": {"languages": ["zh", "en"]}}
"""Settings without which a check that is off by default cannot be on."""

LAUGH = "ha " * 30
LIST = "One line of it.\nAnother line.\n" * 5
STRETCHED = "the bank shall not be liable for any loss. " * 8
FRENCH = "Le taux du prêt est fixé par la banque pour toute la durée du contrat et il ne change pas."

DECIDES = {
    ("encoding", "mojibake"): (said("fiancÃ©"), True, False),
    ("encoding", "control_characters"): (said("a\x00b"), True, False),
    ("encoding", "max_lost_frac"): (said("a��bcdefghij"), 0.01, 0.5),
    ("encoding", "max_lost"): (said("a��bcd"), 1, 2),
    ("whitespace", "ends"): (said("yes "), True, False),
    ("whitespace", "max_blank_lines"): (said("a\n\n\nb"), 1, 2),
    ("whitespace", "no_width"): (said("中\u200b文"), True, False),
    ("empty", "allowed"): (said("?"), [], ["?"]),
    ("empty", "questions"): (said("yes", question=" "), True, False),
    ("length", "min_question"): (said("yes", question="a"), 1, 2),
    ("length", "max_question"): (said("yes", question="abc"), 2, 3),
    ("length", "min_answer"): (said("a"), 1, 2),
    ("length", "max_answer"): (said("abc"), 2, 3),
    ("language", "languages"): (said(FRENCH), ["en"], ["en", "fr"]),
    ("language", "min_characters"): (said(FRENCH), 40, 400),
    ("language", "min_confidence"): (said(FRENCH), 0.5, 1.0),
    ("repetition", "max_loop_frac"): (said(LAUGH), 0.8, 1.0),
    ("repetition", "max_line_frac"): (said(LIST), 0.5, 0.9),
    ("repetition", "max_stretch_frac"): (said(STRETCHED), 0.7, 0.95),
    ("repetition", "min_characters"): (said(LAUGH), 40, 400),
    ("symbols", "min_letters_frac"): (said("a" * 10 + "#" * 40), 0.1, 0.3),
    ("symbols", "min_characters"): (said("#" * 50), 40, 60),
    ("boilerplate", "kinds"): (said("Lorem ipsum dolor"), ["placeholder"], ["model"]),
    ("boilerplate", "phrases"): (said("As our brochure says, yes."), [], ["Our Brochure"]),
    ("boilerplate", "max_page_frac"): (said("Yes, it is open.\nAll rights reserved"), 0.1, 0.9),
}
"""For every parameter a record and two values of it that decide differently."""

BESIDE = {
    "max_loop_frac": {"max_line_frac": 1.0, "max_stretch_frac": 1.0},
    "max_line_frac": {"max_loop_frac": 1.0, "max_stretch_frac": 1.0},
    "max_stretch_frac": {"max_loop_frac": 1.0, "max_line_frac": 1.0},
}
"""What must be set besides, so that only the parameter decides."""

LOAN = "How long does it take until a loan of this kind is approved by the bank?"
LOANS = [said("About two weeks in most cases.", LOAN), said("About two weeks in most cases!", LOAN[:-1])]
DOSES = [
    said("Take 5 mg of it in the morning, after a meal.", LOAN),
    said("Take 9 mg of it in the morning, after a meal.", LOAN),
]
PAID = "It is paid out by the bank within a week of the day on which all papers have been handed in."
VOTES = [said("yes", LOAN), said("no", LOAN), said("yes", LOAN + " ")]
LONGER = [said("the answer is a label", LOAN), said("another label", LOAN)]

FINDS = {
    ("leakage", "threshold"): (LOANS[::-1], (0, 1), 0.8, 1.0),
    ("leakage", "question_characters"): (
        [said("Yes, surely.", "Is it safe?"), said("No.", "Is it safe?")],
        (0, 1),
        5,
        50,
    ),
    ("contradictions", "max_characters"): (LONGER, None, 10, 40),
    ("contradictions", "keep"): (VOTES, None, "none", "majority"),
    ("duplicates", "most"): ([said("a"), said("a ")], None, 1, 2),
    ("near_duplicates", "threshold"): (LOANS, None, 0.8, 1.0),
    ("near_duplicates", "own_characters"): (
        [said(PAID), said(PAID.replace("bank", "firm"))],
        None,
        3,
        12,
    ),
    ("near_duplicates", "numbers"): (DOSES, None, "same", "any"),
    ("near_duplicates", "keep"): (LOANS, None, "one", "all"),
}
"""For every parameter records, which of them are held out (1), and two values of it that find different records."""

EVERY = [*((CHECKS, name) for name in CHECKS), *((WHOLE_CHECKS, name) for name in WHOLE_CHECKS)]
each_check = pytest.mark.parametrize("name", list(CHECKS))
every_check = pytest.mark.parametrize(("catalog", "name"), EVERY, ids=[name for _, name in EVERY])


def spec_with(name, **asked):
    others = dict.fromkeys((*CHECKS, *WHOLE_CHECKS), "off")
    return parse(QualitySpec, {**others, name: {**NEEDED.get(name, {}), **asked}})


def decision(name, record, **asked):
    return CHECKS[name].decide(dict(spec_with(name, **asked))[name], record)


def found(name, records, held, **asked):
    spec = spec_with(name, **asked)
    side = None if held is None else np.array(held, np.uint8)
    verdict = judged(traits(records, spec), spec, text_of=lambda i: compared_text(records[i]), side=side)
    return sorted(verdict.quarantined)


def content(record):
    return [turn["content"] for turn in record.messages], record.rejected


ALPHABET = st.one_of(
    st.characters(codec="utf-8"),
    st.sampled_from("abc 的是中文银行，。!?0123456789\n\r\t\x00\x0c\x85\u200b\ufeff�ÃÂâ€™锛銆鐨👍🏽"),
)
TEXTS = st.one_of(
    st.sampled_from(["", " ", "a", "中", "👍", "?", "中文 and English", "fiancÃ©", "锟斤拷", "ha" * 40, "a\n" * 30]),
    st.text(ALPHABET, max_size=80),
)
RECORDS = st.one_of(
    st.builds(said, TEXTS, TEXTS),
    st.builds(lambda answer, question, worse: said(answer, question, rejected=worse), TEXTS, TEXTS, TEXTS),
    st.builds(lambda text: Record(({"role": TEXT, "content": text},), Origin("x.txt", 1, "file")), TEXTS),
)
LONG = [
    said(piece * (100_000 // len(piece))) for piece in ("a", "ab ", "中文", "贷款利率是多少？", "\n", "#", "Ã©", "👍")
]


@every_check
def test_its_file_is_imported_by_name_and_its_catalog_knows_it_by_the_name_it_gives_itself(catalog, name):
    assert name in (record_checks.__all__ if catalog is CHECKS else whole_checks.__all__)
    assert catalog[name].name == name


@every_check
def test_it_and_every_field_of_its_spec_are_described(catalog, name):
    check = catalog[name]
    assert check.about.endswith(".")
    assert check.spec.__doc__
    assert [field for field, about in check.spec.model_fields.items() if not about.description] == []


@every_check
def test_a_recipe_has_a_field_for_it_with_its_default(catalog, name):
    field = QualitySpec.model_fields[name]
    assert field.default == catalog[name].default
    assert field.description == f"{catalog[name].about} Its settings, or off."


@every_check
def test_its_settings_come_back_from_plain_data(catalog, name):
    spec = spec_with(name)
    assert dict(spec)[name] != "off"
    assert parse(QualitySpec, plain(spec)) == spec


@every_check
def test_neither_a_setting_it_does_not_have_nor_another_word_than_off_is_taken(catalog, name):
    with pytest.raises(SpecError, match=rf"^{name}\.nonsense = 1: expected no such key"):
        parse(QualitySpec, {name: {**NEEDED.get(name, {}), "nonsense": 1}})
    with pytest.raises(SpecError, match=rf"^{name} = 'on': expected 'off'"):
        parse(QualitySpec, {name: "on"})


@pytest.mark.parametrize("catalog", [CHECKS, WHOLE_CHECKS], ids=["record checks", "whole checks"])
def test_no_two_checks_have_the_same_place(catalog):
    places = [catalog[name].place for name in catalog]
    assert len(set(places)) == len(places)


def test_repairs_come_before_what_sets_aside_so_that_it_sees_repaired_records():
    first_two = sorted(CHECKS, key=lambda name: CHECKS[name].place)[:2]
    assert first_two == ["encoding", "whitespace"]


def test_every_parameter_of_every_check_has_a_line_in_a_table():
    parameters = {(name, field) for catalog, name in EVERY for field in catalog[name].spec.model_fields}
    assert parameters == DECIDES.keys() | FINDS.keys()


@pytest.mark.parametrize(("name", "field"), DECIDES, ids=map(".".join, DECIDES))
def test_every_parameter_of_a_record_check_changes_a_decision(name, field):
    record, one, other = DECIDES[name, field]
    beside = BESIDE.get(field, {})
    decided = [decision(name, record, **{**beside, field: value}) for value in (one, other)]
    assert type(decided[0]) is not type(decided[1])


@pytest.mark.parametrize(("name", "field"), FINDS, ids=map(".".join, FINDS))
def test_every_parameter_of_a_whole_check_changes_what_is_found(name, field):
    records, held, one, other = FINDS[name, field]
    assert found(name, records, held, **{field: one}) != found(name, records, held, **{field: other})


@pytest.mark.parametrize("name", sorted({name for name, _ in DECIDES}))
def test_off_switches_a_record_check_off(name):
    judge = Judge(parse(QualitySpec, dict.fromkeys((*CHECKS, *WHOLE_CHECKS), "off")))
    for (of, _), (record, *_) in DECIDES.items():
        if of == name:
            told = judge(record)
            assert (told.record, told.repairs, told.quarantined) == (record, (), None)


@pytest.mark.parametrize("name", sorted({name for name, _ in FINDS}))
def test_off_switches_a_whole_check_off(name):
    off = parse(QualitySpec, dict.fromkeys((*CHECKS, *WHOLE_CHECKS), "off"))
    for (of, _), (records, held, *_) in FINDS.items():
        if of == name:
            side = None if held is None else np.array(held, np.uint8)
            seen = traits(records, off)
            assert judged(seen, off, text_of=lambda i: pytest.fail("asked"), side=side).quarantined == {}


@each_check
@given(record=RECORDS)
@settings(max_examples=150, deadline=None)
def test_a_decision_is_pure_and_changes_nothing_it_is_given(name, record):
    before = content(record)
    first, second = decision(name, record), decision(name, record)
    assert first == second
    assert content(record) == before


@each_check
@given(record=RECORDS)
@settings(max_examples=150, deadline=None)
def test_a_repair_changes_something_and_leaves_nothing_to_repair(name, record):
    decided = decision(name, record)
    if isinstance(decided, Repaired):
        assert content(decided.record) != content(record)
        assert decided.how
        assert not isinstance(decision(name, decided.record), Repaired)


@each_check
@pytest.mark.parametrize("record", LONG, ids=lambda record: repr(record.answer[:4]))
def test_a_record_of_a_hundred_thousand_characters_is_decided(name, record):
    decided = decision(name, record)
    assert decided is None or isinstance(decided, Repaired | Quarantined)


@each_check
def test_what_it_sets_aside_it_names_itself_as_the_reason_for_and_names_a_setting(name):
    aside = []
    for (of, field), (record, *values) in DECIDES.items():
        if of == name:
            decided = [decision(name, record, **{**BESIDE.get(field, {}), field: value}) for value in values]
            aside += [told for told in decided if isinstance(told, Quarantined)]
    assert {told.reason for told in aside} <= {name}
    named = [any(f"({field})" in told.detail for field in CHECKS[name].spec.model_fields) for told in aside]
    assert all(named)


@given(record=RECORDS)
@settings(max_examples=100, deadline=None)
def test_all_together_a_record_comes_out_repaired_or_aside_never_both_and_the_repaired_is_kept_as_it_is(record):
    judge = Judge(parse(QualitySpec, {}))
    told = judge(record)
    assert (told.record is None) == (told.quarantined is not None)
    if told.record is not None:
        again = judge(told.record)
        assert (again.record, again.repairs) == (told.record, ())


def test_a_judge_can_be_sent_to_another_process():
    judge = Judge(parse(QualitySpec, NEEDED))
    sent = pickle.loads(pickle.dumps(judge))
    for record, *_ in DECIDES.values():
        assert sent(record) == judge(record)


@pytest.mark.parametrize("path", REAL_FILES)
def test_good_real_records_are_kept_and_nothing_of_their_words_is_changed(path):
    if not (REAL / path).exists():
        pytest.skip("shared/data is not beside the checkout")
    judge = Judge(parse(QualitySpec, NEEDED))
    with (REAL / path).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(300), strict=False)]
    for row in rows:
        record = said(row.get("output") or row["answer"], row.get("instruction") or row["question"])
        told = judge(record)
        assert told.quarantined is None, told
        assert [what for what, _ in told.repairs] in ([], ["whitespace"])
        assert "".join(told.record.answer.split()) == "".join(record.answer.split()).replace("\u200b", "")
