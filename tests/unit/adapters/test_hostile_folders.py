"""Folders that anyone may have written: loaded as they were, or refused in words; nothing run, nothing half loaded."""

import json
import os
import random
import shutil
import struct
import sys
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.support.methods import lively, request

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.core.errors import GraftworkError

TENSORS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "graftwork.json"
KINDS = ["lora", "dora", "ia3", "adalora", "prefix_tuning", "prompt_tuning", "structured_lora"]
Q0 = "base_model.model.model.layers.0.self_attn.q_proj"
MOST_MIB = 64
"""Far more than the tiny base's own files take, far less than what hostile headers ask for."""


@pytest.fixture(scope="module")
def base(load):
    return load("llama", "float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, base):
    """`saved(kind)`: a folder of the method, and the digest of what is in it. Not to be written to."""
    root, made = tmp_path_factory.mktemp("saved"), {}

    def get(kind="lora"):
        if kind not in made:
            bank = AdapterBank(base)
            handle = lively(bank, request(kind))
            write_adapter(root / kind, bank[handle], base, {"note": "kept"})
            made[kind] = root / kind, read_adapter(root / kind, base).adapter.digest()
        return made[kind]

    return get


def spoilt(saved, folder, kind="lora", *, card=False):
    """A copy to spoil."""
    shutil.copytree(saved(kind)[0], folder)
    if not card:
        (folder / CARD).unlink()
    return folder


def refused(folder, base):
    """The words of the refusal, which must be ours, short, printable, and cost little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(GraftworkError) as raised:
            read_adapter(folder, base)
        assert tracemalloc.get_traced_memory()[1] < MOST_MIB << 20
    finally:
        tracemalloc.stop()
    said = str(raised.value)
    assert said.encode()
    assert len(said) < 5000
    return said


def outcome(folder, base):
    """The adapter, or the words of the refusal."""
    try:
        return read_adapter(folder, base).adapter
    except GraftworkError as error:
        return str(error)


def change_config(folder, **keys):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **keys}))


def write_header(folder, header, data=b"", length=None):
    """A safetensors file with a header of one's own."""
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    whole = struct.pack("<Q", len(told) if length is None else length) + told + data
    (folder / TENSORS).write_bytes(whole)


@pytest.mark.parametrize("card", [True, False], ids=["with its card", "without a card"])
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_are_refused_or_change_nothing(tmp_path, saved, base, kind, card):
    draw, folder = random.Random(f"{kind}{card}"), spoilt(saved, tmp_path / "a", kind, card=card)
    digest, outcomes = read_adapter(folder, base).adapter.digest(), {"refused": 0, "the same": 0, "another number": 0}
    for name in [CONFIG, TENSORS, CARD] if card else [CONFIG, TENSORS]:
        whole = (folder / name).read_bytes()
        for _ in range(25):
            flipped = bytearray(whole)
            for _ in range(draw.choice([1, 1, 1, 8])):
                # half of them where the structure is, which is small beside the numbers
                flipped[draw.randrange(min(len(whole), draw.choice([len(whole), 400])))] ^= 1 << draw.randrange(8)
            (folder / name).write_bytes(bytes(flipped))
            found = outcome(folder, base)
            assert found
            if isinstance(found, str):
                outcomes["refused"] += 1
                continue
            outcomes["the same" if found.digest() == digest else "another number"] += 1
            # without a card nothing tells one finite number from another; with one, nothing goes unseen
            assert found.digest() == digest or not card
        (folder / name).write_bytes(whole)
    assert outcomes["refused"] > 10
    assert read_adapter(folder, base).adapter.digest() == digest


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_refused(tmp_path, saved, base, kind):
    draw = random.Random(kind)
    folder = spoilt(saved, tmp_path / "a", kind)
    for name in (CONFIG, TENSORS):
        whole = (folder / name).read_bytes()
        for kept in {0, 1, 7, 8, 9, len(whole) - 2, *(draw.randrange(len(whole) - 1) for _ in range(10))}:
            (folder / name).write_bytes(whole[:kept])
            assert refused(folder, base)
        (folder / name).write_bytes(whole)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(data=st.data())
def test_any_value_at_any_key_is_understood_or_refused(tmp_path_factory, saved, base, kind, data):
    whole = json.loads((saved(kind)[0] / CONFIG).read_text())
    folder = spoilt(saved, tmp_path_factory.mktemp("hostile") / "a", kind)
    key = data.draw(st.sampled_from(sorted(whole)) | st.text(max_size=8))
    (folder / CONFIG).write_text(json.dumps({**whole, key: data.draw(VALUES)}))
    found = outcome(folder, base)
    assert found.encode() if isinstance(found, str) else found.placed


@pytest.mark.parametrize(
    "value", [-1, 0, 4097, 10**9, pytest.param(10**400, id="10**400"), 1.5, "8", True, None, [8], 1e308]
)
@pytest.mark.parametrize("key", ["r", "rank_pattern", "alpha_pattern", "lora_alpha"])
def test_ranks_and_strengths_that_make_no_sense_are_refused(tmp_path, saved, base, key, value):
    folder = spoilt(saved, tmp_path / "a")
    change_config(folder, **{key: {"q_proj": value} if key.endswith("pattern") else value})
    sensible = (key == "lora_alpha" and value in (4097, 1.5, 1)) or (key == "alpha_pattern" and value in (4097, 1.5))
    if sensible and value is not True:
        assert read_adapter(folder, base)
    else:
        assert key in refused(folder, base)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused_in_the_config_too(tmp_path, saved, base, constant):
    folder = spoilt(saved, tmp_path / "a")
    text = (folder / CONFIG).read_text().replace('"lora_alpha": 32', f'"lora_alpha": {constant}')
    assert constant in text
    (folder / CONFIG).write_text(text)
    assert ("lora_alpha" if constant == "1e999" else f"{constant} is no number") in refused(folder, base)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_with_a_number_that_is_none_is_refused(tmp_path, saved, base, kind, value):
    folder = spoilt(saved, tmp_path / "a", kind)
    tensors = load_file(folder / TENSORS)
    name = sorted(tensors)[-1]
    tensors[name].view(-1)[0] = value
    save_file(tensors, folder / TENSORS)
    assert f"{name} holds values that are not finite" in refused(folder, base)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "bool", "int16", "int32", "int64", "float8_e4m3fn", "float8_e5m2", "complex64"]
)
def test_a_tensor_of_another_number_format_is_refused(tmp_path, saved, base, dtype):
    folder = spoilt(saved, tmp_path / "a")
    tensors = load_file(folder / TENSORS)
    name = f"{Q0}.lora_A.weight"
    save_file({**tensors, name: torch.ones(tensors[name].shape).to(getattr(torch, dtype))}, folder / TENSORS)
    assert f"{name} is " in refused(folder, base)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "..\\..\\x", "\x1b[31mred", "\ud800", "a" * 10_000, "", "__class__"]
)
def test_a_tensor_of_any_name_is_refused_and_its_name_is_safe_to_print(tmp_path, saved, base, name):
    folder = spoilt(saved, tmp_path / "a")
    whole = (folder / TENSORS).read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    data = whole[8 + length :]
    header[name] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
    write_header(folder, header, data + b"\0\0\0\0")
    said = refused(folder, base)
    assert "belongs to no place" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_000, 17_000_000, 10**10])
