"""Work in other processes: in order, with every error told, and no process left behind."""

import os
import subprocess
import sys
import time
from itertools import count

import pytest
from tests.support import worked

from graftwork.core.errors import SpecError, WorkError
from graftwork.core.workers import Workers, usable_cores

NUMBERS = pytest.mark.parametrize("number", [1, 2, 3])


def answers(number, tasks, make=worked.doing, given=()):
    with Workers(number, make, given) as workers:
        return list(workers.ordered(tasks))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids):
    """Whether all are, before long."""
    for _ in range(100):
        if not any(map(is_running, pids)):
            return True
        time.sleep(0.05)
    return False


@NUMBERS
def test_answers_come_in_the_order_of_the_tasks_however_long_each_takes(number):
    tasks = [("sleep", 0.08 if i % 4 == 0 else 0.001 * i) for i in range(12)]
    assert answers(number, tasks) == [seconds for _, seconds in tasks]


@NUMBERS
def test_no_tasks_have_no_answers(number):
    assert answers(number, []) == []


def test_work_is_done_at_the_same_time_by_as_many_processes_as_asked():
    pids = answers(3, [task for _ in range(9) for task in (("pid", None), ("sleep", 0.05))])[::2]
    assert 2 <= len(set(pids)) <= 3
    assert os.getpid() not in pids


def test_each_process_makes_its_function_once_of_what_is_given():
    with Workers(1, worked.doing, ("中", 2)) as workers:
        assert list(workers.ordered([("given", None), ("task", None)])) == [("中", 2), 1]
        assert list(workers.ordered([("task", None)])) == [2]


def test_large_tasks_and_answers_pass_whole():
    large = b"x" * 5_000_000
    assert answers(2, [("same", large), ("length", large), ("same", "")]) == [large, len(large), ""]


@NUMBERS
def test_what_the_function_raises_is_raised_where_it_was_asked_for(number):
    told = []
    with Workers(number, worked.doing, ()) as workers:
        with pytest.raises(SpecError) as raised:
            told.extend(workers.ordered([("same", 1), ("same", 2), ("refuse", "x"), *[("same", 3)] * 20]))
        assert str(raised.value) == "a.b = 'x': expected another. Do something.\nc = None: expected more"
        assert [problem.path for problem in raised.value.problems] == ["a.b", "c"]
        assert list(workers.ordered([("same", 4)])) == [4]  # it goes on


def test_answers_before_an_error_come_first():
    told = []
    with Workers(2, worked.doing, ()) as workers, pytest.raises(ValueError, match=r"^no$"):
        told.extend(workers.ordered([("sleep", 0.1), ("same", 2), ("raise", "no"), ("same", 3)]))
    assert told in ([], [0.1, 2])  # `extend` keeps what it has been given
    with Workers(2, worked.doing, ()) as workers:
        each = workers.ordered([("sleep", 0.1), ("same", 2), ("raise", "no"), ("same", 3)])
        assert [next(each), next(each)] == [0.1, 2]
        with pytest.raises(ValueError, match=r"^no$"):
            next(each)


def test_what_making_the_function_raises_is_raised_too():
    with pytest.raises(KeyError, match="why"):
        answers(2, [("same", 1)], worked.refusing, ("why",))


def test_what_the_tasks_themselves_raise_is_raised():
    def tasks():
        yield "same", 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        answers(2, tasks())


@NUMBERS
@pytest.mark.parametrize(("task", "code"), [(("exit", 3), 3), (("kill", 9), -9), (("leave", 4), 4)], ids=str)
def test_a_process_that_dies_is_an_error_in_words_and_never_a_wait(number, task, code):
    with pytest.raises(WorkError) as raised:
        answers(number, [("same", 1), ("same", 2), task])
    message = f"a worker process ended with {code}; it may have run out of memory. Give fewer workers."
    assert str(raised.value) == message


def test_all_processes_may_die():
    with pytest.raises(WorkError):
        answers(2, [("kill", 9)] * 2)


