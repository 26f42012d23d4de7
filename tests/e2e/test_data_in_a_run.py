"""What a recipe says of its data, seen in what a run leaves."""

import json
from collections import Counter

import pytest

from graftwork.core.errors import SpecError
from graftwork.pipeline.run import run


@pytest.fixture
def told(tmp_path, tiny_folder):
    """`told(data, files)`: the folder of a run over those files; the recipe's data section is JSON."""

    def begin(data, files, *, until="prepare", training=None, name="run"):
        for file, rows in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        asked = {
            "name": "told",
            "base": str(tiny_folder),
            "dtype": "float32",
            "data": data,
            "adapter": {"rank": 2},
            "training": {"steps": 4, "batch_size": 4, "seed": 1, **(training or {})},
            "evaluation": {"answers": 4, "max_new_tokens": 4},
        }
        (tmp_path / "told.yaml").write_text(json.dumps(asked))
        return run(tmp_path / "told.yaml", out=tmp_path / name, until=until)

    return begin


def pairs(num, mark="", **more):
    return [
        {"prompt": f"{mark} question {n} of {n * n}", "completion": f"{mark} reply {n}", **more} for n in range(num)
    ]


def written(result, side):
    lines = (result.folder / "data" / f"{side}.jsonl").read_text("utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def test_several_sources_of_several_layouts_train_one_adapter(told):
    chats = [
        {"messages": [{"role": "user", "content": f"你好 {n}"}, {"role": "assistant", "content": f"您好 {n}!"}]}
        for n in range(20)
    ]
    rows = [{"TEXT": f"complaint number {n * 37}", "label": "angry" if n % 2 else "calm"} for n in range(20)]
    sources = [
        {"path": "chats.jsonl", "weight": 2},
        {"path": "rows.jsonl", "fields": {"text": "TEXT"}},
        "pairs.jsonl",
    ]
    files = {"chats.jsonl": chats, "rows.jsonl": rows, "pairs.jsonl": pairs(20)}
    result = told({"train": sources, "evaluation": {"fraction": 0.2, "stratify": "source"}}, files, until="evaluate")
    report = result.steps["prepare"].summary
    assert {one["file"]: one["layout"] for one in report["sources"]} == {
        "chats.jsonl": "chat",
        "rows.jsonl": "classification",
        "pairs.jsonl": "prompt_completion",
    }
    held = Counter(one["origin"]["file"] for one in written(result, "evaluation"))
    assert held == {"chats.jsonl": 4, "rows.jsonl": 4, "pairs.jsonl": 4}
    assert result.steps["train"].summary["num_steps"] == 4
    assert result.evaluation["exact_answers"]["num_records"] == 4


def test_a_weight_says_how_long_an_epoch_is(told):
    files = {"one.jsonl": pairs(20, "one"), "two.jsonl": pairs(20, "two"), "held.jsonl": pairs(4, "held")}
    for weight, steps in ((1, 10), (2, 15), (0.5, 8)):
        data = {"train": ["one.jsonl", {"path": "two.jsonl", "weight": weight}], "evaluation": "held.jsonl"}
        result = told(data, files, until="train", training={"steps": None, "epochs": 1}, name=f"by-{weight}")
        assert result.steps["train"].summary["num_steps"] == steps


def test_what_has_one_group_stays_on_one_side(told):
    rows = [{**row, "customer": f"customer-{n // 5}"} for n, row in enumerate(pairs(60))]
    result = told(
        {"train": {"path": "rows.jsonl", "group": "customer"}, "evaluation": {"fraction": 0.3}}, {"rows.jsonl": rows}
    )
    sides = [{int(one["origin"]["line"] - 1) // 5 for one in written(result, side)} for side in ("train", "evaluation")]
    assert not sides[0] & sides[1]
    assert len(sides[1]) >= 3
    everything = b"".join(path.read_bytes() for path in result.folder.rglob("*") if path.is_file())
    assert b"customer-" not in everything


def test_plain_text_is_learned_whole_and_only_its_loss_is_measured(told):
    rows = [{"text": f"Paragraph {n}. " + " ".join(f"word{n * i}" for i in range(90))} for n in range(12)]
    data = {"train": "rows.jsonl", "max_tokens": 200, "evaluation": {"fraction": 0.3}}
    result = told(data, {"rows.jsonl": rows}, until="evaluate")
    train = result.steps["prepare"].summary["train"]
    assert train["num_rows"] > train["num_records"]
    assert "exact_answers" not in result.evaluation
    assert result.evaluation["passed_over"] == {
        "it asks nothing": result.steps["prepare"].summary["evaluation"]["num_records"]
    }


def test_a_training_record_that_is_held_out_too_is_kept_back_from_training(told):
    files = {"train.jsonl": pairs(12, "a"), "held.jsonl": pairs(3, "a")}
    result = told({"train": "train.jsonl", "evaluation": "held.jsonl"}, files)
    assert len(written(result, "evaluation")) == 3
    quarantine = (result.folder / "data" / "quarantine.jsonl").read_text().strip().split("\n")
    assert sorted((json.loads(q)["file"], json.loads(q)["line"], json.loads(q)["reason"]) for q in quarantine) == [
        ("train.jsonl", line, "leakage") for line in (1, 2, 3)
    ]


@pytest.mark.parametrize("learn", ["answers", "last", "all", "marked"])
def test_what_is_learned_is_what_the_recipe_says(learn, told):
    def chat(n):
        turns = [("user", f"one {n}"), ("assistant", f"first {n}"), ("user", f"two {n}"), ("assistant", f"second {n}")]
        messages = [{"role": role, "content": content} for role, content in turns]
        if learn == "marked":
            messages[1]["weight"], messages[3]["weight"] = 1, 0
        return {"messages": messages}

    result = told({"train": "rows.jsonl", "learn": learn}, {"rows.jsonl": [chat(n) for n in range(10, 30)]})
    train = result.steps["prepare"].summary["train"]
    num, tokens = train["num_records"], train["num_tokens"]
    each = {
        "answers": len("first 10") + 1 + len("second 10") + 1,
        "last": len("second 10") + 1,
        "marked": len("first 10") + 1,
    }
    assert train["num_targets"] == (tokens - num if learn == "all" else num * each[learn])


def test_marks_that_the_recipe_does_not_ask_for_are_no_secret(told):
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}]
    with pytest.raises(SpecError, match=r"data\.learn: marked"):
        told({"train": "rows.jsonl"}, {"rows.jsonl": [{"messages": messages}] * 4})


def test_packing_changes_nothing_but_the_rows(told):
    files = {"rows.jsonl": pairs(30)}
    apart = told({"train": "rows.jsonl"}, files, until="evaluate", name="apart")
    packed = told(
        {"train": "rows.jsonl"}, files, until="evaluate", training={"packing": {"row_tokens": 120}}, name="packed"
    )
    losses = [one.evaluation["loss"]["adapter"]["mean"] for one in (apart, packed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] < apart.evaluation["loss"]["base"]["mean"]


def test_a_changed_weight_trains_again_and_does_not_prepare_again(told):
    files = {"one.jsonl": pairs(12, "one"), "two.jsonl": pairs(12, "two")}
    first = told({"train": ["one.jsonl", "two.jsonl"]}, files, until="train")
    again = told({"train": ["one.jsonl", {"path": "two.jsonl", "weight": 3}]}, files, until="train")
    assert again.steps["prepare"] == first.steps["prepare"]
    assert again.steps["train"].summary["adapter_digest"] != first.steps["train"].summary["adapter_digest"]


def test_records_made_from_one_template_are_split_all_the_same(told):
    text = (
        "Please tell me, as exactly as you can, what the balance of the account with the number {} was this morning. "
    )
    text += (
        "I need it for the yearly statement that my accountant, who is a patient man, has asked me for since autumn."
    )
    rows = [{"prompt": text.format(n * 7919), "completion": f"{text.format(n)} It was {n}."} for n in range(80)]
    result = told({"train": "rows.jsonl", "evaluation": {"fraction": 0.25}}, {"rows.jsonl": rows})
    report = result.steps["prepare"].summary
    assert report["split"]["num_from_templates"] > 60
    assert report["split"]["num_groups"] > 60
    assert report["evaluation"]["num_records"] == 20


def test_near_duplicates_stay_on_one_side(told):
    text = "Where can I find the form with which one asks for a refund of a {} that was never delivered to me?"
    rows = [
        {"prompt": f"{text.format(thing)}{end}", "completion": f"On the page of refunds, under {thing}."}
        for thing in ("sofa", "kettle", "bicycle", "mirror", "blanket", "heater", "printer", "violin")
        for end in ("", " Thanks!", " Please.")
    ]
    quality = {"near_duplicates": {"keep": "all"}, "contradictions": "off"}
    result = told({"train": "rows.jsonl", "quality": quality, "evaluation": {"fraction": 0.4}}, {"rows.jsonl": rows})
    sides = [{(one["origin"]["line"] - 1) // 3 for one in written(result, side)} for side in ("train", "evaluation")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(range(8))
