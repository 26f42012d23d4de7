"""`accumulation: auto`: measured once, written down, and the same ever after."""

import json

import pytest

from graftwork.core.errors import IntegrityError
from graftwork.core.recipe import read_recipe
from graftwork.pipeline.run import run

AUTO = ["training.batch_size=8", "training.accumulation=auto"]


def digest(result):
    return result.steps["train"].summary["adapter_digest"]


def told(folder):
    return json.loads((folder / "fit.json").read_text())


def test_what_was_found_is_written_down_and_repeats_the_run_exactly(recipe, tmp_path):
    found = run(recipe, out=tmp_path / "run", settings=AUTO, until="train")
    assert told(tmp_path / "run")["batch_size"] == 8  # the tiny base takes next to nothing
    assert list(told(tmp_path / "run")["peak_bytes"]) == ["1", "2", "4", "8"]
    effective = read_recipe(tmp_path / "run" / "recipe.yaml")
    assert (effective["training"]["batch_size"], effective["training"]["accumulation"]) == (8, 1)
    assert digest(run(tmp_path / "run" / "recipe.yaml", out=tmp_path / "again", until="train")) == digest(found)
    assert not (tmp_path / "again" / "fit.json").exists()
    plain = ["training.batch_size=8", "training.accumulation=1"]
    assert digest(run(recipe, out=tmp_path / "plain", settings=plain, until="train")) == digest(found)


def test_a_measurement_that_is_there_is_not_made_again(recipe, tmp_path):
    first = run(recipe, out=tmp_path / "run", settings=AUTO, until="train")
    path = tmp_path / "run" / "fit.json"
    path.write_text(json.dumps({**told(tmp_path / "run"), "batch_size": 2}))
    second = run(recipe, out=tmp_path / "run", settings=AUTO, until="train")
    two = ["training.batch_size=2", "training.accumulation=4"]
    assert digest(second) == digest(run(recipe, out=tmp_path / "two", settings=two, until="train"))
    assert second.steps["train"].summary["num_steps"] == first.steps["train"].summary["num_steps"]
    path.write_text(json.dumps({**told(tmp_path / "run"), "batch_size": 3}))
    with pytest.raises(IntegrityError, match=r"fit\.json is not as it was written"):
        run(recipe, out=tmp_path / "run", settings=AUTO, until="train")


def test_other_records_are_measured_anew(recipe, tmp_path):
    run(recipe, out=tmp_path / "run", settings=AUTO, until="train")
    before = told(tmp_path / "run")["inputs"]
    run(recipe, out=tmp_path / "run", settings=[*AUTO, "adapter.rank=2"], until="train")
    assert told(tmp_path / "run")["inputs"] != before