def test_a_header_that_claims_to_be_huge_is_refused_without_taking_its_memory(tmp_path, saved, base, length):
    folder = spoilt(saved, tmp_path / "a")
    write_header(folder, {}, length=length)
    assert TENSORS in refused(folder, base)


def test_a_header_that_is_huge_is_refused_without_being_read(tmp_path, saved, base):
    folder = spoilt(saved, tmp_path / "a")
    with (folder / TENSORS).open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000) + b"{")
        file.truncate(90_000_100)  # a hole, which takes no room on the disk
    assert TENSORS in refused(folder, base)


def entry(begin, end, shape=(4, 32), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "offsets",
    [[(0, 512), (0, 512)], [(0, 512), (256, 768)], [(0, 512), (1024, 1536)], [(512, 0), (512, 1024)],
     [(-512, 0), (0, 512)], [(0, 512), (512, 2**62)], [(0, 100), (100, 1024)], [(4, 516), (516, 1028)]],
    ids=str,
)  # fmt: skip
def test_offsets_that_overlap_or_lead_outside_are_refused(tmp_path, saved, base, offsets):
    folder = spoilt(saved, tmp_path / "a")
    change_config(folder, target_modules=["model.layers.0.self_attn.q_proj"], rank_pattern={}, r=4)
    a, b = offsets
    header = {f"{Q0}.lora_A.weight": entry(*a), f"{Q0}.lora_B.weight": entry(*b, shape=(32, 4))}
    write_header(folder, header, b"\0" * max(0, min(4096, max(a[1], b[1]))))
    assert TENSORS in refused(folder, base)


