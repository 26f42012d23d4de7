"""All subjects are asked in one batch: each answers as if it were alone, and nothing is asked twice."""

import pytest
import torch
from tests.support.greedy import naive

from graftwork.adapters.bank import AdapterBank
from graftwork.core.errors import Interrupted
from graftwork.evaluation.item import Reply
from graftwork.pipeline.evaluation.ask import _planned, ask
from graftwork.pipeline.evaluation.batches import Room
from graftwork.pipeline.evaluation.replies import ReplyLog
from graftwork.pipeline.evaluation.subjects import at_hand, context_of
from graftwork.pipeline.sides import Side

ROOM = Room(questions=4, tokens=600)


def nothing(done, total):
    """Told of the way, and says nothing."""


class StopAt:
    """Stops an evaluation when so many replies are there."""

    def __init__(self, replies):
        self.replies = replies

    def __call__(self, done, total):
        if done >= self.replies:
            raise Interrupted("stopped")


def naive_nats(subject, option):
    """Minus the logarithm of an option's likelihood: a pass of its own through the whole model, in float64."""
    bank = subject.side.bank
    with torch.no_grad(), bank.route([subject.side.row]):
        logits = bank.base.model(input_ids=torch.tensor([list(option.tokens_T)])).logits[0].log_softmax(-1)
    targets = [t for t in range(1, len(option.tokens_T)) if option.is_target_T[t]]
    return -sum(float(logits[t - 1, option.tokens_T[t]]) for t in targets)


def test_everyone_answers_in_a_batch_as_alone(subjects, questions, tmp_path):
    replies = ask(subjects, questions, ReplyLog(tmp_path / "log"), room=ROOM, told=nothing)
    assert {len({one.said for one in own.values()}) > 2 for own in replies.values()} == {True}
    for subject in subjects:
        for key, one in questions.items():
            reply = replies[subject.name][key]
            if not one.options:
                told = naive(subject.side.bank, one.question.prompt, subject.side.row, one.question.max_new_tokens)
                assert reply == Reply(said=told)
                continue
            assert reply.tokens == tuple(option.num_targets for option in one.options)
            assert reply.nats == pytest.approx([naive_nats(subject, option) for option in one.options], abs=1e-9)
    assert replies["first"] != replies["base"] != replies["second"]


@pytest.mark.parametrize("room", [Room(questions=1, tokens=1), Room(questions=16, tokens=10**6)])
def test_how_much_goes_into_a_batch_changes_no_answer(subjects, questions, tmp_path, room):
    usual = ask(subjects, questions, ReplyLog(tmp_path / "usual"), room=ROOM, told=nothing)
    other = ask(subjects, questions, ReplyLog(tmp_path / "other"), room=room, told=nothing)
    for name, own in usual.items():
        for key, reply in own.items():
            assert other[name][key].said == reply.said
            assert other[name][key].nats == pytest.approx(reply.nats, abs=1e-9)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "gemma3"])
@pytest.mark.parametrize(
    "spec", [{"method": "prefix_tuning", "positions": 3}, {"method": "prompt_tuning", "positions": 3}, {}]
)
def test_likelihoods_are_those_of_a_pass_of_ones_own(load, questions, tmp_path, family, spec, request):
    bank = AdapterBank(load(family))
    if spec:
        from graftwork.adapters.wanted import parse_adapter_spec

        handle = bank.fresh(parse_adapter_spec(spec), seed=1)
    else:
        handle = request.getfixturevalue("lively")(bank, 3)
    pair = [at_hand(Side(bank=bank, row=row), name=str(len(row)), kind="base") for row in ((), (handle,))]
    weighed = {key: one for key, one in questions.items() if one.options}
    replies = ask(pair, weighed, ReplyLog(tmp_path / "log"), room=ROOM, told=nothing)
    for subject in pair:
        for key, one in weighed.items():
            own = [naive_nats(subject, option) for option in one.options]
            assert replies[subject.name][key].nats == pytest.approx(own, abs=1e-8)


@pytest.mark.parametrize("stop_at", [1, 7, 12, 20])
def test_a_killed_evaluation_goes_on_and_ends_with_the_same_file(subjects, questions, tmp_path, stop_at):
    whole = ask(subjects, questions, ReplyLog(tmp_path / "whole"), room=ROOM, told=nothing)
    with pytest.raises(Interrupted):
        ask(subjects, questions, ReplyLog(tmp_path / "cut"), room=ROOM, told=StopAt(stop_at))
    torn = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(torn[:-11])
    assert ask(subjects, questions, ReplyLog(tmp_path / "cut"), room=ROOM, told=nothing) == whole
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_what_is_left_of_a_torn_batch_is_asked_with_the_rest_of_it(subjects, questions, tmp_path):
    one_bank = subjects[:3]
    whole = _planned(one_bank, questions, ReplyLog(tmp_path / "none"), ROOM)
    ask(one_bank, questions, ReplyLog(tmp_path / "log"), room=ROOM, told=nothing)
    lines = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    (tmp_path / "log").write_bytes(b"".join(lines[:5]))
    assert _planned(one_bank, questions, ReplyLog(tmp_path / "log"), ROOM) == whole


def test_what_was_said_is_not_asked_again(subjects, questions, tmp_path):
    log, told = tmp_path / "log", []
    first = ask(subjects[:2], questions, ReplyLog(log), room=ROOM, told=nothing)
    before = log.read_bytes()
    more = ask(subjects, questions, ReplyLog(log), room=ROOM, told=lambda *way: told.append(way))
    assert {name: more[name] for name in first} == first
    assert told[0] == (2 * len(questions), 4 * len(questions))
    assert log.read_bytes().startswith(before)
    told.clear()
    ask(subjects, questions, ReplyLog(log), room=ROOM, told=lambda *way: told.append(way))
    assert told == [(4 * len(questions), 4 * len(questions))]


def test_a_line_that_somebody_changed_is_asked_again(subjects, questions, tmp_path):
    log = tmp_path / "log"
    honest = ask(subjects, questions, ReplyLog(log), room=ROOM, told=nothing)
    lines = log.read_text("utf-8").splitlines(keepends=True)
    free = next(i for i, line in enumerate(lines) if '"said": "' in line)
    lines[free] = lines[free].replace('"said": "', '"said": "I am better. ')
    log.write_text("".join(lines), "utf-8")
    assert ask(subjects, questions, ReplyLog(log), room=ROOM, told=nothing) == honest
    assert "I am better" not in log.read_text("utf-8")


def test_the_context_is_that_of_whoever_has_the_least(bank, lively):
    from graftwork.adapters.wanted import parse_adapter_spec

    in_front = bank.fresh(parse_adapter_spec({"method": "prompt_tuning", "positions": 5}), seed=1)
    rows = ((), (lively(bank, 1),), (lively(bank, 1), in_front))
    sides = [at_hand(Side(bank=bank, row=row), name=str(len(row)), kind="adapter") for row in rows]
    assert (context_of(sides[:2]), context_of(sides)) == (512, 507)
