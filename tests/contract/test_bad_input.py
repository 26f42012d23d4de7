"""Bad input: a clear message, exit code 2, no traceback, nothing left behind."""

import json

import pytest
from tests.support.tiny_base import make_base

from graftwork.cli.main import called


@pytest.fixture
def refused(capsys, recipe, tmp_path):
    """Run the command line, expect a refusal, and give what it said."""

    def run(*words, code=2):
        given = [str(word) for word in words] or ["run", str(recipe), "--out", str(tmp_path / "out")]
        assert called(given) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        assert not (tmp_path / "out" / "adapter").exists()
        return said.err.strip()

    return run


def rewrite(recipe, old, new):
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))


def test_an_unknown_key_is_refused_with_the_nearest(refused, recipe):
    rewrite(recipe, "rank: 4", "rnak: 4")
    assert refused() == "adapter.rnak = 4: expected no such key. Did you mean 'rank'?"


def test_a_target_that_matches_nothing_is_refused_with_what_there_is(refused, recipe):
    rewrite(recipe, "rank: 4", "targets: [q_prj]")
    said = refused()
    assert said.startswith(
        "adapter.targets = 'q_prj': expected a role or name that matches a linear layer of this base"
    )
    assert "Did you mean 'q_proj'" in said
    assert "Names here: down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj." in said


def test_rank_0_is_refused(refused, recipe):
    rewrite(recipe, "rank: 4", "rank: 0")
    assert refused().startswith("adapter.rank = 0: expected a value >= 1.")


def test_a_missing_recipe_is_refused_with_the_nearest(refused, recipe):
    assert refused("run", recipe.with_name("tiny.yml")).endswith("Did you mean 'tiny.yaml'?")


def test_a_missing_data_file_is_refused_with_the_nearest(refused, recipe):
    rewrite(recipe, "records.jsonl", "record.jsonl")
    said = refused()
    assert said.startswith("data.train = 'record.jsonl': expected a file that is there.")
    assert said.endswith("Did you mean 'records.jsonl'?")


def test_a_csv_without_the_needed_columns_is_refused(refused, recipe):
    recipe.with_name("records.csv").write_text("promt,completion\na,b\n")
    rewrite(recipe, "records.jsonl", "records.csv")
    said = refused()
    assert "records.csv line 2 = ['promt', 'completion']: expected the keys of a layout we know." in said
    assert "Did you mean 'prompt'?" in said


def test_a_base_that_is_not_there_is_refused(refused, recipe, tiny_folder):
    rewrite(recipe, f"base: {tiny_folder}", "base: nobody/nothing-here")
    assert "base 'nobody/nothing-here' is no folder here, is not in the Hugging Face cache" in refused()


def test_an_unknown_bundled_base_is_refused_with_what_there_is(refused, recipe, tiny_folder):
    rewrite(recipe, f"base: {tiny_folder}", "base: bundled:smollm")
    assert "There are: smollm2-135m-instruct." in refused()


def test_several_mistakes_are_reported_together(refused, recipe):
    rewrite(recipe, "rank: 4", "rank: 0, alhpa: 3")
    rewrite(recipe, "steps: 24", "stpes: 24, schedule: {kind: cosin}")
    rewrite(recipe, "records.jsonl", "nothing.jsonl")
    rewrite(recipe, "answers: 6", "answers: many")
    paths = [line.split(" = ")[0] for line in refused().splitlines()]
    assert paths == [
        "adapter.rank",
        "adapter.alhpa",
        "training.schedule.kind",
        "training.stpes",
        "evaluation.answers",
        "data.train",
    ]


def test_wrong_targets_and_wrong_records_are_reported_together(refused, recipe):
    rewrite(recipe, "rank: 4", "targets: [q_prj]")
    recipe.with_name("records.jsonl").write_text("[]\n")
    said = refused()
    assert "adapter.targets" in said
    assert "records.jsonl line 1" in said