@pytest.mark.parametrize(
    "header",
    [b"", b"{", b"[]", b"null", b'{"a": 1}', b'{"a": {}}', b"[" * 100_000, b'{"__metadata__": 1}', b"\xff\xfe",
     b'{"a": {"dtype": "F4", "shape": [0], "data_offsets": [0, 0]}}',
     b'{"a": {"dtype": "F32", "shape": [99999999999999999999], "data_offsets": [0, 0]}}',
     b'{"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}}',
     b'{"a": {"dtype": "F32", "shape": [1e3], "data_offsets": [0, 0]}}'],
    ids=lambda header: header[:60].decode("latin1"),
)  # fmt: skip
def test_a_header_of_another_form_is_refused(tmp_path, saved, base, header):
    folder = spoilt(saved, tmp_path / "a")
    write_header(folder, header)
    assert TENSORS in refused(folder, base)


def test_a_tensor_that_stands_twice_in_the_header_is_refused(tmp_path, saved, base):
    folder = spoilt(saved, tmp_path / "a")
    change_config(folder, target_modules=["model.layers.0.self_attn.q_proj"])
    a, b = f"{Q0}.lora_A.weight", f"{Q0}.lora_B.weight"
    one, two = json.dumps(entry(0, 512)), json.dumps(entry(512, 1024, shape=(32, 4)))
    write_header(folder, f'{{"{a}": {two}, "{a}": {one}, "{b}": {two}}}'.encode(), b"\0" * 1024)
    assert TENSORS in refused(folder, base)


@pytest.mark.parametrize("name", [CONFIG, CARD])
def test_a_key_that_stands_twice_is_refused(tmp_path, saved, base, name):
    folder = spoilt(saved, tmp_path / "a", card=True)
    text = (folder / name).read_text()
    key = "r" if name == CONFIG else "digest"
    (folder / name).write_text(text.replace("{", f'{{"{key}": 1,', 1))
    assert f"the key '{key}' stands twice" in refused(folder, base)


@pytest.mark.parametrize("levels", [40, 500, 2000, 100_000])
@pytest.mark.parametrize("name", [CONFIG, CARD])
def test_json_that_is_nested_without_end_is_refused(tmp_path, saved, base, name, levels):
    folder = spoilt(saved, tmp_path / "a", card=True)
    text = (folder / name).read_text().rstrip().removesuffix("}")
    (folder / name).write_text(f'{text}, "deep": {"[" * levels}{"]" * levels}}}')
    assert name in refused(folder, base)


@pytest.mark.parametrize("name", [CONFIG, CARD])
def test_json_of_any_length_is_refused_without_being_read(tmp_path, saved, base, name):
    folder = spoilt(saved, tmp_path / "a", card=True)
    os.truncate(folder / name, 2_000_000_000)
    assert "2,000,000,000 bytes" in refused(folder, base)


@pytest.mark.parametrize(
    "keys",
    [
        {"auto_mapping": {"base_model_class": "Evil", "parent_library": "hostile_module"}},
        {"runtime_config": {"module": "hostile_module"}},
        {"megatron_core": "hostile_module"},
        {"base_model_name_or_path": "../../../etc/passwd"},
        {"revision": "$(touch hostile)"},
    ],
    ids=str,
)
def test_code_and_paths_that_a_config_names_are_never_looked_at(tmp_path, saved, base, keys, monkeypatch):
    folder = spoilt(saved, tmp_path / "a")
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    change_config(folder, **keys)
    assert read_adapter(folder, base).adapter.digest() == saved()[1]
    assert "hostile_module" not in sys.modules
    assert not {name for name in set(sys.modules) - before if "hostile" in name}


@pytest.mark.parametrize("pattern", [r"([a-z._0-9]+)+!", r"(a|a)*(.*)*$!", r"(.*)*(.*)*(.*)*(.*)*x!", "(" * 5000])
@pytest.mark.parametrize("key", ["target_modules", "exclude_modules", "rank_pattern", "layers_pattern"])
def test_a_pattern_made_to_be_matched_forever_is_refused_or_matched(tmp_path, saved, base, key, pattern):
    folder = spoilt(saved, tmp_path / "a")
    told = {"rank_pattern": {pattern: 4}, "layers_pattern": [pattern]}.get(key, pattern)
    change_config(folder, **{key: told}, **({"layers_to_transform": [0]} if key == "layers_pattern" else {}))
    found = outcome(folder, base)
    assert found
    assert isinstance(found, str) or found.digest() == saved()[1]


