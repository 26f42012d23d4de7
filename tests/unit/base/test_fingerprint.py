"""A fingerprint is the content of a base: not how its files are cut, but every byte that matters."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.tiny_base import make_base
from transformers import AutoModelForCausalLM

from graftwork.base.fingerprint import Fingerprint, fingerprint, safetensors_header
from graftwork.core.errors import IntegrityError, NotFoundError

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path, llama_folder):
    """A copy to change."""
    return Path(shutil.copytree(llama_folder, tmp_path / "base"))


@pytest.fixture(scope="module")
def before(llama_folder):
    return fingerprint(llama_folder)


def edit(path, **changes):
    told = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in told.items() if value is not ...}))


def test_it_is_of_the_content_alone(tmp_path, folder, before):
    assert fingerprint(folder) == before
    assert fingerprint(make_base(tmp_path / "again", "llama")) == before
    assert fingerprint(make_base(tmp_path / "other", "llama", seed=1)).differences(before) == ("weights",)


def test_the_number_of_files_does_not_matter(tmp_path, folder, before):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert fingerprint(folder).weights == before.weights


def test_the_order_of_tensors_in_a_file_does_not_matter(folder, before):
    path = folder / WEIGHTS
    header = safetensors_header(path)
    raw = path.read_bytes()
    described, data = {}, b""
    for name in sorted(header, reverse=True):
        entry = header[name]
        piece = raw[entry.begin : entry.end]
        offsets = [len(data), len(data) + len(piece)]
        described[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": offsets}
        data += piece
    head = json.dumps(described).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    assert path.read_bytes() != raw
    assert fingerprint(folder) == before


@pytest.mark.parametrize("position", [-1, -5000])
def test_one_bit_of_a_weight_changes_it(folder, before, position):
    raw = bytearray((folder / WEIGHTS).read_bytes())
    raw[position] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(raw))
    assert fingerprint(folder).differences(before) == ("weights",)
    assert fingerprint(folder).digest != before.digest


def test_a_tensor_of_the_same_bytes_in_another_shape_type_or_name_changes_it(folder, before):
    tensors = load_file(folder / WEIGHTS)
    name = "model.layers.0.mlp.up_proj.weight"
    seen = {before.weights}
    for changed in ({name: tensors[name].reshape(32, 48)}, {name: tensors[name].view(torch.int64)}):
        save_file({**tensors, **changed}, folder / WEIGHTS)
        seen.add(fingerprint(folder).weights)
    save_file({f"{n}x" if n == name else n: t for n, t in tensors.items()}, folder / WEIGHTS)
    seen.add(fingerprint(folder).weights)
    assert len(seen) == 4


def test_what_the_config_says_changes_it(folder, before):
    edit(folder / "config.json", rms_norm_eps=1e-5)
    assert fingerprint(folder).differences(before) == ("config",)


@pytest.mark.parametrize("key", ["transformers_version", "dtype", "torch_dtype", "use_cache", "_name_or_path"])
def test_what_changes_no_computation_does_not_change_it(folder, before, key):
    edit(folder / "config.json", **{key: "another"})
    assert fingerprint(folder) == before


def test_the_order_of_the_config_does_not_matter(folder, before):
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(dict(reversed(told.items()))))
    assert fingerprint(folder) == before


def test_the_tokenizer_changes_it(folder, before):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("<|endoftext|>", "<|endoftexd|>"))
    assert fingerprint(folder).differences(before) == ("tokenizer",)


def test_the_token_that_ends_an_answer_is_part_of_the_tokenizer(folder, before):
    edit(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    assert "tokenizer" in fingerprint(folder).differences(before)


def test_the_template_changes_it_wherever_it_stands(folder, before):
    path = folder / "chat_template.jinja"
    text = path.read_text()
    path.write_text(text + " ")
    assert fingerprint(folder).differences(before) == ("template",)
    path.unlink()
    assert fingerprint(folder).differences(before) == ("template",)
    edit(folder / "tokenizer_config.json", chat_template=text)
    assert fingerprint(folder).template == before.template


def test_differences_are_named_by_part(before):
    for field in fields(Fingerprint):
        other = Fingerprint(**{f.name: getattr(before, f.name) + "x" * (f == field) for f in fields(Fingerprint)})
        assert before.differences(other) == (field.name,)
        assert before.digest != other.digest


@pytest.mark.parametrize("kept", [0, 5, 8, 300, -1])
def test_a_torn_file_is_refused(folder, kept):
    raw = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(raw[:kept])
    with pytest.raises(IntegrityError, match="Fetch it again"):
        fingerprint(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"3",
        b'{"a": 3}',
        b'{"a": {}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 4]}}',
        b'{"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": 3, "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}',
        b"\xff\xff",
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, header):
    path = tmp_path / WEIGHTS
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    with pytest.raises(IntegrityError):
        safetensors_header(path)


def test_a_tensor_that_stands_in_two_files_is_refused(folder):
    tensors = load_file(folder / WEIGHTS)
    name = "model.norm.weight"
    save_file({name: tensors[name] + 1}, folder / "stale.safetensors")
    with pytest.raises(IntegrityError, match=r"model\.norm\.weight"):
        fingerprint(folder)


def test_a_base_without_weights_or_config_is_named(folder):
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(NotFoundError, match="Pickled ones are never read"):
        fingerprint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(NotFoundError, match=r"config\.json"):
        fingerprint(folder)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_config_that_is_no_mapping_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(IntegrityError, match="no mapping"):
        fingerprint(folder)
