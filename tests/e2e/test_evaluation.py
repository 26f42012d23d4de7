"""Evaluation by dimensions on a tiny base: in a run, of several adapters at once, beside full tuning; resumable."""

import json
import shutil

import pytest

from graftwork.cli.main import called
from graftwork.core.errors import Interrupted, SpecError, WorkError
from graftwork.data.store import TokenStore
from graftwork.evaluation.certificate.document import checked
from graftwork.evaluation.result import read
from graftwork.pipeline.evaluation.baseline import choosing
from graftwork.pipeline.evaluation.cold_start import seconds_of
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet

LOOK = ["evaluation.dimensions=[accuracy]", "training.steps=4", "evaluation.batch_tokens=2000"]


class StopIn(Quiet):
    """Asks to stop when so many replies are there."""

    def __init__(self, replies):
        self.replies, self.there = replies, 0

    def evaluating(self, label, done, total):
        self.there = done if label == "questions" else 0

    def should_stop(self):
        return self.there >= self.replies


@pytest.fixture(scope="module")
def looked(tmp_path_factory, finished):
    """The folder of recipe and run, evaluated by dimensions; not to be written to."""
    folder = tmp_path_factory.mktemp("looked")
    for name in ("tiny.yaml", "records.jsonl"):
        shutil.copy(finished[0] / name, folder / name)
    run(folder / "tiny.yaml", out=folder / "run", settings=LOOK)
    return folder


@pytest.fixture
def looked_copy(looked, tmp_path):
    """A copy of it that a test may spoil."""
    return shutil.copytree(looked, tmp_path / "copy")


def result_of(folder):
    return read(json.loads((folder / "evaluation.json").read_text("utf-8"))["result"])


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "evaluation").iterdir()}


def refused(folder, *more):
    with pytest.raises(SpecError) as raised:
        read_request(folder / "tiny.yaml", more)
    return str(raised.value)


def test_every_number_has_base_and_adapter_and_what_it_cost_stands_beside_it(looked):
    result = result_of(looked / "run")
    assert [subject.kind for subject in result.subjects] == ["base", "adapter"]
    assert {one.name for one in result.dimensions} == {"accuracy", "forgetting"}
    for dimension in result.dimensions:
        bits = dimension.metric("bits_per_byte")
        assert {value.subject for value in bits.values} == {"base", "adapter"}
        assert bits.between("adapter", "base").num_items == dimension.num_items
    assert result.dimension("forgetting").num_items == 100
    assert result.dimension("accuracy").metric("bits_per_byte").between("adapter", "base").difference < 0


def test_subjects_that_were_evaluated_alike_get_a_certificate(looked):
    checked(json.loads((looked / "run" / "certificate.json").read_text()), result_of(looked / "run"))


