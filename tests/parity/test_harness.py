"""lm-evaluation-harness asks our model and its own, on the same local tasks; without its package this is skipped."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.base.load import load_base
from graftwork.core.errors import NotFoundError, SpecError
from graftwork.pipeline.harness.evaluate import Tasks, evaluated, harness
from graftwork.pipeline.sides import Side, Sides

CHOICE = """\
task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list: [{{metric: acc}}]
"""
TEXT = """\
task: tiny_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
"""
FREE = """\
task: tiny_free
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {kwargs}
metric_list: [{{metric: exact_match}}]
"""
GREEDY = "{until: ['e'], max_gen_toks: 8, do_sample: false}"


@pytest.fixture
def lm_eval():
    return pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: graftwork[lm-eval]")


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A folder of local tasks; nothing is fetched."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    words = ["red", "green", "blue", "grey", "a longer colour", "ochre"]
    rows = [
        {
            "question": f"Q{n}: which is {words[n % 6]}?",
            "choices": [f" {words[(n + k) % 6]}" for k in range(4)],
            "gold": n % 4,
            "text": f"{words[n % 6]} and " * n,
            "answer": words[n % 6],
        }
        for n in range(1, 13)
    ]
    rows[0]["text"] *= 80  # longer than the context of 512: windows
    rows[1]["question"] = "a word, " * 70 + rows[1]["question"]  # cut on the left
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, text in (("choice", CHOICE), ("text", TEXT), ("free", FREE)):
        (folder / f"{name}.yaml").write_text(text.format(rows=tmp_path / "rows.json", kwargs=GREEDY))
    return folder


@pytest.fixture
def bank(llama_folder):
    return AdapterBank(load_base(str(llama_folder), dtype="float32"))


def theirs(folder, tasks, names):
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=4)
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return simple_evaluate(model=model, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=True)


def replies(told, task):
    return [sample["filtered_resps"] for sample in told["samples"][task]]


@pytest.mark.filterwarnings("ignore")
def test_our_base_says_what_the_harness_model_says(lm_eval, tasks, bank, llama_folder):
    names = ["tiny_choice", "tiny_text", "tiny_free"]
    expected = theirs(llama_folder, tasks, names)
    told = evaluated(Side(bank=bank), Tasks(names=tuple(names), folder=tasks), 4)
    for task, metric in (
        ("tiny_choice", "acc,none"),
        ("tiny_text", "bits_per_byte,none"),
        ("tiny_free", "exact_match,none"),
    ):
        assert told["results"][task][metric] == pytest.approx(expected["results"][task][metric], abs=1e-4)
    ours, own = replies(told, "tiny_choice"), replies(expected, "tiny_choice")
    assert len(ours) == 12
    for mine, other in zip(ours, own, strict=True):
        assert [float(nats) for nats, _ in mine] == pytest.approx([float(nats) for nats, _ in other], abs=1e-3)
        assert [greedy for _, greedy in mine] == [greedy for _, greedy in other]
    texts = [float(one[0]) for one in replies(told, "tiny_text")]
    assert texts == pytest.approx([float(one[0]) for one in replies(expected, "tiny_text")], rel=1e-5)
    assert replies(told, "tiny_free") == replies(expected, "tiny_free")


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_is_asked_by_its_own_route_and_says_what_peft_merged_says(lm_eval, tasks, bank, lively, tmp_path):
    side = Side(bank=bank, row=(lively(bank, seed=1),))
    asked = Tasks(names=("tiny_choice",), folder=tasks)
    write_adapter(tmp_path / "adapter", bank[side.row[0]], bank.base, {})
    model = AutoModelForCausalLM.from_pretrained(bank.base.folder, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(tmp_path / "adapter")).merge_and_unload().save_pretrained(tmp_path / "merged")
    bank.base.chat.tokenizer.save_pretrained(tmp_path / "merged")
    merged = theirs(tmp_path / "merged", tasks, ["tiny_choice"])
    told = harness(Sides(base=Side(bank=bank), trained=side), asked, batch_size=5)
    (task,) = told["tasks"]
    (metric,) = [one for one in task["metrics"] if one["metric"] == "acc,none"]
    assert metric["adapter"] == pytest.approx(merged["results"]["tiny_choice"]["acc,none"])
    assert metric["difference"]["mean"] == pytest.approx(metric["adapter"] - metric["base"])
    ours, base = (replies(evaluated(one, asked, 5), "tiny_choice") for one in (side, Side(bank=bank)))
    for mine, other in zip(ours, replies(merged, "tiny_choice"), strict=True):
        assert [float(nats) for nats, _ in mine] == pytest.approx([float(nats) for nats, _ in other], abs=1e-3)
    assert ours != base


@pytest.mark.filterwarnings("ignore")
def test_an_unknown_task_is_refused_with_the_nearest_name(lm_eval, tasks, bank):
    side = Side(bank=bank)
    with pytest.raises(SpecError, match="Did you mean 'tiny_choice'"):
        harness(Sides(base=side, trained=side), Tasks(names=("tiny_choise",), folder=tasks), batch_size=4)


@pytest.mark.filterwarnings("ignore")
def test_answers_drawn_at_random_are_refused(lm_eval, tasks, bank):
    text = (tasks / "free.yaml").read_text().replace("do_sample: false", "do_sample: true, temperature: 0.7")
    (tasks / "free.yaml").write_text(text)
    side = Side(bank=bank)
    with pytest.raises(SpecError, match="greedy answers"):
        harness(Sides(base=side, trained=side), Tasks(names=("tiny_free",), folder=tasks), batch_size=4)


def test_without_the_package_the_way_to_install_it_is_said(monkeypatch, bank):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    side = Side(bank=bank)
    with pytest.raises(NotFoundError, match=r"pip install 'graftwork\[lm-eval\]'"):
        harness(Sides(base=side, trained=side), Tasks(names=("any",)), batch_size=4)
