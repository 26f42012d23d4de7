"""A question that wants none beside it is asked of each subject in a batch of its own, and answered the same."""

from dataclasses import replace

from graftwork.pipeline.evaluation.ask import _planned, ask
from graftwork.pipeline.evaluation.batches import Room
from graftwork.pipeline.evaluation.questions import written
from graftwork.pipeline.evaluation.replies import ReplyLog, question_key

ROOM = Room(questions=16, tokens=10**6)


def nothing(done, total):
    """Told of the way, and says nothing."""


def with_twins(questions, chat):
    """The free questions, and each once more to be asked alone; the key of the twin by the key of the first."""
    free = {key: one for key, one in questions.items() if not one.options}
    alone = [replace(one.question, is_alone=True) for one in free.values()]
    twins = dict(zip(free, map(question_key, alone), strict=True))
    return {**free, **{question_key(one): written(one, chat, None) for one in alone}}, twins


def test_what_is_asked_alone_is_in_a_batch_of_its_own_for_every_subject(subjects, questions, bank, tmp_path):
    asked, twins = with_twins(questions, bank.base.chat)
    own = [one for one in subjects if one.side.bank is bank]
    planned = _planned(own, asked, ReplyLog(tmp_path / "log"), ROOM)
    alone = [batch for batch in planned if any(one.question.is_alone for _, one in batch.pairs)]
    assert [len(batch.pairs) for batch in alone] == [1] * len(own) * len(twins)


def test_alone_and_in_a_batch_are_two_questions_with_one_answer(subjects, questions, bank, tmp_path):
    asked, twins = with_twins(questions, bank.base.chat)
    assert not set(twins) & set(twins.values())
    replies = ask(subjects, asked, ReplyLog(tmp_path / "log"), room=ROOM, told=nothing)
    for own in replies.values():
        assert [own[key] for key in twins] == [own[key] for key in twins.values()]
