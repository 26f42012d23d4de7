"""An adapter trained on a finished one: used together, taken off again, refused when the lower one is another."""

import json
import shutil

import pytest
import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_card
from graftwork.base.load import load_base
from graftwork.base.tensors import digest_of_tensors
from graftwork.cli.main import called
from graftwork.core.errors import IntegrityError, Interrupted, NotFoundError, SpecError
from graftwork.pipeline.below import load_below
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.recipes import effective_text, read_request, recipe_digest
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work

SHORT = ["training.steps=6", "evaluation.answers=2", "adapter.targets=[mlp]"]


class StopAfter(Quiet):
    """Asks to stop after some steps."""

    def __init__(self, steps):
        self.left = steps

    def step(self, report):
        self.left -= 1

    def should_stop(self):
        return self.left == 0


def standing_on(recipe, lower):
    """The recipe, its adapter to be trained on top of `lower`."""
    recipe.write_text(recipe.read_text() + f"on: {lower}\n")
    return recipe


@pytest.fixture(scope="module")
def two(tmp_path_factory, finished):
    """A folder with two runs, `lower` and `upper` on it; and what the upper one's run gave. Not to be written to."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(finished[0] / "run", folder / "lower")
    recipe = shutil.copy(finished[0] / "tiny.yaml", folder / "upper.yaml")
    shutil.copy(finished[0] / "records.jsonl", folder)
    result = run(standing_on(recipe, "lower"), out=folder / "upper", settings=SHORT)
    return folder, result


@pytest.fixture
def moved(tmp_path, two):
    """Both runs, moved together; the lower one is not where it was."""
    for name in ("lower", "upper"):
        shutil.copytree(two[0] / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def base(tiny_folder):
    return load_base(str(tiny_folder), dtype="float32")


def digest_in(folder):
    return read_card(folder / "adapter").digest


def refused(recipe, out):
    with pytest.raises(SpecError) as raised:
        run(recipe, out=out)
    assert not (out / "metrics.jsonl").exists()
    return str(raised.value)


def test_its_card_says_on_what_it_stands(two):
    folder, _ = two
    on = read_card(folder / "upper" / "adapter").on
    assert on.digest == digest_in(folder / "lower")
    assert (on.path, on.near) == (str(folder / "lower"), "../../lower/adapter")
    assert read_card(folder / "lower" / "adapter").on is None


def test_it_learns_what_the_lower_one_has_left_to_learn(two):
    folder, result = two
    loss = result.evaluation["loss"]
    below = json.loads((folder / "lower" / "evaluation.json").read_text())["loss"]["adapter"]
    assert loss["below"] == below, "the lower one alone gives what its own run has measured"
    assert loss["adapter"]["mean"] < below["mean"] < loss["base"]["mean"]
    first = json.loads((folder / "upper" / "metrics.jsonl").read_text().splitlines()[0])
    alone = json.loads((folder / "lower" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["loss_nats"] < 0.8 * alone["loss_nats"], "it starts where the lower one has ended"


def test_taken_off_the_lower_one_answers_bit_for_bit_as_before(two, base):
    folder, _ = two
    tokens_BT = torch.arange(40).view(4, 10)
    bank = AdapterBank(base)
    lower, upper = bank.load_standing(folder / "upper")
    with torch.no_grad():
        plain = base.model(tokens_BT).logits
        with bank.route([(lower, upper), lower, upper, None]):
            mixed = base.model(tokens_BT).logits
        with bank.route([(lower, upper)] * 4):
            both = base.model(tokens_BT).logits
        bank.remove(upper)
        with bank.route([lower] * 4):
            left = base.model(tokens_BT).logits
    alone = AdapterBank(base)
    handle = alone.load(folder / "lower" / "adapter")
    with torch.no_grad(), alone.route([handle] * 4):
        assert torch.equal(base.model(tokens_BT).logits, left)
    assert not torch.equal(both, left)
    torch.testing.assert_close(mixed[0], both[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(mixed[1], left[1], rtol=0, atol=1e-4)
    assert torch.equal(mixed[3], plain[3])


def test_chat_answers_with_both(moved, base, two, capsys):
    shutil.rmtree(moved / "lower" / "data")
    words = ["--prompt", "say ab 1", "--max-new-tokens", "4", "--json"]
    said = []
    for name in ("lower", "upper"):
        assert called(["chat", str(moved / name), *words]) == 0
        said.append(json.loads(capsys.readouterr().out)["answers"][0])
    assert said[0]["base"] == said[1]["base"] != said[1]["adapter"]


def test_resumed_it_ends_with_the_same_bytes(recipe, two, tmp_path):
    standing_on(recipe, two[0] / "lower")
    with pytest.raises(Interrupted):
        run(recipe, out=tmp_path / "again", settings=SHORT, watch=StopAfter(5))
    run(recipe, out=tmp_path / "again", settings=SHORT, until="train")
    assert digest_in(tmp_path / "again") == digest_in(two[0] / "upper")


def test_while_another_is_trained_the_lower_one_rests(recipe, two, tmp_path):
    spec = read_request(standing_on(recipe, two[0] / "lower"))
    work = Work(spec=spec, folder=RunFolder(tmp_path / "out"), watch=Quiet())
    bank = AdapterBank(work.base)
    (handle,) = load_below(work, bank)
    assert {here.spec.dropout for here in bank[handle].placed.values()} == {0.0}
    assert not any(tensor.requires_grad for _, tensor in bank[handle].tensors())
    path = two[0] / "lower" / "adapter"
    assert digest_of_tensors(bank[handle].tensors()) == digest_of_tensors(bank[bank.load(path)].tensors())


def test_nothing_is_done_again_until_the_lower_one_is_another(recipe, moved, tmp_path):
    standing_on(recipe, "lower")
    first = run(recipe, out=tmp_path / "upper", settings=SHORT)
    state = (tmp_path / "upper" / "run.json").read_bytes()
    run(recipe, out=tmp_path / "upper", settings=SHORT)
    assert (tmp_path / "upper" / "run.json").read_bytes() == state
    shutil.rmtree(moved / "lower")
    shutil.copytree(moved / "upper" / "adapter", moved / "kept")
    run(shutil.copy(moved / "upper" / "recipe.yaml", tmp_path / "other.yaml"), out=moved / "x", settings=["on=null"])
    (moved / "x").rename(moved / "lower")
    again = run(recipe, out=tmp_path / "upper", settings=SHORT)
    told = [one.steps["train"].summary["adapter_digest"] for one in (first, again)]
    assert told[0] != told[1]
    assert read_card(tmp_path / "upper" / "adapter").on.digest == digest_in(moved / "lower")


def test_a_lower_one_that_is_another_is_refused_with_both_digests(two, moved, base):
    path = moved / "lower" / "adapter" / "graftwork.json"
    was, other = digest_in(moved / "lower"), "0" * 64
    path.write_text(path.read_text().replace(was, other))
    card = moved / "upper" / "adapter" / "graftwork.json"
    card.write_text(card.read_text().replace(str(two[0]), str(moved)))
    with pytest.raises(IntegrityError) as raised:
        AdapterBank(base).load_standing(moved / "upper")
    assert str(raised.value) == (
        f"{moved}/upper/adapter stands on an adapter with digest {was}; the one at {moved}/lower/adapter has {other}. "
        "Restore it, or train again on what is there."
    )
    for words in (["chat", "--prompt", "x"], ["merge", moved / "out"], ["export", moved / "out"]):
        assert called([words[0], str(moved / "upper"), *map(str, words[1:])]) == 2
    shutil.rmtree(moved / "lower")
    with pytest.raises(NotFoundError, match=r"stands on the adapter .* which is not there\. Put it back\."):
        AdapterBank(base).load_standing(moved / "upper")


def test_merging_merges_both(two, tmp_path, base, capsys):
    from transformers import AutoModelForCausalLM

    assert called(["merge", str(two[0] / "upper"), str(tmp_path / "merged"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["max_logit_difference"] <= 1e-4
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    same_as_both(two, base, lambda tokens_BT: merged(tokens_BT).logits)


def test_exported_it_is_the_sum_of_both_as_one_lora(two, tmp_path, base):
    from peft import AutoPeftModelForCausalLM

    assert called(["export", str(two[0] / "upper"), str(tmp_path / "out")]) == 0
    names = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    theirs = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    same_as_both(two, base, lambda tokens_BT: theirs(tokens_BT).logits)


def test_blended_it_is_the_sum_of_both(two, tmp_path, base):
    assert called(["blend", str(two[0] / "upper"), "--out", str(tmp_path / "one")]) == 0
    bank = AdapterBank(base)
    (handle,) = bank.load_standing(tmp_path / "one")

    def logits(tokens_BT):
        with bank.route([handle] * len(tokens_BT)):
            return base.model(tokens_BT).logits

    same_as_both(two, base, logits)


def same_as_both(two, base, logits):
    tokens_BT = torch.arange(20).view(2, 10)
    bank = AdapterBank(base)
    row = bank.load_standing(two[0] / "upper")
    with torch.no_grad():
        with bank.route([row] * 2):
            both = base.model(tokens_BT).logits
        with bank.route([row[0]] * 2):
            assert (base.model(tokens_BT).logits - both).abs().max() > 1e-2, "the upper one does something"
        for handle in row:
            bank.remove(handle)
        torch.testing.assert_close(logits(tokens_BT), both, rtol=0, atol=1e-4)


def test_a_folder_without_an_adapter_is_refused_with_all_else(recipe, tmp_path):
    (tmp_path / "empty").mkdir()
    standing_on(recipe, "empty")
    recipe.write_text(recipe.read_text().replace("rank: 4", "targets: [atention]"))
    said = refused(recipe, tmp_path / "out")
    assert f"on = '{tmp_path}/empty': expected a finished adapter: the folder of a run or of an adapter. " in said
    assert f"{tmp_path}/empty holds no adapter_config.json, so it is no adapter folder." in said
    assert "adapter.targets = 'atention'" in said


def test_a_folder_that_is_not_there_is_refused_before_the_run_begins(recipe, tmp_path):
    said = refused(standing_on(recipe, "lowr"), tmp_path / "out")
    assert said.startswith("on = 'lowr': expected the folder of a run or of an adapter. Looked at ")
    assert not (tmp_path / "out").exists()


def test_an_adapter_in_the_run_s_own_folder_is_refused(recipe, moved):
    with pytest.raises(SpecError) as raised:
        run(standing_on(recipe, moved / "upper"), out=moved / "upper")
    said = str(raised.value)
    assert said == (
        f"on = '{moved}/upper': expected an adapter of another run. {moved}/upper/adapter lies in the folder of this "
        "run, which replaces it. Give the run another with --out."
    )


def test_an_adapter_without_a_card_is_refused(recipe, moved, tmp_path):
    (moved / "lower" / "adapter" / "graftwork.json").unlink()
    assert refused(standing_on(recipe, "lower"), tmp_path / "out") == (
        f"on = '{moved}/lower': expected an adapter that says which base it belongs to. {moved}/lower/adapter has no "
        "graftwork.json: it was made elsewhere. `graftwork blend` writes it with one."
    )


def test_an_adapter_of_another_base_is_refused(recipe, moved, tmp_path, tiny_folder):
    path = moved / "lower" / "adapter" / "graftwork.json"
    weights = json.loads(path.read_text())["base"]["weights"]
    path.write_text(path.read_text().replace(weights, "f" * 64))
    assert refused(standing_on(recipe, "lower"), tmp_path / "out") == (
        f"on = '{moved}/lower': expected an adapter of '{tiny_folder}'. It belongs to '{tiny_folder}'; they differ in "
        "weights."
    )


def test_eight_may_lie_below_and_no_more(recipe, moved, tmp_path):
    tower(moved / "lower" / "adapter", tmp_path / "tower", 9)
    standing_on(recipe, "tower/7")
    assert run(recipe, out=tmp_path / "out", until="prepare").steps["check"].summary["num_params"] > 0
    recipe.write_text(recipe.read_text().replace("tower/7", "tower/8"))
    assert refused(recipe, tmp_path / "out") == (
        f"on = '{tmp_path}/tower/8': expected an adapter that stands on at most 7 others. It stands on 8. "
        "`graftwork blend` makes one of them all."
    )


def tower(adapter, folder, height):
    """Copies of an adapter in `folder/0` and on, each of them standing on the one before."""
    for number in range(height):
        shutil.copytree(adapter, folder / str(number))
        path = folder / str(number) / "graftwork.json"
        card = json.loads(path.read_text())
        on = {"path": str(folder / str(number - 1)), "near": f"../{number - 1}", "digest": card["digest"]}
        path.write_text(json.dumps({**card, "on": on} if number else card))


@pytest.mark.parametrize("method", ["{method: prefix_tuning, positions: 5}", "{method: dora, rank: 2}"])
def test_a_method_of_any_site_can_be_stood_on(recipe, tmp_path, method):
    mine = "adapter: {rank: 4, dropout: 0.1}"
    upper = recipe.read_text()
    recipe.write_text(upper.replace(mine, f"adapter: {method}"))
    lower = run(recipe, out=tmp_path / "lower", settings=["training.steps=2"])
    recipe.write_text(upper)
    told = ["training.steps=2", "training.gradient_checkpointing=true"]
    result = run(standing_on(recipe, "lower"), out=tmp_path / "upper", settings=told)
    assert result.evaluation["loss"]["below"] == lower.evaluation["loss"]["adapter"]


def test_what_stands_below_leaves_less_room_for_tokens(recipe, tmp_path):
    asked = recipe.read_text().replace("{rank: 4, dropout: 0.1}", "{method: prefix_tuning, positions: 300}")
    recipe.write_text(asked)
    run(recipe, out=tmp_path / "lower", settings=["training.steps=1"], until="train")
    said = refused(standing_on(recipe, "lower"), tmp_path / "upper")
    assert said == "adapter.positions = 600: expected less than the base's context of 512"


def test_the_effective_recipe_can_be_fed_back_and_names_the_run_without_its_place(recipe, tmp_path, capsys, two):
    first = read_request(standing_on(recipe, two[0] / "lower"))
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "fed.yaml").write_text(effective_text(first))
    assert read_request(tmp_path / "again" / "fed.yaml") == first
    shutil.copytree(two[0] / "lower" / "adapter", tmp_path / "lower")
    assert recipe_digest(read_request(recipe, ["on=lower"])) == recipe_digest(first)
    assert recipe_digest(read_request(recipe, ["on=null"])) != recipe_digest(first)