def test_what_was_trained_on_and_asked_gets_none(looked_copy):
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in ("ab", "cd", "ef") for n in range(3)]
    (looked_copy / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = ["data.evaluation=held.jsonl", "data.quality={leakage: off}"]
    run(looked_copy / "tiny.yaml", out=looked_copy / "run", settings=[*LOOK, *own])
    told = json.loads((looked_copy / "run" / "certificate.json").read_text())
    assert any("items that were not trained on" in reason for reason in told["refused"])


def test_every_item_of_every_subject_is_on_record_with_its_scores(looked):
    text = (looked / "run" / "evaluation" / "accuracy.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    value = result_of(looked / "run").dimension("accuracy").metric("bits_per_byte").of("adapter").measured
    own = [row["scores"]["bits_per_byte"] for row in rows if row["subject"] == "adapter"]
    assert sum(one[0] for one in own) / sum(one[1] for one in own) == pytest.approx(value.value)
    assert len(own) == value.num_items


@pytest.mark.parametrize("replies", [1, 60, 215])
def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_files(looked, tmp_path, replies):
    copy = shutil.copytree(looked, tmp_path / "copy")
    shutil.rmtree(copy / "run" / "evaluation")
    with pytest.raises(Interrupted):
        run(copy / "tiny.yaml", out=copy / "run", settings=LOOK, watch=StopIn(replies))
    log = copy / "run" / "evaluation" / "replies.jsonl"
    log.write_bytes(log.read_bytes()[:-7])
    run(copy / "tiny.yaml", out=copy / "run", settings=LOOK)
    assert files(copy / "run") == files(looked / "run")
    assert result_of(copy / "run") == result_of(looked / "run")


def test_an_evaluation_that_is_done_is_not_done_again_and_a_spoiled_file_is_made_again(looked_copy, capsys):
    before, rows = files(looked_copy / "run"), looked_copy / "run" / "evaluation" / "accuracy.jsonl"
    words = ["run", str(looked_copy / "tiny.yaml"), "--out", str(looked_copy / "run")]
    words += [word for setting in LOOK for word in ("--set", setting)]
    assert called(words) == 0
    assert "evaluate: done already" in capsys.readouterr().err
    rows.write_text("")
    assert called(words) == 0
    assert files(looked_copy / "run") == before


def test_adapters_are_evaluated_together_as_alone(looked, finished, tmp_path):
    both = [looked / "run", finished[0] / "run"]
    for name, paths in (("both", both), ("one", both[:1])):
        data = ["--data", str(looked / "records.jsonl"), "--out", str(tmp_path / name)]
        assert called(["evaluate", *map(str, paths), *data, "--set", "general=off"]) == 0
    together, alone = result_of(tmp_path / "both"), result_of(tmp_path / "one")
    names = [subject.name for subject in together.subjects]
    assert len(names) == 3
    assert names[0] == "base"
    of_first = names[1]
    for metric in alone.dimension("accuracy").metrics:
        value = together.dimension("accuracy").metric(metric.name).of(of_first)
        assert value.measured.value == pytest.approx(metric.values[1].measured.value, rel=1e-5)
    assert any("was trained on" in note for note in together.notes)


def test_what_cannot_be_evaluated_together_is_refused_in_words(looked_copy, finished, tmp_path, capsys):
    held_out = looked_copy / "run" / "data" / "evaluation.jsonl"
    held_out.write_bytes(b"\n".join(held_out.read_bytes().splitlines()[:-1]) + b"\n")
    words = ["evaluate", str(looked_copy / "run"), str(finished[0] / "run"), "--out", str(tmp_path / "out")]
    assert called(words) == 2
    assert "records to ask: these runs set different ones aside" in capsys.readouterr().err
    assert called(["evaluate", str(tmp_path / "nothing")]) == 2
    assert called([*words, "--dimensions", "acuracy"]) == 2
    assert "Did you mean 'accuracy'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluated_runs_are_compared_item_by_item(looked, tmp_path, capsys):
    run(looked / "tiny.yaml", out=tmp_path / "longer", settings=[*LOOK, "training.steps=8"])
    assert called(["compare", str(looked / "run"), str(tmp_path / "longer"), "--json"]) == 0
    result = read(json.loads(capsys.readouterr().out))
    bits = result.dimension("accuracy").metric("bits_per_byte")
    own = [
        result_of(folder).dimension("accuracy").metric("bits_per_byte")
        for folder in (looked / "run", tmp_path / "longer")
    ]
    change = own[1].of("adapter").measured.value - own[0].of("adapter").measured.value
    assert bits.between("longer", "run").difference == pytest.approx(change)
    assert bits.between("longer", "base").difference == pytest.approx(own[1].between("adapter", "base").difference)


def test_only_what_the_evaluation_wrote_is_compared(looked, looked_copy, finished, capsys):
    rows = looked_copy / "run" / "evaluation" / "accuracy.jsonl"
    rows.write_text(rows.read_text("utf-8").replace('"exact": [0.0', '"exact": [1.0'), "utf-8")
    assert called(["compare", str(looked / "run"), str(looked_copy / "run")]) == 2
    assert "is not as the evaluation wrote it" in capsys.readouterr().err
    assert called(["compare", str(looked / "run"), str(finished[0] / "run")]) == 2
    assert "was evaluated without dimensions" in capsys.readouterr().err


def test_general_records_of_ones_own_are_asked_beside(looked_copy):
    rows = [{"prompt": f"what is {n} and one?", "completion": str(n + 1)} for n in range(6)]
    general = looked_copy / "general.jsonl"
    general.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n")
    own = [*LOOK, "evaluation.general={path: general.jsonl}"]
    run(looked_copy / "tiny.yaml", out=looked_copy / "run", settings=own)
    result = result_of(looked_copy / "run")
    assert result.dimension("forgetting").num_items == 6
    assert result.dimension("forgetting").metric("exact").of("base").measured.num_items == 6
    assert any("1 rows could not be read" in note for note in result.notes)
    general.write_text("".join(json.dumps(row) + "\n" for row in rows[:4]))
    run(looked_copy / "tiny.yaml", out=looked_copy / "run", settings=own)
    assert result_of(looked_copy / "run").dimension("forgetting").num_items == 4


def test_full_tuning_stands_beside_the_adapter_at_its_best_rate(looked_copy, capsys):
    rates = "evaluation.baseline={rates: [1e-5, 1e-2, 1e-3]}"
    words = ["run", str(looked_copy / "tiny.yaml"), "--out", str(looked_copy / "run"), "--json"]
    words += [word for setting in [*LOOK, rates] for word in ("--set", setting)]
    assert called(words) == 0
    told = json.loads(capsys.readouterr().out)["steps"]["baseline"]
    best = min(told["tried"], key=lambda one: one["loss_nats"])
    assert told["rate"] == best["rate"]
    assert len(told["tried"]) == 3
    result = result_of(looked_copy / "run")
    assert [subject.kind for subject in result.subjects] == ["base", "adapter", "full"]
    checked(json.loads((looked_copy / "run" / "certificate.json").read_text()), result)
    bits = result.dimension("accuracy").metric("bits_per_byte")
    assert bits.between("full", "base").difference < 0
    assert bits.between("adapter", "full").num_items == result.dimension("accuracy").num_items
    assert sorted(path.name for path in (looked_copy / "run" / "baseline-rates").glob("rate-*")) == []
    assert called(words) == 0
    assert "baseline: done already" in capsys.readouterr().err


def test_rates_are_chosen_by_training_records_that_no_candidate_saw(looked):
    prepared = json.loads((looked / "run" / "run.json").read_text())["steps"]["prepare"]["summary"]
    store = TokenStore(looked / "run" / "data" / "train", prepared["train"]["files"])
    chosen = choosing(store)
    assert len(chosen) == max(2, round(0.1 * len(store)))
    assert chosen == choosing(store)


def test_what_needs_dimensions_or_an_adapter_is_refused_without(looked, tmp_path):
    assert "expected nothing without dimensions" in refused(looked, "evaluation.baseline=full")
    recipe = (looked / "tiny.yaml").read_text().replace("{rank: 4, dropout: 0.1}", "{method: full}")
    (tmp_path / "tiny.yaml").write_text(recipe.replace("records.jsonl", str(looked / "records.jsonl")))
    asked = ["evaluation.dimensions=[accuracy]", "evaluation.baseline=full"]
    assert "none with adapter.method: full" in refused(tmp_path, *asked)
    twice = refused(looked, "evaluation.dimensions=[accuracy, {kind: accuracy}]")
    assert "each dimension once" in twice
    margin = refused(looked, "evaluation.dimensions=[accuracy]", "evaluation.margins={accuracy.exakt: 0.1}")
    assert "Did you mean 'accuracy.exact'?" in margin


def test_efficiency_is_measured_in_turns(looked_copy):
    asked = (
        "evaluation.dimensions=[{kind: efficiency, repetitions: 3, prompt_tokens: 8, answer_tokens: 4, cold_starts: 1}]"
    )
    run(looked_copy / "tiny.yaml", out=looked_copy / "run", settings=[*LOOK, asked, "evaluation.general=off"])
    told = result_of(looked_copy / "run").dimension("efficiency")
    assert {metric.name for metric in told.metrics} >= {"prefill_s", "decode_s", "tokens_per_s", "load_s", "bytes"}
    decode = told.metric("decode_s").of("adapter").measured
    assert decode.num_groups == 3
    assert 0 < decode.low <= decode.value <= decode.high
    assert told.metric("bytes").of("adapter").measured.value > 0
    for name in ("base", "adapter"):  # a process that loads torch and a base takes longer than an answer
        assert (
            told.metric("cold_start_s").of(name).measured.value > 10 * told.metric("prefill_s").of(name).measured.value
        )


def test_a_process_that_cannot_answer_is_told_in_its_own_words(tmp_path):
    start = {"base": str(tmp_path), "dtype": "float32", "device": "cpu", "quantised": "off", "adapter": None}
    with pytest.raises(WorkError, match=r"(?s)a process that was to answer ended with 1: .*config\.json"):
        seconds_of({**start, "prompt_tokens": 4})
