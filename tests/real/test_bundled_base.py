"""The bundled base itself: fetched from the package registry, a real model with real weights."""

import os
import subprocess
import sys

import pytest
import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.base.bundled import BUNDLED, READY, bundled_folder
from graftwork.base.load import load_base
from graftwork.base.locate import silent
from graftwork.core.errors import NotFoundError
from graftwork.core.spec import parse

NAME = "smollm2-135m-instruct"
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Capital of France?"},
    {"role": "assistant", "content": "Paris."},
]


@pytest.fixture(scope="module")
def base():
    try:
        bundled_folder(NAME, silent)
    except NotFoundError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    return load_base(f"bundled:{NAME}")


def stirred(bank):
    handle = bank.fresh(parse(LoraSpec, {"rank": {"kind": "tiered"}}), seed=1)
    generator = torch.Generator().manual_seed(2)
    for _, tensor in bank[handle].tensors():
        tensor.add_(torch.empty_like(tensor).normal_(std=0.02, generator=generator))
    return handle


def tokens_of(base, text="The capital of France is Paris. Two plus three is five."):
    return torch.tensor([base.chat.tokenizer(text)["input_ids"]] * 2)


def test_its_facts_are_the_published_ones(base):
    assert base.facts.num_params == 134_515_008
    assert (base.facts.num_layers, base.facts.hidden_size, base.facts.vocab_size) == (30, 576, 49_152)


def test_it_knows_the_capital_of_france(base):
    from graftwork.serving.generate import answers

    (said,) = answers(AdapterBank(base), [TALK[:2]], [None], max_new_tokens=12)
    assert "Paris" in said


def test_its_answers_are_learned_to_their_end_and_nothing_else(base):
    marked = base.chat.marked(TALK)
    tokens_T, is_target_T = marked.tokens_T, marked.is_target_T
    learned = base.chat.tokenizer.decode([t for t, learn in zip(tokens_T, is_target_T, strict=True) if learn])
    assert learned == "Paris.<|im_end|>"


def test_a_fresh_adapter_changes_no_bit_of_its_logits(base):
    bank, before = AdapterBank(base), base.tensor_digest()
    fresh = bank.fresh(parse(LoraSpec, {}), seed=0)
    with torch.no_grad():
        plain = base.model(tokens_of(base)).logits
        with bank.route([fresh, fresh]):
            adapted = base.model(tokens_of(base)).logits
    assert torch.equal(plain, adapted)
    assert base.tensor_digest() == before


def test_rows_of_one_batch_are_answered_by_their_own(base):
    bank = AdapterBank(base)
    handle = stirred(bank)
    with torch.no_grad():
        plain = base.model(tokens_of(base)).logits
        with bank.route([None, handle]):
            mixed = base.model(tokens_of(base)).logits
    assert torch.equal(mixed[0], plain[0])
    assert not torch.equal(mixed[1], plain[1])


def test_an_adapter_gives_the_same_logits_in_peft(base, tmp_path):
    from peft import PeftModel

    wide = load_base(f"bundled:{NAME}", dtype="float32")
    bank = AdapterBank(wide)
    handle = stirred(bank)
    write_adapter(tmp_path / "adapter", bank[handle], wide, {})
    with torch.no_grad():
        with bank.route([handle, handle]):
            ours = wide.model(tokens_of(wide)).logits
        bank.remove(handle)
        theirs = PeftModel.from_pretrained(wide.model, str(tmp_path / "adapter"))(tokens_of(wide)).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_two_processes_that_ask_at_once_both_get_it_and_one_works(base, tmp_path):
    program = f"from graftwork.base.bundled import bundled_folder; print(bundled_folder({NAME!r}, print))"
    environment = {**os.environ, "GRAFTWORK_CACHE": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [process.communicate()[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(len(lines) for lines in said) == [1, 3], "one fetched and converted, the other waited"
    folder = tmp_path / "bases" / f"{NAME}-{BUNDLED[NAME].member_sha256[:12]}"
    assert {lines[-1] for lines in said} == {str(folder)}
    assert (folder / READY).is_file()
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]
