"""The log: a slow file holds up nobody, ordinary loggers are in it, and no word of an unexpected error."""

import io
import json
import logging
import threading

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.serving.operations.lines import MOST_LINES, Lines
from graftwork.serving.operations.logs import logging_as
from graftwork.serving.operations.spec import LogsSpec

LOG = logging.getLogger("graftwork.serving")


class Stuck(io.StringIO):
    """A file that takes nothing until it is let go."""

    def __init__(self):
        super().__init__()
        self.gate, self.tries = threading.Event(), threading.Event()

    def write(self, text):
        """As a file's, later."""
        self.tries.set()
        assert self.gate.wait(30)
        return super().write(text)


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text):
        """Never."""
        raise OSError(28, "No space left on device")


def test_a_file_that_takes_nothing_holds_up_nobody_and_what_was_lost_is_told():
    file = Stuck()
    lines = Lines(file, lambda num: f"{num} lost\n")
    lines.write("0\n")
    assert file.tries.wait(10)
    for number in range(MOST_LINES + 7):
        lines.write(f"{number + 1}\n")
    assert lines.lost == 7
    file.gate.set()
    lines.close()
    told = file.getvalue().splitlines()
    assert told[:3] == ["0", "7 lost", "1"]
    assert len(told) == MOST_LINES + 2


def test_a_full_disk_is_counted_and_raises_nowhere():
    lines = Lines(Full(), str)
    lines.write("one\n")
    lines.close()
    assert lines.lost == 1


@pytest.fixture
def logged(tmp_path):
    """`logged(work, **spec)`: the lines that `work` leaves."""

    def call(work, **spec):
        path = tmp_path / "logs" / "serve.jsonl"
        with logging_as(parse(LogsSpec, {"destination": str(path), **spec})) as (log, _):
            work(log)
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    return call


def fails(log):
    """An exception that holds what somebody asked."""
    try:
        raise KeyError("zebra")
    except KeyError:
        LOG.exception("a step failed")


def test_an_unexpected_error_is_told_by_kind_and_place_and_its_words_at_debug_alone(logged):
    (told,) = logged(fails)
    assert (told["level"], told["event"], told["error"]) == ("error", "a step failed", "KeyError")
    assert told["at"][-1].startswith("test_logs.py:")
    assert "zebra" not in json.dumps(told)
    assert logged(fails, level="debug")[-1]["words"] == "'zebra'"


def test_what_is_below_the_level_is_left_out_of_both_kinds_of_lines(logged):
    def work(log):
        log.tell("info", "one")
        log.tell("warning", "two")
        LOG.info("three")
        LOG.warning("four")

    assert [told["event"] for told in logged(work, level="warning")] == ["two", "four"]


def test_ordinary_loggers_are_as_before_when_it_is_closed(logged):
    before = LOG.parent.level, list(LOG.parent.handlers)
    assert logged(lambda log: LOG.info("one"))[0]["event"] == "one"
    assert (LOG.parent.level, LOG.parent.handlers) == before


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with (
        pytest.raises(SpecError, match=r"logs\.destination"),
        logging_as(parse(LogsSpec, {"destination": str(tmp_path)})),
    ):
        pass
