"""The certificate of finished adapters and tuned models: one for all that were trained alike, else refused by name."""

import json
import shutil

import pytest

from graftwork.cli.main import called
from graftwork.core.errors import Interrupted
from graftwork.core.spec import parse
from graftwork.evaluation.certificate.document import checked
from graftwork.evaluation.result import read
from graftwork.evaluation.spec import EvaluationSpec
from graftwork.pipeline.evaluation.several import Asked
from graftwork.pipeline.evaluation.several import evaluated as asked_of_all
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet

RECIPES = {
    "regulated": ["preset=regulated", "training.steps=4", "training.spectral_cap=2.0"],
    "no-regret": ["training.steps=3", "training.batch_size=6"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, finished):
    """Runs of three recipes on the same data, beside it; not to be written to."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(finished[0] / "records.jsonl", folder)
    recipe = (finished[0] / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(recipe)
    (folder / "full.yaml").write_text(recipe.replace("{rank: 4, dropout: 0.1}", "{method: full}"))
    for name, settings in RECIPES.items():
        run(folder / "tiny.yaml", out=folder / name, settings=settings, until="train")
    run(folder / "full.yaml", out=folder / "full", settings=["training.steps=4"], until="train")
    return folder


@pytest.fixture
def own(runs, tmp_path):
    """A copy of them that a test may spoil."""
    return shutil.copytree(runs, tmp_path / "own")


def evaluated(out, *paths, more=(), code=0):
    """What the evaluation of `paths` left."""
    words = ["evaluate", *map(str, paths), "--out", str(out), "--set", "general=off", *more]
    assert called(words) == code
    result = read(json.loads((out / "evaluation.json").read_text())["result"])
    return result, json.loads((out / "certificate.json").read_text())


def reasons(out, *paths, more=()):
    return "\n".join(evaluated(out, *paths, more=more)[1]["refused"])


def test_one_certificate_compares_base_two_recipes_and_full_tuning(runs, tmp_path, capsys):
    paths = [runs / name for name in ("regulated", "no-regret", "full")]
    result, document = evaluated(tmp_path / "out", *paths)
    checked(document, result)
    assert f"Certificate {document['digest'][:16]}: all were evaluated" in capsys.readouterr().out
    told = {one["subject"]: one for one in document["subjects"]}
    assert list(told) == ["base", "regulated", "no-regret", "full"]
    trained = [told[name] for name in RECIPES] + [told["full"]]
    assert len({one["trained_on"] for one in trained} - {""}) == 1
    assert [one["order_seed"] for one in trained] == [3, 3, 3]
    assert told["regulated"]["training"]["privacy.mode"] == "mask"
    assert (told["base"]["trained_on"], told["base"]["order_seed"]) == ("", None)
    pairs = {(one["subject"], one["reference"]) for one in document["verdicts"]}
    assert pairs == {
        *((name, "base") for name in (*RECIPES, "full")), ("regulated", "full"), ("no-regret", "full"),
        ("no-regret", "regulated"),
    }  # fmt: skip
    assert {one.name: one.digest for one in result.subjects} == {name: one["weights"] for name, one in told.items()}


def test_the_report_and_the_terminal_and_json_say_that_there_is_one_or_why_not(runs, own, tmp_path, capsys):
    folder = tmp_path / "out"
    words = ["evaluate", str(runs / "regulated"), str(own / "full"), "--out", str(folder), "--json"]
    assert called([*words, "--set", "general=off"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["certificate"] == json.loads((folder / "certificate.json").read_text())
    assert told["certificate"]["digest"] in (folder / "report.html").read_text("utf-8")
    run(own / "full.yaml", out=own / "full", settings=["training.steps=4", "training.seed=4"], until="train")
    data = ["--data", str(own / "records.jsonl"), "--set", "general=off"]
    assert called([*words[:-1], *data]) == 0
    out = capsys.readouterr().out
    assert "No certificate that all were evaluated on equal terms:" in out
    assert "full.order_seed = 4: expected 3, as regulated has it." in out
    assert "full.order_seed" in (folder / "report.html").read_text("utf-8")


def test_a_finished_evaluation_is_not_done_again_and_has_its_certificate(runs, tmp_path, capsys):
    before = evaluated(tmp_path / "out", runs / "regulated")
    capsys.readouterr()
    assert evaluated(tmp_path / "out", runs / "regulated") == before
    assert "evaluate: done already" in capsys.readouterr().err


class StopAtOnce(Quiet):
    """Asks to stop as soon as the first replies are there."""

    there = 0

    def evaluating(self, label, done, total):
        self.there = done

    def should_stop(self):
        return self.there > 0


def test_an_interrupted_evaluation_goes_on_with_the_same_command(runs, tmp_path):
    words = {"general": "off", "dimensions": ["accuracy"], "batch_tokens": 200}
    asked = Asked(paths=[runs / "regulated"], spec=parse(EvaluationSpec, words), out=tmp_path / "out")
    with pytest.raises(Interrupted, match="The same command goes on"):
        asked_of_all(asked, device="cpu", watch=StopAtOnce())
    kept = (tmp_path / "out" / "evaluation" / "replies.jsonl").read_bytes()
    told = asked_of_all(asked, device="cpu", watch=Quiet())
    assert (tmp_path / "out" / "evaluation" / "replies.jsonl").read_bytes().startswith(kept)
    checked(told.certificate, told.result)


def test_other_data_and_another_order_are_refused_by_name_with_what_the_recipes_have(own, tmp_path):
    rows = (own / "records.jsonl").read_text().replace("say ab 3", "say ab to jo@example.com")
    (own / "records.jsonl").write_text(rows)
    for name, settings in RECIPES.items():
        run(own / "tiny.yaml", out=own / f"{name}-2", settings=[*settings, "training.seed=5"], until="train")
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"prompt": f"tell {n}", "completion": "gh"}) + "\n" for n in range(6)))
    more = ["--data", str(asked)]
    said = reasons(tmp_path / "one", own / "regulated-2", own / "no-regret-2", more=more)
    assert "no-regret-2.trained_on = " in said
    assert "Train both with the training data alike. Their recipes have:" in said
    assert "privacy.mode not set and 'mask'" in said
    assert "order_seed" not in said
    said = reasons(tmp_path / "two", own / "regulated", own / "regulated-2", more=more)
    assert "regulated-2.order_seed = 5: expected 3, as regulated has it." in said


def test_an_adapter_alone_is_known_by_its_card_and_its_items_by_a_run_of_the_same_rows(runs, tmp_path):
    alone = shutil.copytree(runs / "no-regret" / "adapter", tmp_path / "alone")
    result, document = evaluated(tmp_path / "both", runs / "regulated", alone, more=held_out(runs))
    checked(document, result)
    said = reasons(tmp_path / "one", alone, more=held_out(runs))
    assert said == (
        "alone.records = None: expected its training records, to see that no item is among them. "
        "Give the folder of its run with the data in it."
    )


def test_one_that_nobody_knows_is_refused_by_name_with_what_to_do(runs, tmp_path):
    alone = shutil.copytree(runs / "no-regret" / "adapter", tmp_path / "alone")
    (alone / "graftwork.json").unlink()
    base = json.loads((runs / "regulated" / "adapter" / "graftwork.json").read_text())["base"]["ref"]
    more = [*held_out(runs), "--base", base]
    said = reasons(tmp_path / "out", runs / "regulated", alone, more=more).splitlines()
    assert said[0] == (
        "alone.trained_on = None: expected a record of the training data. "
        "Give the folder of its run, which has the record; of one made elsewhere there is none."
    )
    assert [line.split(" = ")[0] for line in said] == ["alone.trained_on", "alone.order_seed", "alone.records"]


def held_out(runs):
    rows = [json.loads(line) for line in (runs / "regulated" / "data" / "evaluation.jsonl").read_text().splitlines()]
    file = runs / "held.jsonl"
    file.write_text("".join(json.dumps({"messages": row["messages"]}) + "\n" for row in rows))
    return ["--data", str(file)]


def test_items_that_anybody_was_trained_on_are_refused(runs, tmp_path):
    said = reasons(tmp_path / "out", runs / "regulated", runs / "full", more=["--data", str(runs / "records.jsonl")])
    assert "accuracy.items = " in said
    assert "expected items that were not trained on" in said


def test_nothing_asked_is_no_certificate(runs, tmp_path):
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"prompt": "tell me", "completion": "gh"}) + "\n")
    said = reasons(tmp_path / "out", runs / "regulated", more=["--data", str(asked)])
    assert said == "accuracy = 0: expected one item or more, and a number"


@pytest.mark.parametrize(
    ("relative", "said"),
    [
        ("adapter/graftwork.json", "is not the card that its run left"),
        ("data/train.jsonl", "is not as the run left it"),
        ("data/train.index.npy", "is not as the run left it"),
        ("run.json", "is not as it was written"),
    ],
)
def test_a_record_that_was_changed_by_hand_is_refused(own, tmp_path, capsys, relative, said):
    file = own / "no-regret" / relative
    whole = file.read_bytes()
    changed = whole.replace(b'"seed": 3', b'"seed": 4') if b'"seed": 3' in whole else whole[:-1]
    file.write_bytes(changed.replace(b'"num_records": ', b'"num_records": 1'))
    assert called(["evaluate", str(own / "no-regret"), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_a_manifest_or_certificate_that_was_changed_by_hand_is_seen(runs, tmp_path, capsys):
    out = tmp_path / "out"
    evaluated(out, runs / "regulated")
    document = json.loads((out / "certificate.json").read_text())
    document["subjects"][1]["order_seed"] = 4
    (out / "certificate.json").write_text(json.dumps(document))
    assert called(["report", str(out)]) == 0
    assert "The manifest of regulated is not as it was written" in (out / "report.html").read_text("utf-8")
    _, again = evaluated(out, runs / "regulated")
    assert again["subjects"][1]["order_seed"] == 3


def test_items_of_an_earlier_stage_are_refused_too(own, tmp_path):
    rows = [{"prompt": f"count {n}", "completion": "gh"} for n in range(12)]
    (own / "first.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stages = "stages=[{name: one, data: {train: first.jsonl}}, {name: two}]"
    run(own / "tiny.yaml", out=own / "staged", settings=[*RECIPES["no-regret"], stages], until="train")
    said = reasons(tmp_path / "out", own / "staged", more=["--data", str(own / "first.jsonl")])
    assert "accuracy.items = " in said
    said = reasons(tmp_path / "both", own / "no-regret", own / "staged")
    assert "staged.trained_on" in said
    alone = shutil.copytree(own / "staged" / "adapter", tmp_path / "alone")
    _, document = evaluated(tmp_path / "three", own / "staged", alone, more=held_out(own))
    assert len({one["trained_on"] for one in document["subjects"][1:]}) == 1


def test_adapters_below_are_part_of_what_one_was_trained_on(own, tmp_path):
    on = [*RECIPES["no-regret"], f"on={own / 'no-regret'}", "evaluation.dimensions=[accuracy]"]
    run(own / "tiny.yaml", out=own / "upper", settings=on)
    upper = json.loads((own / "upper" / "certificate.json").read_text())
    told = {one["subject"]: one for one in upper["subjects"]}
    assert told["adapter"]["training"]["trainings"] == 2
    said = reasons(tmp_path / "out", own / "no-regret", own / "upper")
    assert "upper.trained_on" in said
    assert "trainings 2 and not set" in said


def test_what_an_adapter_takes_is_what_is_needed_to_load_it(own, tmp_path):
    asked = [
        "--dimensions",
        "efficiency",
        "--set",
        "dimensions=[{kind: efficiency, repetitions: 3, prompt_tokens: 8, answer_tokens: 4, cold_starts: 0}]",
    ]
    (own / "no-regret" / "adapter" / "README.md").write_text("A card for people. " * 100)
    result, _ = evaluated(tmp_path / "out", own / "no-regret", own / "full", more=asked)
    size = result.dimension("efficiency").metric("bytes")
    for name, folder, files in (
        ("no-regret", "adapter", ("adapter_config.json", "adapter_model.safetensors")),
        ("full", "model", ("config.json", "model.safetensors")),
    ):
        expected = sum((own / name / folder / file).stat().st_size for file in files)
        assert size.of(name).measured.value == expected
