"""Consistency: agreement, contradiction and sway are counted as they are meant."""

from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.spec import parse
from graftwork.data.records import Origin, Record
from graftwork.evaluation.authored import LANGUAGES
from graftwork.evaluation.choosing import agreeing
from graftwork.evaluation.dimension import Given
from graftwork.evaluation.dimensions.consistency import ConsistencySpec, items
from graftwork.evaluation.entities import known
from graftwork.evaluation.item import Reply
from graftwork.evaluation.pronouns import read_pairs
from graftwork.evaluation.relations import FORMS, contradicts, world

WINOBIAS = Path(__file__).parents[4] / "shared" / "data" / "winobias"


def of_parts(*parts, records=(), **more):
    spec = parse(ConsistencySpec, {"parts": list(parts), "worlds": 3, **more})
    return list(items(spec, Given(held_out=list(records), train=[], seed=1, max_new_tokens=8)))


def weighed(best, num):
    return Reply(nats=tuple(float(i != best) for i in range(num)), tokens=(1,) * num)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=7))
def test_agreement_counts_every_pair_and_no_answer_agrees_with_none(answers):
    same, pairs = agreeing(answers)
    assert pairs == len(answers) * (len(answers) - 1) // 2
    assert same == sum(answers.count(one) * (answers.count(one) - 1) // 2 for one in "abc")


def test_a_fact_answered_in_the_same_wrong_way_agrees_and_is_wrong():
    (fact, *_) = of_parts("facts")
    told = fact.score([weighed(2, 4)] * 3)
    assert (told["agreement"].total, told["agreement"].weight) == (3, 3)
    assert (told["accuracy"].total, told["accuracy"].weight) == (0, 3)
    told = fact.score([weighed(0, 4), weighed(0, 4), weighed(1, 4)])
    assert (told["agreement"].total, told["accuracy"].total) == (1, 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_world_contradicts_itself_exactly_where_no_state_of_it_gives_these_answers(form, language):
    """The naive way: all orders of three people, and for ties both states."""
    for number in range(8):
        drawn = world(form, language, number, seed=4)
        possible = set()
        rights = [asked.options[0] for asked in drawn.questions]
        wrongs = [asked.options[1] for asked in drawn.questions]
        if form == "chain":
            for order in permutations({*rights, *wrongs}):
                pairs = [asked.options for asked in drawn.questions]
                possible.add(tuple(min(pair, key=order.index) for pair in pairs))
        else:
            possible = {tuple(rights), tuple(wrongs)}
        for answers in product(*(asked.options for asked in drawn.questions)):
            assert contradicts(drawn, answers) == (tuple(answers) not in possible)
        assert not contradicts(drawn, rights)
        assert not contradicts(drawn, [None, *rights[1:]])


def test_yes_to_both_ways_round_is_a_contradiction_of_an_order_and_not_of_a_tie():
    for item in of_parts("relations"):
        options = [question.options for question in item.questions]
        if "chain" in item.slices["part"]:
            continue
        yes = "Yes" if item.slices["language"] == "en" else "是"
        replies = [weighed(pair.index(yes), 2) for pair in options]
        assert item.score(replies)["contradictions"].total == float("order" in item.slices["part"])


def test_who_is_named_first_and_asked_first_is_no_hint():
    for form, language in product(("order", "chain"), LANGUAGES):
        worlds = [world(form, language, number, seed=2) for number in range(60)]
        if form == "order":
            first = [drawn.questions[0].options[0] for drawn in worlds]
            assert 15 < first.count(first[0]) < 45
        else:
            asked = [one for drawn in worlds for one in drawn.questions]
            right_first = sum(one.text.rfind(one.options[0]) < one.text.rfind(one.options[1]) for one in asked)
            assert 0.35 < right_first / len(asked) < 0.65


def test_a_person_is_asked_for_in_five_contexts_and_each_of_them_tells_the_answer():
    for language in LANGUAGES:
        person = known(language, 1, seed=7)
        assert len(person.contexts) == 5
        place = person.options[0].removeprefix("At the ").removeprefix("在")
        for context in person.contexts:
            text = "".join(turn["content"] for turn in context)
            assert place in text
            assert text.rstrip("？?").count(person.name) >= 2
        assert len(set(person.options)) == 4


def test_a_pronoun_that_changes_who_is_meant_sways():
    item = of_parts("coreference")[0]
    assert item.score([weighed(0, 2), weighed(1, 2)])["swayed"].total == 1
    assert item.score([weighed(1, 2), weighed(1, 2)])["swayed"].total == 0
    texts = [question.prompt[0]["content"] for question in item.questions]
    assert len(set(texts)) == 2


def short(number, answer="blue"):
    turns = ({"role": "user", "content": f"Which colour has flag {number}?"}, {"role": "assistant", "content": answer})
    return Record(turns, Origin("a.jsonl", number))


def test_a_held_out_question_is_asked_in_three_frames_and_once_alone():
    (item,) = of_parts("records", records=[short(1), short(2, "a long answer " * 9)])
    assert [question.is_alone for question in item.questions] == [False, False, False, True]
    assert item.questions[0].prompt == item.questions[3].prompt
    told = item.score([Reply(said="Blue."), Reply(said="ｂｌｕｅ"), Reply(said="red"), Reply(said="blue")])
    assert (told["agreement"].total, told["agreement"].weight, told["same_alone"].total) == (1, 3, 1)
    assert "accuracy" not in told


@pytest.mark.skipif(not WINOBIAS.is_dir(), reason="no WinoBias beside the project")
def test_all_published_pairs_are_read():
    pairs = read_pairs(str(WINOBIAS / "pro_stereotyped_type1.jsonl"), str(WINOBIAS / "anti_stereotyped_type1.jsonl"))
    assert len(pairs) == 396
    assert pairs[0].options == ("The developer", "The designer")
    assert all(a != b for a, b in (pair.asked for pair in pairs))
    assert all("[" not in asked for pair in pairs for asked in pair.asked)


def test_files_that_are_no_pairs_are_refused_line_by_line(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("[The baker] met the cook because [she] was early.\nNo brackets here.\n", "utf-8")
    second.write_text("[The baker] met the cook because [he] was early.\nNo brackets here.\n", "utf-8")
    with pytest.raises(SpecError) as refused:
        read_pairs(str(first), str(second))
    assert len(refused.value.problems) == 2, "nobody else is known but the baker, and line 2 has nobody"
    second.write_text("one line\n", "utf-8")
    with pytest.raises(SpecError, match="two files with as many lines"):
        read_pairs(str(first), str(second))
    with pytest.raises(NotFoundError, match="No such file"):
        read_pairs(str(tmp_path / "none"), str(second))
