"""What a record is: its name by content, its parts, and its form after edits."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.edits import Edit
from graftwork.data.records import Origin, Record

HERE = Origin("x.jsonl", 1)


def turn(role, content):
    return {"role": role, "content": content}


TALK = (turn("system", "s"), turn("user", "q"), turn("assistant", "a"))


def starred(text):
    """An edit of every digit."""
    return [Edit(i, i + 1, "**") for i, char in enumerate(text) if char.isdigit()]


def test_content_alone_names_a_record():
    one = Record(TALK, HERE)
    assert one.digest == Record(TALK, Origin("y.csv", 9, "row"), group="g", source=3).digest
    assert one.digest == Record(tuple(dict(m) for m in TALK), HERE).digest


def test_all_that_is_said_or_marked_is_part_of_the_name():
    forms = [
        Record(TALK, HERE),
        Record(TALK[1:], HERE),
        Record(TALK, HERE, learn=(None, None, ((0, 1),))),
        Record(TALK, HERE, learn=(None, ((0, 1),), ((0, 1),))),
        Record(TALK, HERE, rejected="b"),
        Record(TALK, HERE, tools=({"name": "f"},)),
        Record((*TALK[:2], turn("assistant", "a ")), HERE),
        Record((turn("text", "a"),), HERE),
    ]
    assert len({form.digest for form in forms}) == len(forms)


def test_the_parts_of_a_conversation_are_told_apart():
    record = Record(TALK, HERE)
    assert (record.prompt, record.question, record.answer, record.is_text) == (TALK[:2], "q", "a", False)


def test_a_plain_text_has_an_answer_and_no_question():
    record = Record((turn("text", "all of it"),), HERE)
    assert (record.prompt, record.question, record.answer, record.is_text) == ((), "", "all of it", True)


def test_an_origin_is_told_by_file_unit_and_number():
    assert str(Origin("a.csv", 7, "row")) == "a.csv row 7"
    assert str(HERE) == "x.jsonl line 1"


def test_edits_reach_every_text_of_a_record_and_move_its_marks():
    talk = (turn("user", "my 1 and 2"), turn("assistant", "it is 3"))
    record = Record(talk, HERE, learn=(None, ((0, 2), (6, 7))), rejected="not 4", group="g", source=2)
    expected = (turn("user", "my ** and **"), turn("assistant", "it is **"))
    assert record.edited(starred) == Record(
        expected, HERE, learn=(None, ((0, 2), (6, 8))), rejected="not **", group="g", source=2
    )
    assert record.messages == talk


def test_a_record_without_anything_to_edit_is_itself():
    record = Record(TALK, HERE, rejected="no")
    assert record.edited(starred) is record


def test_a_rejected_answer_alone_may_be_edited():
    assert Record(TALK, HERE, rejected="4").edited(starred) == Record(TALK, HERE, rejected="**")


@given(st.lists(st.text("a1中", max_size=6), min_size=1, max_size=4))
def test_an_edited_record_without_marks_has_none(contents):
    record = Record(tuple(turn("assistant", content) for content in contents), HERE)
    after = record.edited(starred)
    assert after.learn == ()
    assert [m["content"] for m in after.messages] == [content.replace("1", "**") for content in contents]
