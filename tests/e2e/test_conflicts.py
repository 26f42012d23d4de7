"""Tasks that share an adapter, in whole runs: what is told, what is refused, and the same bytes however it is run."""

import json
import os
import signal

import pytest
from tests.e2e.conftest import graftwork
from tests.e2e.test_interruptions import digest_in, started, wait_for_steps
from tests.support.tiny_base import make_base

from graftwork.core.errors import SpecError
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run_spec
from graftwork.pipeline.together import run_together

TRAINING = {"steps": 12, "batch_size": 4, "accumulation": 2, "learning_rate": 0.003, "checkpoint_every": 4}


@pytest.fixture(scope="module")
def whole_vectors(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("bases") / "whole", mlp_width=64)


@pytest.fixture
def tasks(tmp_path, whole_vectors):
    """`tasks(conflicts=..., sources=2)`: a recipe whose sources ask the same and want something else."""

    def written(name="tasks", sources=2, adapter=None, **training):
        for task in range(sources):
            rows = [{"prompt": f"word {n * 7}", "completion": "abc"[task] * 3 + str(n % 3)} for n in range(16)]
            (tmp_path / f"task-{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        asked = {
            "name": name,
            "base": str(whole_vectors),
            "dtype": "float32",
            "data": {
                "train": [f"task-{task}.jsonl" for task in range(sources)],
                "evaluation": {"fraction": 0.2, "stratify": "source"},
                "quality": {"near_duplicates": "off", "contradictions": "off"},
            },
            "adapter": adapter or {"rank": 4, "dropout": 0.1},
            "training": {**TRAINING, **training},
            "evaluation": {"answers": 4, "max_new_tokens": 4},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(asked))
        return path

    return written


def trained(path, out, **told):
    return run_spec(read_request(path, []), out=out, until="train", **told).steps["train"].summary


def steps_in(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == "step"]


def test_a_run_tells_of_each_step_in_its_summary_in_words_and_as_a_curve(tasks, tmp_path):
    out = tmp_path / "out"
    done = graftwork("train", tasks(conflicts="project"), "--out", out)
    assert done.returncode == 0, done.stderr
    told = json.loads((out / "run.json").read_text())["steps"]["train"]["summary"]["conflicts"]
    rows = steps_in(out)
    (pair,) = told["pairs"]
    angles = [row["conflicts"]["pairs"][0]["angle_deg"] for row in rows]
    assert told["asked"] == "project"
    assert told["num_steps"] == pair["num_steps"] == len(rows) == 12
    assert pair["mean_angle_deg"] == pytest.approx(sum(angles) / 12)
    assert pair["largest_angle_deg"] == max(angles)
    assert told["in_conflict_frac"] == pair["in_conflict_frac"] == sum(angle > 90 for angle in angles) / 12
    assert [task["name"] for task in told["tasks"]] == ["task-0.jsonl", "task-1.jsonl"]
    assert "tasks: in conflict in" in done.stderr
    assert "Largest angle between the gradients of two tasks" in (out / "curves.html").read_text()


def test_three_ways_to_ask_are_three_trainings_and_off_leaves_no_trace(tasks, tmp_path):
    found = {asked: trained(tasks(conflicts=asked), tmp_path / asked) for asked in ("off", "report", "project")}
    assert len({summary["adapter_digest"] for summary in found.values()}) == 3
    assert "conflicts" not in found["off"]
    assert all("conflicts" not in row for row in steps_in(tmp_path / "off"))