@pytest.mark.parametrize("count", [2_000, 20_000])
def test_patterns_without_number_are_refused_or_looked_up(tmp_path, saved, base, count):
    folder = spoilt(saved, tmp_path / "a")
    exact = {f"^model\\.layers\\.{n}\\.self_attn\\.x_proj": 4 for n in range(count)}
    change_config(folder, rank_pattern=exact)
    assert read_adapter(folder, base).adapter.digest() == saved()[1]
    change_config(folder, rank_pattern={f"x{n}.*": 4 for n in range(count)})
    assert "at most 1000" in refused(folder, base)


@pytest.mark.parametrize("keys", [{"R": 8}, {"Target_Modules": ["k_proj"]}, {"PEFT_TYPE": "LORA"}])
def test_keys_that_differ_in_case_alone_are_refused(tmp_path, saved, base, keys):
    folder = spoilt(saved, tmp_path / "a")
    change_config(folder, **keys)
    assert next(iter(keys)) in refused(folder, base)


def test_tensors_whose_names_differ_in_case_alone_are_refused(tmp_path, saved, base):
    folder = spoilt(saved, tmp_path / "a")
    tensors = load_file(folder / TENSORS)
    save_file({**tensors, f"{Q0}.LORA_A.weight": torch.zeros(1)}, folder / TENSORS)
    assert "LORA_A.weight belongs to no place" in refused(folder, base)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_tensors_in_place_of_the_right_ones_are_refused(tmp_path, saved, base, kind):
    folder = spoilt(saved, tmp_path / "a", kind)
    save_file({name: torch.zeros(0) for name in load_file(folder / TENSORS)}, folder / TENSORS)
    assert "its place needs" in refused(folder, base)


def test_links_are_followed_as_in_the_caches_of_other_tools_and_what_they_lead_to_is_checked(tmp_path, saved, base):
    folder = spoilt(saved, tmp_path / "a")
    (folder / TENSORS).rename(tmp_path / "blob")
    (folder / TENSORS).symlink_to(tmp_path / "blob")
    assert read_adapter(folder, base).adapter.digest() == saved()[1]
    for target in ("/etc/passwd", "/dev/zero", "/dev/null", TENSORS, "nowhere", "/"):
        (folder / TENSORS).unlink()
        (folder / TENSORS).symlink_to(target)
        assert refused(folder, base)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, saved, base):
    folder = spoilt(saved, tmp_path / "a")
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)
    assert refused(folder, base)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_folder_leaves_the_bank_as_it_was(tmp_path, saved, load, kind):
    base = load("llama", "float32")
    folder = spoilt(saved, tmp_path / "a", kind)
    tensors = load_file(folder / TENSORS)
    tensors[sorted(tensors)[-1]].view(-1)[-1] = float("nan")
    save_file(tensors, folder / TENSORS)
    (folder / CARD).unlink(missing_ok=True)
    bank = AdapterBank(base)
    with pytest.raises(GraftworkError):
        bank.load(Path(folder))
    assert len(bank) == 0
    assert not [m for m in base.model.modules() if m._forward_hooks or m._forward_pre_hooks]


@pytest.mark.parametrize(
    "change",
    [
        {"request": {"method": "structured_lora", "rank": 10**9}}, {"request": {"method": "nothing"}},
        {"request": None}, {"placed": {}}, {"placed": {"../x": {"method": "structured_lora"}}},
        {"placed": {"model.layers.0.self_attn.q_proj": {"method": "lora"}}}, {"method": 3}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_folder_in_our_own_form_is_as_strict(tmp_path, saved, base, change):
    folder = spoilt(saved, tmp_path / "a", "structured_lora")
    change_config(folder, **change)
    assert refused(folder, base)


def test_a_place_of_the_request_that_is_left_out_is_refused_by_its_name(tmp_path, saved, base):
    folder = spoilt(saved, tmp_path / "a", "structured_lora")
    placed = json.loads((folder / CONFIG).read_text())["placed"]
    gone = next(iter(placed))
    change_config(folder, placed={key: spec for key, spec in placed.items() if key != gone})
    tensors = {name: tensor for name, tensor in load_file(folder / TENSORS).items() if not name.startswith(f"{gone}/")}
    save_file(tensors, folder / TENSORS)
    assert gone in refused(folder, base)
