"""Errors: the words of a problem, all of them at once, and the trip to another process."""

import pickle

import pytest

from graftwork.core import errors
from graftwork.core.errors import GraftworkError, OverloadedError, Problem, SpecError, did_you_mean


def test_a_problem_says_where_what_was_given_what_is_expected_and_what_to_do():
    problem = Problem("adapter.rank", 0, "a value >= 1", "8 to 64 are usual.")
    assert str(problem) == "adapter.rank = 0: expected a value >= 1. 8 to 64 are usual."


def test_a_problem_without_a_hint_ends_after_what_is_expected():
    assert str(Problem("name", "a", "text")) == "name = 'a': expected text"


def test_a_long_value_is_cut_and_its_length_given():
    assert str(Problem("name", "x" * 300, "less")) == f"name = '{'x' * 159} ... (302 characters): expected less"


def test_a_value_of_200_characters_is_shown_whole():
    assert str(Problem("name", "x" * 198, "less")) == f"name = '{'x' * 198}': expected less"


def test_a_spec_error_shows_every_problem_on_its_own_line():
    error = SpecError([Problem("a", 1, "b"), Problem("c", None, "d", "Do e.")])
    assert str(error) == "a = 1: expected b\nc = None: expected d. Do e."


def test_a_spec_error_shows_exactly_20_problems_whole():
    error = SpecError(Problem("a", i, "b") for i in range(20))
    assert str(error).splitlines() == [f"a = {i}: expected b" for i in range(20)]


def test_a_spec_error_cuts_after_20_problems_and_counts_the_rest():
    error = SpecError(Problem("a", i, "b") for i in range(25))
    lines = str(error).splitlines()
    assert lines[:20] == [f"a = {i}: expected b" for i in range(20)]
    assert lines[20:] == ["... and 5 more problems like these."]
    assert len(error.problems) == 25


def test_one_problem_too_many_is_counted_in_the_singular():
    error = SpecError(Problem("a", i, "b") for i in range(21))
    assert str(error).splitlines()[-1] == "... and 1 more problem like these."


def test_a_spec_error_survives_a_process_boundary():
    error = SpecError([Problem("a", [1], "b", "c"), Problem("d", None, "e")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is SpecError
    assert again.problems == error.problems
    assert str(again) == str(error)


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GraftworkError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not SpecError])
def test_every_error_survives_a_process_boundary(kind: type[GraftworkError]):
    again = pickle.loads(pickle.dumps(kind("no base at 'x'")))
    assert type(again) is kind
    assert str(again) == "no base at 'x'"


def test_the_seconds_to_wait_survive_a_process_boundary():
    error = OverloadedError("the queue is full", retry_after_s=7.5)
    assert pickle.loads(pickle.dumps(error)).retry_after_s == 7.5


def test_a_spec_error_is_a_value_error_so_that_a_validator_may_raise_it():
    assert issubclass(SpecError, ValueError)


def test_a_near_name_is_offered_and_a_far_one_is_not():
    assert did_you_mean("rnak", ["alpha", "rank"]) == "Did you mean 'rank'?"
    assert did_you_mean("zzz", ["alpha", "rank"]) == ""
    assert did_you_mean("rank", []) == ""
