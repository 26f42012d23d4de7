"""Adapters on adapters: found by path, known by digest, at rest while another is trained on top."""

import json
import shutil

import pytest
import torch
from tests.support.methods import lively, request

from graftwork.adapters.arithmetic import added
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.card import Card
from graftwork.adapters.files import read_card, write_adapter
from graftwork.adapters.standing import at_rest, noted, standing
from graftwork.core.errors import IntegrityError, NotFoundError, SpecError
from graftwork.core.spec import parse, plain
from graftwork.pipeline.below import refuse_moved


@pytest.fixture(scope="module")
def base(load):
    return load("llama", "float64")


@pytest.fixture
def pair(tmp_path, base):
    """`pair(lower, upper)`: a folder with adapters of these methods, the one on the other."""

    def write(lower="lora", upper="lora"):
        bank = AdapterBank(base)
        write_adapter(tmp_path / "lower", bank[lively(bank, request(lower), 1)], base, {})
        on = noted(standing(tmp_path / "lower")[0], "lower", tmp_path / "upper")
        write_adapter(tmp_path / "upper", bank[lively(bank, request(upper), 2)], base, {}, on=on)
        return tmp_path

    return write


def test_a_card_without_it_reads_and_writes_as_before(pair):
    folder = pair()
    told = json.loads((folder / "lower" / "graftwork.json").read_text())
    assert "on" not in told
    assert parse(Card, told).on is None
    assert plain(parse(Card, {**told, "on": None})) == told


def test_the_lowest_comes_first(pair):
    folder = pair()
    assert [one.folder.name for one in standing(folder / "upper")] == ["lower", "upper"]
    assert [one.folder.name for one in standing(folder / "lower")] == ["lower"]


def test_both_moved_together_are_found_and_one_alone_too(pair, tmp_path):
    folder = pair()
    shutil.move(folder / "lower", tmp_path / "deep" / "lower")
    shutil.move(folder / "upper", tmp_path / "deep" / "upper")
    assert len(standing(tmp_path / "deep" / "upper")) == 2
    path = tmp_path / "deep" / "upper" / "graftwork.json"
    path.write_text(path.read_text().replace('"lower"', json.dumps(str(tmp_path / "deep" / "lower"))))
    shutil.move(tmp_path / "deep" / "upper", tmp_path / "upper")
    assert len(standing(tmp_path / "upper")) == 2


def test_of_two_places_the_one_with_the_right_digest_counts(pair, tmp_path, monkeypatch):
    folder = pair()
    shutil.copytree(folder / "upper", tmp_path / "elsewhere" / "lower")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert standing(folder / "upper")[0].folder == folder / "lower"


def test_one_that_stands_on_itself_is_refused(pair):
    folder = pair()
    card = json.loads((folder / "lower" / "graftwork.json").read_text())
    on = {"path": "x", "near": ".", "digest": card["digest"]}
    (folder / "lower" / "graftwork.json").write_text(json.dumps({**card, "on": on}))
    with pytest.raises(IntegrityError, match="stands on more than 8 adapters, or on itself"):
        standing(folder / "upper")


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "/etc/hostname"])
def test_a_path_that_no_folder_can_have_is_one_that_is_not_there(pair, path):
    folder = pair()
    card = json.loads((folder / "upper" / "graftwork.json").read_text())
    card["on"] |= {"path": path, "near": path}
    (folder / "upper" / "graftwork.json").write_text(json.dumps(card))
    with pytest.raises(NotFoundError, match="which is not there"):
        standing(folder / "upper")


def test_at_rest_nothing_is_dropped_and_the_tensors_are_the_same(base, logits, tokens_BT):
    bank = AdapterBank(base)
    handle = lively(bank, request("lora", dropout=0.5))
    rests = bank.add(at_rest(bank[handle]), name="at rest")
    expected = logits(bank, tokens_BT(), [handle] * 2)
    with torch.no_grad(), bank.route([rests] * 2, training=True):
        found = base.model(input_ids=tokens_BT()).logits
    assert torch.equal(found, expected)
    with torch.no_grad(), bank.route([handle] * 2, training=True):
        assert not torch.equal(base.model(input_ids=tokens_BT()).logits, expected)
    assert all(a is b for (_, a), (_, b) in zip(bank[handle].tensors(), bank[rests].tensors(), strict=True))


def test_one_that_moved_while_another_was_trained_on_it_is_told(base):
    bank = AdapterBank(base)
    handle = lively(bank, request("lora"))
    held = {handle: bank[handle].digest()}
    refuse_moved(bank, held)
    next(bank[handle].tensors())[1][0, 0] += 1e-12
    with pytest.raises(IntegrityError, match="the adapter below changed while training"):
        refuse_moved(bank, held)


def test_the_sum_of_a_stack_is_what_the_stack_computes(pair, base, logits, tokens_BT):
    bank = AdapterBank(base)
    row = bank.load_standing(pair("lora", "structured_lora") / "upper")
    whole = bank.add(added([(bank[handle], 1.0) for handle in row]), name="sum")
    torch.testing.assert_close(logits(bank, tokens_BT(), [whole] * 2), logits(bank, tokens_BT(), [row] * 2))


def test_a_stack_that_is_no_sum_is_not_exported(pair, tmp_path):
    from graftwork.cli.moving import export_adapter

    with pytest.raises(SpecError) as raised:
        export_adapter(pair("ia3", "lora") / "upper", tmp_path / "out", None)
    assert str(raised.value) == (
        "adapter.method = 'ia3': expected a method whose effect is a low-rank update. Merge it into the base instead."
    )
    assert not (tmp_path / "out").exists()


def test_a_card_keeps_what_it_stands_on(pair):
    folder = pair()
    on = read_card(folder / "upper").on
    assert (on.path, on.near, on.digest) == ("lower", "../lower", read_card(folder / "lower").digest)
