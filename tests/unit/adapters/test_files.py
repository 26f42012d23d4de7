"""Adapter folders are read whole or not at all, and say what is wrong."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graftwork.adapters.adapter import Adapter, Placed
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, read_card, write_adapter
from graftwork.base.load import load_base
from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError, SpecError

TENSORS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "graftwork.json"
Q0 = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(load):
    return load("llama", "float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, base, lively):
    """A written adapter. Not to be written to."""
    bank, folder = AdapterBank(base), tmp_path_factory.mktemp("saved") / "adapter"
    handle = lively(bank, targets=["attention"])
    write_adapter(folder, bank[handle], base, {"seed": 0, "note": "kept"})
    bank.remove(handle)
    return folder


@pytest.fixture
def folder(tmp_path, saved):
    """A copy to spoil, card included."""
    return Path(shutil.copytree(saved, tmp_path / "adapter"))


@pytest.fixture
def cardless(folder):
    """A copy as PEFT would have written it."""
    (folder / CARD).unlink()
    return folder


def refusal(kind, folder, base):
    with pytest.raises(kind) as raised:
        read_adapter(folder, base)
    return str(raised.value)


def change(folder, **tensors):
    """Put tensors in, or take out those that are None."""
    whole = {**load_file(folder / TENSORS), **{f"{Q0}.{name}.weight": t for name, t in tensors.items()}}
    save_file({name: t for name, t in whole.items() if t is not None}, folder / TENSORS)


def test_what_is_saved_comes_back(saved, base, lively):
    bank = AdapterBank(base)
    adapter = bank[lively(bank, targets=["attention"])]
    loaded = read_adapter(saved, base)
    assert loaded.adapter.digest() == adapter.digest() == loaded.card.digest
    assert loaded.adapter.spec == adapter.spec
    assert loaded.card.provenance == {"seed": 0, "note": "kept"}
    assert all(torch.equal(a, dict(adapter.tensors())[name]) for name, a in loaded.adapter.tensors())
    assert read_card(saved) == loaded.card


@pytest.mark.parametrize(
    "asked",
    [
        {"rank": {"kind": "tiered"}, "alpha": 0.1},
        {"scaling": "rank_stabilised", "init": "orthogonal", "dropout": 0.1},
        {"layers": {"start_frac": 0.4}, "targets": ["mlp.down", "*.q_proj"]},
        {"rank": {"kind": "uniform", "rank": 64}},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_every_request_comes_back_with_its_digest(tmp_path, load, lively, dtype, asked):
    bank = AdapterBank(load("gpt2" if "rank" in asked else "llama", dtype))
    handle = lively(bank, **asked)
    card = write_adapter(tmp_path / "adapter", bank[handle], bank.base, {})
    back = bank.load(tmp_path / "adapter")
    assert back.name == "adapter"
    assert bank[back].digest() == bank[handle].digest() == card.digest


def test_it_holds_peft_files_and_a_card_that_anyone_may_read(saved):
    assert sorted(path.name for path in saved.iterdir()) == [CONFIG, TENSORS, CARD]
    assert {path.stat().st_mode & 0o777 for path in saved.iterdir()} == {0o644}
    assert saved.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_there_is_never_written_to(tmp_path, saved, base):
    adapter = read_adapter(saved, base).adapter
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConflictError, match="is there already"):
        write_adapter(tmp_path / "mine", adapter, base, {})
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_write_that_fails_leaves_nothing(tmp_path, saved, base):
    adapter = read_adapter(saved, base).adapter
    with pytest.raises(ValueError, match="surrogate"):
        write_adapter(tmp_path / "a", adapter, base, {"no text": "\ud800"})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tensor_is_named(cardless, base):
    change(cardless, lora_A=None)
    assert f"{Q0}.lora_A.weight is missing" in refusal(IntegrityError, cardless, base)


def test_an_extra_tensor_is_named(cardless, base):
    change(cardless, lora_extra=torch.zeros(1))
    said = refusal(IntegrityError, cardless, base)
    assert f"{Q0}.lora_extra.weight belongs to no place that the config names" in said


def test_a_wrong_shape_is_named(cardless, base):
    change(cardless, lora_A=torch.zeros(5, 32))
    assert f"{Q0}.lora_A.weight has shape (5, 32), its place needs (4, 32)" in refusal(IntegrityError, cardless, base)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(cardless, base, value):
    change(cardless, lora_B=torch.full((32, 4), value))
    assert f"{Q0}.lora_B.weight holds values that are not finite" in refusal(IntegrityError, cardless, base)


def test_whole_numbers_are_refused(cardless, base):
    change(cardless, lora_B=torch.ones(32, 4, dtype=torch.int64))
    assert f"{Q0}.lora_B.weight" in refusal(IntegrityError, cardless, base)


@pytest.mark.parametrize("kept", [0, 4, 9, 200, -1])
def test_a_torn_file_is_refused(cardless, base, kept):
    whole = (cardless / TENSORS).read_bytes()
    (cardless / TENSORS).write_bytes(whole[:kept])
    assert TENSORS in refusal(IntegrityError, cardless, base)


def test_bytes_after_the_last_tensor_are_refused(cardless, base):
    with (cardless / TENSORS).open("ab") as file:
        file.write(b"more")
    assert "its header says" in refusal(IntegrityError, cardless, base)


def test_a_flipped_bit_is_seen_against_the_card(folder, base):
    spoilt = bytearray((folder / TENSORS).read_bytes())
    spoilt[-3] ^= 1
    (folder / TENSORS).write_bytes(bytes(spoilt))
    assert "its card says" in refusal(IntegrityError, folder, base)


@pytest.mark.parametrize("key", ["r", "lora_alpha", "use_rslora", "lora_dropout"])
def test_a_changed_config_is_seen_against_the_card(folder, base, key):
    config = json.loads((folder / CONFIG).read_text())
    config[key] = {"r": 4.0, "use_rslora": True, "lora_dropout": 0.5}.get(key, 99)
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises((IntegrityError, SpecError)):
        read_adapter(folder, base)


@pytest.mark.parametrize("name", ["adapter_model.bin", "extra.PT", "x.pkl", "optimizer.pth", "a.ckpt", "b.joblib"])
def test_a_pickle_is_refused_unread(folder, base, name):
    (folder / name).write_bytes(b"never read")
    assert f"{name}: pickled files can run code and are never read" in refusal(IntegrityError, folder, base)


@pytest.mark.parametrize("name", [CONFIG, TENSORS])
def test_a_folder_without_a_needed_file_is_no_adapter(folder, base, name):
    (folder / name).unlink()
    assert f"holds no {name}" in refusal(NotFoundError, folder, base)


def test_a_folder_that_is_not_there_is_named(tmp_path, base):
    assert str(tmp_path / "gone") in refusal(NotFoundError, tmp_path / "gone", base)


@pytest.mark.parametrize("name", [CONFIG, CARD])
@pytest.mark.parametrize("text", ['{"r": 4', "", "[]", "null", "\x00", "[" * 100_000])
def test_broken_json_is_refused_by_file(folder, base, name, text):
    (folder / name).write_text(text)
    assert name in refusal(IntegrityError, folder, base)


@pytest.mark.parametrize(
    ("change_card", "named"),
    [
        ({"digest": "0" * 64}, "its card says"),
        ({"digest": "short"}, "digest"),
        ({"format": 2}, "format"),
        ({"signed": True}, "signed"),
        ({"spec": {"method": "lora", "rnk": 3}}, "rnk"),
        ({"spec": {"method": "lora", "rank": 99}}, "asks for other places or ranks"),
    ],
)
def test_a_card_that_was_changed_is_refused(folder, base, change_card, named):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **change_card}))
    assert named in refusal(IntegrityError, folder, base)


def test_an_adapter_of_another_base_is_refused_and_says_in_which_parts(saved, tmp_path, llama_folder):
    other = Path(shutil.copytree(llama_folder, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    (other / "chat_template.jinja").write_text("{{ messages[0].content }}")
    said = refusal(IntegrityError, saved, load_base(str(other), dtype="float32"))
    assert f"was trained on another base: {str(llama_folder)!r} there, {str(other)!r} here" in said
    assert "they differ in weights, template." in said


def test_an_adapter_without_a_card_for_another_family_is_refused(cardless, load):
    assert "target_modules" in refusal(SpecError, cardless, load("gpt2"))


def test_tensors_that_are_views_are_written_right(tmp_path, saved, base):
    adapter = read_adapter(saved, base).adapter
    placed = {
        name: Placed(
            place=here.place,
            method=here.method,
            spec=here.spec,
            params={n: t.T.contiguous().T.requires_grad_() for n, t in here.params.items()},
        )
        for name, here in adapter.placed.items()
    }
    write_adapter(tmp_path / "views", Adapter(spec=adapter.spec, placed=placed), base, {})
    assert read_adapter(tmp_path / "views", base).adapter.digest() == adapter.digest()