def test_killed_and_started_again_it_ends_with_the_same_bytes_and_summary(tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = tasks(conflicts="project", sources=3, steps=60)
    trained(recipe, tmp_path / "whole")
    out = tmp_path / "killed"
    with started(recipe, out) as process:
        wait_for_steps(process, out, 10)
        os.kill(process.pid, signal.SIGKILL)
    again = graftwork("train", recipe, "--out", out)
    assert "going on from the checkpoint of step" in again.stderr
    assert digest_in(out) == digest_in(tmp_path / "whole")
    summaries = [
        json.loads((f / "run.json").read_text())["steps"]["train"]["summary"] for f in (out, tmp_path / "whole")
    ]
    assert summaries[0]["conflicts"] == summaries[1]["conflicts"]
    kept = [[row["conflicts"] for row in steps_in(folder)] for folder in (out, tmp_path / "whole")]
    assert kept[0] == kept[1]


def test_trained_together_with_others_it_ends_with_the_bytes_that_it_has_alone(tasks, tmp_path):
    paths = [
        tasks("projected", conflicts="project", sources=3),
        tasks("reported", conflicts="report", steps=7),
        tasks("plain", steps=9, batch_size=3),
    ]
    alone = {path.stem: trained(path, tmp_path / "alone" / path.stem) for path in paths}
    specs = [read_request(path, []) for path in paths]
    outcomes = run_together(specs, out=tmp_path / "together", evaluates=False)
    assert not outcomes.failures
    for name, result in outcomes.results.items():
        summary = result.steps["train"].summary
        assert summary["adapter_digest"] == alone[name]["adapter_digest"], name
        assert summary.get("conflicts") == alone[name].get("conflicts"), name


def test_several_processes_end_with_the_bytes_of_one(tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = tasks(conflicts="project", sources=3, steps=6)
    trained(recipe, tmp_path / "one")
    two = graftwork("train", recipe, "--out", tmp_path / "two", "--processes", 2)
    assert two.returncode == 0, two.stderr
    assert digest_in(tmp_path / "two") == digest_in(tmp_path / "one")
    told = [[row["conflicts"] for row in steps_in(tmp_path / name)] for name in ("one", "two")]
    assert told[0] == told[1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_full_tuning_is_projected_too(tasks, tmp_path, dtype):
    recipe = tasks(conflicts="project", adapter={"method": "full"}, steps=4, batch_size=26, accumulation=1)
    recipe.write_text(json.dumps({**json.loads(recipe.read_text()), "dtype": dtype}))
    summary = trained(recipe, tmp_path / "project")
    told = summary["conflicts"]
    assert told["pairs"][0]["num_steps"] == 4
    plain = trained(tasks_as(recipe, "off"), tmp_path / "off")
    assert plain["model_digest"] != summary["model_digest"]


def tasks_as(recipe, asked):
    told = json.loads(recipe.read_text())
    told["training"]["conflicts"] = asked
    recipe.write_text(json.dumps(told))
    return recipe


def test_one_source_has_no_tasks_to_part(tasks):
    with pytest.raises(SpecError) as raised:
        read_request(tasks(conflicts="project", sources=1), [])
    assert str(raised.value) == (
        "training.conflicts = 'project': expected off with a single source. "
        "Each source of data.train is a task, and the recipe has one. Give them as a list, a file or folder each."
    )


def test_a_stage_with_one_source_is_told_by_its_name(tasks):
    recipe = tasks(conflicts="report")
    told = json.loads(recipe.read_text())
    told["stages"] = [{"name": "first", "data": {"train": "task-0.jsonl"}}, {"name": "second", "data": told["data"]}]
    del told["data"]["train"]
    told["stages"][1]["data"] = {"train": ["task-0.jsonl", "task-1.jsonl"]}
    recipe.write_text(json.dumps(told))
    with pytest.raises(SpecError) as raised:
        read_request(recipe, [])
    (problem,) = raised.value.problems
    assert problem.path == "training.conflicts", "where it was written: all stages share it"
    assert "a task, and stage first has one." in str(problem)


def test_sources_of_which_one_alone_has_usable_records_are_refused_before_a_step(tasks, tmp_path):
    recipe = tasks(conflicts="project")
    (tmp_path / "task-1.jsonl").write_text('{"prompt": "", "completion": ""}\n')
    with pytest.raises(SpecError, match=r"training.conflicts = 'project': expected records of two sources or more"):
        trained(recipe, tmp_path / "out")
    assert not (tmp_path / "out" / "metrics.jsonl").exists()