def told_by_another(*work):
    """The exception that ends `work`, lines with one worker, in a process of its own that may wait or leak."""
    program = [
        "import time",
        "from tests.support import worked",
        "from graftwork.core.errors import WorkError",
        "from graftwork.core.workers import Workers",
        "try:",
        "    with Workers(1, worked.doing, ()) as workers:",
        *(f"        {line}" for line in work),
        "except Exception as error:",
        "    print(type(error).__name__, end='')",
    ]
    child = subprocess.Popen(
        [sys.executable, "-c", "\n".join(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        return child.communicate(timeout=4)[0].decode()
    except subprocess.TimeoutExpired:
        return "no end"
    finally:
        child.kill()
        child.communicate()


def test_the_error_about_a_dead_process_is_told_when_more_was_asked_of_it():
    work = (
        "try:",
        "    list(workers.ordered([('exit', 3)]))",
        "except WorkError:",
        "    list(workers.ordered([('same', 1)]))",
    )
    assert told_by_another(*work) == "WorkError"


def test_a_task_that_cannot_be_sent_is_an_error_and_never_a_wait():
    tasks = "(time.sleep(0.1 * i) or ('same', i or (lambda: 1)) for i in range(4))"
    assert told_by_another(f"list(workers.ordered({tasks}))") == "PicklingError"


def test_an_answer_that_cannot_be_sent_is_an_error_and_never_a_wait():
    with pytest.raises(WorkError):
        answers(2, [("lambda", 1), ("same", 2)])


def test_an_error_that_cannot_be_made_again_is_told_all_the_same():
    with pytest.raises(Exception, match="ab") as raised:
        answers(1, [("odd", "b")])
    assert not isinstance(raised.value, TypeError)


@NUMBERS
def test_whatever_is_printed_does_not_get_among_the_answers(number, capfd):
    assert answers(number, [("print", "some\nwords"), ("same", 1), ("print", "x")]) == ["some\nwords", 1, "x"]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("some\nwords") == 3


@NUMBERS
def test_no_process_is_left_when_the_work_is_done(number):
    pids = set(answers(number, [("pid", None)] * 9))
    assert gone(pids)


def test_no_process_is_left_when_the_answers_are_not_all_taken():
    with Workers(2, worked.doing, ()) as workers:
        each = workers.ordered(("pid", None) for _ in count())
        pids = {next(each), next(each), next(each)}
        each.close()
        assert list(workers.ordered([("same", 1)])) == [1]  # and nothing of the former tasks is answered here
    assert gone(pids)


def test_no_process_is_left_when_an_error_ends_the_work():
    pids = set()

    def work():
        with Workers(2, worked.doing, ()) as workers:
            pids.update(workers.ordered([("pid", None)] * 4))
            list(workers.ordered([("sleep", 0.01), ("refuse", 1), *[("sleep", 0.01)] * 9]))

    with pytest.raises(SpecError):
        work()
    assert pids
    assert gone(pids)


def test_no_process_is_left_when_the_one_that_asked_is_killed():
    program = (
        "from tests.support import worked\n"
        "from graftwork.core.workers import Workers\n"
        "with Workers(2, worked.doing, ()) as workers:\n"
        "    for pid in workers.ordered([('pid', None)] * 4 + [('sleep', 0.3)] * 100):\n"
        "        print(pid, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        pids = {int(parent.stdout.readline()) for _ in range(4)}
        assert all(map(is_running, pids))
        parent.kill()
    assert gone(pids)


@NUMBERS
def test_only_a_few_tasks_are_read_ahead(number):
    taken = []

    def tasks():
        for i in range(100):
            taken.append(i)
            yield "same", i

    with Workers(number, worked.doing, ()) as workers:
        for i, answer in enumerate(workers.ordered(tasks())):
            assert answer == i
            assert len(taken) <= i + 1 + 2 * number
    assert len(taken) == 100


def test_processes_use_one_thread_each():
    asked = [("environment", "OMP_NUM_THREADS"), ("environment", "TOKENIZERS_PARALLELISM")]
    assert answers(1, asked) == ["1", "false"]


def test_there_is_a_core_to_use():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
