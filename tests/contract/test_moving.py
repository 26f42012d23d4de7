"""`export` in both forms and `blend`, from the command line: what is written, and what is refused in words."""

import json

import gguf
import pytest
import torch
from tests.support.methods import lively, request

from graftwork.adapters.arithmetic import updates_of
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, read_card, write_adapter
from graftwork.base.load import load_base
from graftwork.cli.main import called


@pytest.fixture(scope="module")
def base(llama_folder):
    return load_base(str(llama_folder), dtype="float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, base):
    """`saved(name, method, seed)`: the folder of an adapter. Not to be written to."""
    root = tmp_path_factory.mktemp("saved")

    def get(name, method="lora", seed=1, **asked):
        if not (root / name).exists():
            bank = AdapterBank(base)
            write_adapter(root / name, bank[lively(bank, request(method, **asked), seed)], base, {})
        return root / name

    return get


@pytest.fixture
def run(capsys):
    """Run a command line; its exit code, what it printed as data, and what it refused."""

    def go(*words):
        code = called([*map(str, words), "--json"])
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return code, said.out, said.err

    return go


def dense(adapter):
    return {name: one.up_OR @ one.down_RI for name, one in updates_of(adapter).items()}


def test_an_adapter_is_exported_as_one_gguf_file(run, saved, base, tmp_path):
    code, told, _ = run("export", saved("a"), tmp_path / "new" / "a.gguf", "--format", "gguf")
    assert code == 0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.gguf"]
    reader = gguf.GGUFReader(tmp_path / "new" / "a.gguf")
    assert json.loads(told)["tensors"] == len(reader.tensors) == 2 * len(read_adapter(saved("a"), base).adapter.placed)
    assert json.loads(told)["architecture"] == "llama"


@pytest.mark.parametrize("method", ["dora", "ia3", "prompt_tuning"])
def test_what_llama_cpp_does_not_know_is_refused_and_nothing_is_left(run, saved, tmp_path, method):
    code, _, said = run("export", saved(method, method), tmp_path / "out" / "a.gguf", "--format", "gguf")
    assert code == 2
    assert f"'{method}': expected a method whose effect is a low-rank update" in said
    assert not (tmp_path / "out").exists()


def test_what_peft_does_not_know_is_not_exported_for_it(run, saved, tmp_path):
    code, _, said = run("export", saved("s", "structured_lora"), tmp_path / "out")
    assert code == 2
    assert "adapter.method = 'structured_lora': expected a method that PEFT knows" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["dora", "ia3", "adalora", "prefix_tuning", "pissa"])
def test_what_peft_knows_is_exported_with_its_type(run, saved, tmp_path, method):
    assert run("export", saved(method, method), tmp_path / "out")[0] == 0
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["peft_type"] in (
        {"dora": "LORA", "pissa": "LORA"}.get(method, method.upper())
    )


def test_an_unknown_form_is_refused_with_the_nearest(run, saved, tmp_path):
    code, _, said = run("export", saved("a"), tmp_path / "out", "--format", "ggfu")
    assert code == 2
    assert "--format = 'ggfu': expected one of peft, gguf. Did you mean 'gguf'?" in said


def test_adapters_are_blended_with_their_weights_and_the_card_names_them(run, saved, base, tmp_path):
    a, b = saved("a"), saved("b", seed=2, rank=3)
    code, told, _ = run("blend", f"{a}:0.5", f"{b}:-2", "--out", tmp_path / "sum")
    assert code == 0
    found = read_adapter(tmp_path / "sum", base)
    parts = [read_adapter(folder, base).adapter for folder in (a, b)]
    for name, update in dense(found.adapter).items():
        torch.testing.assert_close(update, 0.5 * dense(parts[0])[name] - 2 * dense(parts[1])[name])
    parents = found.card.provenance["blended"]["parents"]
    assert parents == [
        {"digest": parts[0].digest(), "weight": 0.5, "name": "a"},
        {"digest": parts[1].digest(), "weight": -2.0, "name": "b"},
    ]
    assert json.loads(told)["ranks"] == "7"
    assert json.loads(told)["digest"] == found.card.digest == found.adapter.digest()


def test_a_blend_of_lower_rank_says_what_is_lost(run, saved, base, tmp_path):
    a, b = saved("a"), saved("b", seed=2, rank=3)
    code, out, _ = run("blend", a, f"{b}:1.0", "--out", tmp_path / "sum", "--rank", 3)
    told = json.loads(out)
    assert code == 0
    assert told["ranks"] == "3"
    assert 0.2 < told["least_kept_energy_frac"] <= told["kept_energy_frac"] < 1
    whole = dense(read_adapter(a, base).adapter), dense(read_adapter(b, base).adapter)
    near = dense(read_adapter(tmp_path / "sum", base).adapter)
    lost = sum((whole[0][n] + whole[1][n] - near[n]).square().sum().item() for n in near)
    total = sum((whole[0][n] + whole[1][n]).square().sum().item() for n in near)
    assert told["kept_energy_frac"] == pytest.approx(1 - lost / total, abs=1e-5)
    assert read_card(tmp_path / "sum").provenance["kept_energy_frac"] == told["kept_energy_frac"]


@pytest.mark.parametrize("weight", ["half", "nan", "inf", ""])
def test_a_weight_that_is_none_is_refused(run, saved, tmp_path, weight):
    code, _, said = run("blend", f"{saved('a')}:{weight}", "--out", tmp_path / "sum")
    assert code == 2
    assert "expected FOLDER:WEIGHT with a finite number" in said
    assert not (tmp_path / "sum").exists()


def test_adapters_of_different_bases_are_not_blended(run, saved, folder_of, tmp_path):
    other = load_base(str(folder_of("qwen2")), dtype="float32")
    bank = AdapterBank(other)
    write_adapter(tmp_path / "other", bank[lively(bank, request("lora"))], other, {})
    code, _, said = run("blend", saved("a"), tmp_path / "other", "--out", tmp_path / "sum")
    assert code == 2
    assert "was trained on another base" in said
    assert not (tmp_path / "sum").exists()


def test_a_method_that_is_no_update_is_not_blended(run, saved, tmp_path):
    code, _, said = run("blend", saved("a"), saved("ia3", "ia3"), "--out", tmp_path / "sum")
    assert code == 2
    assert "'ia3': expected a method whose effect is a low-rank update" in said
    assert not (tmp_path / "sum").exists()


def test_a_blend_answers_in_chat_and_can_be_blended_again(run, saved, base, tmp_path):
    assert run("blend", saved("a"), "--out", tmp_path / "once")[0] == 0
    assert run("blend", f"{tmp_path / 'once'}:2", "--out", tmp_path / "twice")[0] == 0
    once, twice = (read_adapter(tmp_path / n, base).adapter for n in ("once", "twice"))
    for name, update in dense(twice).items():
        torch.testing.assert_close(update, 2 * dense(once)[name])
    code, told, _ = run("chat", tmp_path / "twice", "--prompt", "x", "--max-new-tokens", "1")
    assert code == 0
    assert json.loads(told)["answers"]
