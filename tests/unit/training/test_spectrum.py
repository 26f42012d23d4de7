"""What is said of an update is what a decomposition of the whole update says."""

import pytest
import torch
from tests.support.methods import request, stirred

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.form import LinearForm
from graftwork.adapters.method import METHODS
from graftwork.training.spectrum import spectra, spectra_of, summary_of

LINEAR = [name for name in METHODS if METHODS[name].site == "linear"]


def update_of(form):
    """DeltaW itself, stacked for experts."""
    return form.scale * form.up_OR.double() @ form.down_RI.double()


@pytest.mark.parametrize("name", LINEAR)
def test_it_is_that_of_the_whole_update_for_every_linear_method(load, name):
    bank = AdapterBank(load("llama", "float64"))
    adapter = bank[stirred(bank, bank.fresh(request(name), seed=0, name="a"))]
    found = {one.place: one for one in spectra(bank, adapter)}
    for key, here in adapter.placed.items():
        form = here.form(bank.frozen(here.place))
        if form.down_RI is None:
            assert key not in found
            continue
        sigmas_R = torch.linalg.svdvals(update_of(form).detach())
        one = found[key]
        assert one.update == pytest.approx(sigmas_R[0].item(), rel=1e-7)
        assert one.frobenius == pytest.approx(sigmas_R.square().sum().sqrt().item(), rel=1e-7)
        assert one.stable_rank == pytest.approx((sigmas_R.square().sum() / sigmas_R[0] ** 2).item(), rel=1e-7)
        assert one.down == pytest.approx(torch.linalg.svdvals(form.down_RI.detach().double())[0].item(), rel=1e-9)
        assert one.up == pytest.approx(torch.linalg.svdvals(form.up_OR.detach().double())[0].item(), rel=1e-9)


def test_each_expert_has_its_own(load):
    bank = AdapterBank(load("mixtral", "float64"))
    spec = request("lora", targets=["experts"])
    adapter = bank[stirred(bank, bank.fresh(spec, seed=0, name="a"))]
    found = {(one.place, one.expert): one for one in spectra(bank, adapter)}
    for key, here in adapter.placed.items():
        form = here.form(bank.frozen(here.place))
        stacked = form.down_RI.ndim == 3
        for expert, update in enumerate(update_of(form).detach() if stacked else [update_of(form).detach()]):
            said = found[key, expert if stacked else None].update
            assert said == pytest.approx(torch.linalg.svdvals(update)[0].item(), rel=1e-9)


def test_a_fresh_adapter_has_updates_of_nothing(load, lora):
    bank = AdapterBank(load("llama", "float32"))
    told = spectra(bank, bank[bank.fresh(lora(), seed=0)])
    assert {(one.update, one.up, one.frobenius, one.stable_rank) for one in told} == {(0.0, 0.0, 0.0, 0.0)}
    assert all(one.down > 0 for one in told)


def test_numbers_by_hand():
    down, up = torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    (one,) = spectra_of([("here", LinearForm(down_RI=down, up_OR=up, scale=2.0))])
    assert (one.down, one.up, one.update) == pytest.approx((3.0, 2.0, 6.0))
    assert one.frobenius == pytest.approx((36 + 16) ** 0.5)
    assert one.stable_rank == pytest.approx(52 / 36)
    told = summary_of([one])
    assert (told["largest_update_at"], told["largest_factor"]) == ("here", pytest.approx(3.0))
    assert summary_of([]) == {}


def test_a_method_without_updates_has_none(load):
    bank = AdapterBank(load("llama", "float32"))
    for name in ("ia3", "prompt_tuning", "bottleneck"):
        assert spectra(bank, bank[bank.fresh(request(name), seed=0, name=name)]) == []


def test_looking_changes_nothing(training):
    looked, other = training(num_steps=4), training(num_steps=4)
    for _ in range(4):
        (report,) = looked.run(1)
        spectra(looked.bank, looked.adapter)
        looked.job = looked.job_from(report.step, 4)
    other.run()
    assert looked.adapter.digest() == other.adapter.digest()
