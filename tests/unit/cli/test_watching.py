"""What a person sees of a training."""

import os
import re
import signal

import pytest

from graftwork.cli.watching import Terminal
from graftwork.core.errors import Interrupted
from graftwork.training.report import StepReport
from graftwork.training.stopping import Look


def report(step):
    told = {"penalty": 0.0, "grad_norm": 1.0, "learning_rate": 1e-3, "num_targets": 9, "max_singular_value": None}
    return StepReport(step=step, loss_nats=2.5, num_tokens=300, seconds=0.1, **told)


@pytest.fixture
def lines(capsys):
    """`lines()`: what was said so far, without the breaks of a narrow terminal."""
    return lambda: re.sub(r"\s+", " ", capsys.readouterr().err)


def test_the_held_out_loss_stands_beside_the_loss_from_the_first_look_on(lines):
    with Terminal() as terminal:
        terminal.training(0, 2)
        terminal.looked(Look(step=1, adapter_nats=1.75, base_nats=3.0, change_stderr=0.1, num_records=16, is_best=True))
        terminal.step(report(2))
    said = lines()
    assert "step 1 of 2 held out 1.750 (base 3.000) best so far" in said
    assert "step 2 of 2 loss 2.500 held out 1.750 (base 3.000) 3,000 tokens/s peak" in said
    assert "left" in said


def test_before_the_first_look_nothing_is_said_of_it(lines):
    with Terminal() as terminal:
        terminal.training(0, 1)
        terminal.step(report(1))
    said = lines()
    assert "loss 2.500 3,000 tokens/s" in said
    assert "held out" not in said


def strike():
    os.kill(os.getpid(), signal.SIGINT)


def test_an_evaluation_that_is_interrupted_while_it_loads_says_so():
    with (
        Terminal(before="the first question"),
        pytest.raises(Interrupted, match="interrupted before the first question"),
    ):
        strike()


def test_an_evaluation_that_is_interrupted_ends_its_batch_and_says_what_is_kept(lines):
    with Terminal() as terminal:
        terminal.evaluating("questions", 0, 9)
        strike()
        assert terminal.should_stop()
        assert "stopping after this batch; the same command goes on with what is finished" in lines()
        with pytest.raises(Interrupted, match="what is finished is kept, the same command goes on from there"):
            strike()


def test_a_training_after_an_evaluation_is_stopped_as_one(lines):
    with Terminal() as terminal:
        terminal.evaluating("questions", 9, 9)
        terminal.training(0, 5)
        strike()
        assert "stopping after this step; the state will be saved" in lines()
