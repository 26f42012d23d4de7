"""Strategy at work, on a tiny base: levels on the same records, examples that are never held out, and the advice."""

import json

import pytest
from tests.e2e.conftest import graftwork

from graftwork.cli.advising import shots_of
from graftwork.core.errors import SpecError
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.strategy.measure import Wish, strategy
from graftwork.pipeline.watch import Quiet

WISH = Wish(num_records=6, shots=(2, 200))


class Counting(Quiet):
    """Notes how many replies were there when each level began."""

    def __init__(self):
        self.begun = []

    def evaluating(self, label, done, total):
        self.begun.append((label, done, total))


def test_a_finished_run_is_compared_with_prompting_on_the_same_records(run_copy):
    done = graftwork("strategy", run_copy, "--records", 6, "--shots", "2", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [level["name"] for level in told["levels"]] == ["no example", "2 examples", "tuned"]
    assert told["num_records"] == 6
    assert told["closed_set"] == ["abab", "cdcd", "efef"]
    base, few, tuned = told["levels"]
    assert few["prompt_tokens"] > base["prompt_tokens"] == tuned["prompt_tokens"]
    assert tuned["bits_per_byte"]["mean"] < base["bits_per_byte"]["mean"]
    assert told["training"]["num_params"] > 0
    assert [step["name"] for step in told["advice"]["steps"]] == ["2 examples", "tuned"]
    assert json.loads((run_copy / "strategy.json").read_text()) == told


def test_without_a_run_the_base_is_asked_and_training_is_what_is_left(recipe, tmp_path):
    spec = read_request(recipe, [])
    told = strategy(spec, out=tmp_path / "run", wish=WISH, watch=Quiet())
    assert told["advice"]["verdict"] == "train and compare"
    assert told["untuned_because"] == "nothing is trained in this folder yet"
    fewest = {level["name"]: level["fewest_examples"] for level in told["levels"]}
    assert fewest["2 examples"] == 2
    assert 2 < fewest["200 examples"] < 30  # as many as the context of 512 has room for, or as there are
    held_out = {
        json.loads(line)["origin"]["line"] for line in (tmp_path / "run/data/evaluation.jsonl").read_text().splitlines()
    }
    assert not held_out & {int(origin.split()[-1]) for origin in told["examples_from"]}


def test_what_was_asked_once_is_not_asked_again(recipe, tmp_path):
    spec = read_request(recipe, [])
    first = strategy(spec, out=tmp_path / "run", wish=WISH, watch=Quiet())
    watch = Counting()
    assert strategy(spec, out=tmp_path / "run", wish=WISH, watch=watch) == first
    assert all(done == total for _, done, total in watch.begun)


def test_an_adapter_of_another_recipe_is_not_compared(run_copy):
    spec = read_request(run_copy / "recipe.yaml", ["training.steps=7"])
    told = strategy(spec, out=run_copy, wish=WISH, watch=Quiet())
    assert "of another recipe" in told["untuned_because"]
    assert [level["kind"] for level in told["levels"]] == ["zero-shot", "few-shot", "few-shot"]


@pytest.mark.parametrize("words", ["0", "five", "5,201", "-1"])
def test_strange_numbers_of_examples_are_refused(words):
    with pytest.raises(SpecError, match="whole numbers from 1 to 200"):
        shots_of(words)
