"""Examples in front of a question: which, how written, and never a held-out one."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.records import Origin, Record
from graftwork.pipeline.strategy.prompts import closed_set, drawn, with_examples


def record(question, answer, line=1, system=None):
    head = ({"role": "system", "content": system},) if system else ()
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(messages=(*head, *turns), origin=Origin("a.jsonl", line))


TRAIN = [record(f"q{n}", ("yes", "no", "maybe")[n % 3], n) for n in range(30)]
CLOSED = ("maybe", "no", "yes")


def test_answers_are_a_closed_set_when_few_and_often_given():
    assert closed_set([one.answer for one in TRAIN], ["yes"]) == CLOSED
    assert closed_set([f"answer {n}" for n in range(30)], ["answer 1"]) == ()
    assert closed_set([one.answer for one in TRAIN], ["perhaps"]) == ()
    assert closed_set(["yes"] * 30, ["yes"]) == ()


def test_each_answer_of_a_closed_set_has_its_turn():
    chosen = drawn(TRAIN, 6, seed=0, never=set(), in_turn=CLOSED)
    assert sorted(one.answer for one in chosen[:3]) == sorted(one.answer for one in chosen[3:]) == sorted(CLOSED)


@given(st.permutations(TRAIN), st.integers(0, 5), st.booleans())
def test_the_draw_depends_on_seed_and_content_and_not_on_order(shuffled, seed, is_closed):
    told = {"seed": seed, "never": {TRAIN[0].digest}, "in_turn": CLOSED if is_closed else ()}
    assert drawn(shuffled, 5, **told) == drawn(TRAIN, 5, **told)


def test_another_seed_draws_others():
    assert drawn(TRAIN, 5, seed=0, never=set(), in_turn=()) != drawn(TRAIN, 5, seed=1, never=set(), in_turn=())


def test_a_held_out_record_is_never_an_example():
    never = {one.digest for one in TRAIN[:25]}
    assert {one.digest for one in drawn(TRAIN, 20, seed=0, never=never, in_turn=())} == {o.digest for o in TRAIN[25:]}
    assert len(drawn(TRAIN, 20, seed=0, never=never, in_turn=CLOSED)) == 5


def test_examples_stand_as_turns_behind_the_system_turn():
    prompt = with_examples(record("q", "a", system="s"), [record("x", "y", system="t")], has_template=True)
    assert [(turn["role"], turn["content"]) for turn in prompt] == [
        ("system", "s"),
        ("user", "x"),
        ("assistant", "y"),
        ("user", "q"),
    ]


def test_a_base_without_turns_gets_them_as_text():
    assert with_examples(record("q: ", "a"), [record("x: ", "y")], has_template=False) == (
        {"role": "user", "content": "x: y\n\nq: "},
    )