def test_as_json_the_problems_are_data(capsys, recipe):
    rewrite(recipe, "rank: 4", "rank: 0")
    assert called(["run", str(recipe), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["kind"] == "SpecError"
    assert [problem["path"] for problem in told["problems"]] == ["adapter.rank"]


@pytest.mark.parametrize("setting", ["adapter.rank", "=3", "adapter..rank=3", "adapter.rank=[1"])
def test_a_setting_that_is_none_is_refused(setting, refused, recipe):
    assert refused("run", recipe, "--set", setting).startswith("--set")


@pytest.mark.parametrize("words", [["rnu"], ["run"], ["run", "--oot", "x"], ["show"], ["chat"]])
def test_wrong_words_are_refused(words, refused):
    assert refused(*words)


def test_an_adapter_of_another_base_is_refused(refused, run_copy, tmp_path):
    other = make_base(tmp_path / "other", seed=1)
    said = refused("chat", run_copy, "--base", other, "--prompt", "x")
    assert "was trained on another base" in said
    assert "they differ in weights." in said


def test_a_truncated_adapter_is_refused(refused, run_copy):
    tensors = run_copy / "adapter" / "adapter_model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    assert "adapter_model.safetensors is truncated:" in refused("chat", run_copy, "--prompt", "x")


def test_an_adapter_with_a_flipped_byte_is_refused(refused, run_copy):
    tensors = run_copy / "adapter" / "adapter_model.safetensors"
    whole = bytearray(tensors.read_bytes())
    whole[-7] ^= 1
    tensors.write_bytes(bytes(whole))
    assert "its digest is" in refused("chat", run_copy, "--prompt", "x")


def test_an_adapter_folder_with_a_pickle_is_refused(refused, run_copy):
    (run_copy / "adapter" / "adapter_model.bin").write_bytes(b"\x80\x04.")
    assert "adapter_model.bin: pickled files can run code and are never read." in refused("export", run_copy, "x")


def test_no_adapter_there_is_refused(refused, tmp_path):
    assert refused("chat", tmp_path / "nothing", "--prompt", "x") == f"no adapter folder at {tmp_path / 'nothing'}."


def test_an_output_that_is_there_is_never_overwritten(refused, run_copy):
    assert "is there already" in refused("export", run_copy, run_copy / "adapter")
    assert "is there already" in refused("merge", run_copy, run_copy / "adapter")


def test_a_loss_that_is_not_finite_stops_with_1_and_names_the_records(refused, recipe, tmp_path):
    words = ["--set", "training.learning_rate=0.09", "--set", "adapter.alpha=1e6", "--set", "dtype=float16"]
    said = refused("train", recipe, "--out", tmp_path / "out", *words, code=1)
    assert "must be finite" in said
    assert "records.jsonl line" in said


def test_a_folder_of_somebody_elses_files_is_refused_and_left_alone(refused, recipe, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("mine\n")
    before = recipe.read_text()
    assert "is no run's folder: it holds data and no run.json." in refused("run", recipe, "--out", tmp_path)
    assert (tmp_path / "data" / "train.jsonl").read_text() == "mine\n"
    assert recipe.read_text() == before


def test_answers_longer_than_the_context_are_refused_before_training(refused, recipe):
    rewrite(recipe, "max_new_tokens: 6", "max_new_tokens: 1000")
    assert refused().endswith("evaluation.max_new_tokens = 1000: expected less than the base's context of 512")


def test_a_step_on_record_that_was_edited_is_refused(refused, run_copy, finished):
    state = json.loads((run_copy / "run.json").read_text())
    state["steps"]["evaluate"]["summary"]["loss"]["change_frac"] = -0.99
    (run_copy / "run.json").write_text(json.dumps(state))
    words = ["run", finished[0] / "tiny.yaml", "--out", run_copy]
    assert called([str(word) for word in words]) == 2


def test_a_number_that_json_has_no_word_for_is_text_in_json(capsys, recipe):
    assert called(["run", str(recipe), "--json", "--set", "training.learning_rate=.nan"]) == 2
    json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_base_that_cannot_be_is_told_with_the_other_mistakes(refused, recipe, tiny_folder):
    rewrite(recipe, f"base: {tiny_folder}", "base: bundeld")
    rewrite(recipe, "steps: 24", "steps: 0")
    assert [line.split(" = ")[0] for line in refused().splitlines()] == ["training.steps", "base"]


def test_a_folder_in_use_is_refused(refused, recipe, tmp_path):
    from graftwork.pipeline.folder import RunFolder

    with RunFolder(tmp_path / "out"):
        assert "another process works in this run's folder" in refused()


def test_a_file_in_the_way_of_the_folder_is_refused(refused, recipe, tmp_path):
    (tmp_path / "file").write_text("")
    assert "a file is in the way" in refused("run", recipe, "--out", tmp_path / "file" / "out")


def test_a_folder_that_the_machine_cannot_make_ends_with_1(refused, recipe, tmp_path):
    assert "File name too long" in refused("run", recipe, "--out", tmp_path / ("x" * 300), code=1)
