"""Recipes trained together end with the bytes that each has alone, whatever happens to the others."""

import json
from pathlib import Path

import pytest
from tests.support.tiny_base import make_base

from graftwork.core.errors import Interrupted, SpecError
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run_spec
from graftwork.pipeline.together import run_together
from graftwork.pipeline.watch import Quiet

WANTED = {
    "small": ({"method": "lora", "rank": 1}, {"steps": 5, "batch_size": 2, "learning_rate": 0.01}),
    "dropped": ({"method": "lora", "rank": 8, "dropout": 0.3}, {"steps": 7, "batch_size": 3, "accumulation": 2}),
    "large": ({"method": "lora", "rank": 32, "targets": ["attention"]}, {"steps": 3, "seed": 5, "spectral_cap": 0.6}),
    "dora": ({"method": "dora", "rank": 4}, {"steps": 6, "batch_size": 5, "optimizer": {"weight_decay": 0.1}}),
    "ia3": ({"method": "ia3"}, {"steps": 4, "learning_rate": 0.05, "schedule": {"kind": "cosine"}}),
    "prefix": ({"method": "prefix_tuning", "positions": 3}, {"steps": 5, "learning_rate": 0.02}),
    "ranks": ({"method": "adalora", "rank": 2}, {"steps": 8, "batch_size": 4}),
    "rows": ({"method": "lora", "rank": 2}, {"steps": 3, "packing": "off", "batch_size": 3}),
}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory, tiny_folder):
    """`recipes(dtype)`: what is wanted, each with records of its own."""
    folder = tmp_path_factory.mktemp("recipes")
    whole_vectors = make_base(folder / "base", mlp_width=64)

    def wanted(dtype="float32", names=tuple(WANTED), *, joins=True):
        return [written(folder, name, dtype, whole_vectors if joins else tiny_folder) for name in names]

    return wanted


def written(folder, name, dtype, base):
    adapter, training = WANTED[name]
    rows = [{"prompt": f"{name} says {i}" * (1 + i % 3), "completion": f"{name[::-1]} {i}"} for i in range(20)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {
        "name": name,
        "base": str(base),
        "dtype": dtype,
        "data": {"train": f"{name}.jsonl", "evaluation": {"fraction": 0.2}},
        "adapter": adapter,
        "training": {"checkpoint_every": 2, **training},
    }
    path = folder / f"{name}-{dtype}.yaml"
    path.write_text(json.dumps(asked))
    return read_request(path, [])


def alone(specs, out):
    return {spec.name: run_spec(spec, out=out / spec.name, until="train").steps["train"].summary for spec in specs}


def together(specs, out, **told):
    outcomes = run_together(specs, out=out, evaluates=False, **told)
    assert not outcomes.failures
    return {name: result.steps["train"].summary for name, result in outcomes.results.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_each_ends_with_the_bytes_that_it_has_alone(recipes, tmp_path, dtype):
    specs = recipes(dtype)
    expected = alone(specs, tmp_path / "alone")
    for most_tokens in (4096, 64):
        found = together(specs, tmp_path / f"together-{most_tokens}", most_tokens=most_tokens)
        assert found.keys() == expected.keys()
        for name, summary in found.items():
            assert summary["adapter_digest"] == expected[name]["adapter_digest"], name
            assert summary["num_steps"] == expected[name]["num_steps"]
    assert len({summary["adapter_digest"] for summary in expected.values()}) == len(specs)


def test_where_rows_do_not_keep_their_bits_each_has_passes_of_its_own(recipes, tmp_path):
    specs = recipes(names=("small", "dropped", "prefix"), joins=False)
    expected = alone(specs, tmp_path / "alone")
    found = together(specs, tmp_path / "out")
    assert {n: s["adapter_digest"] for n, s in found.items()} == {n: s["adapter_digest"] for n, s in expected.items()}


class StopAfter(Quiet):
    """Asks to stop after so many steps in all."""

    def __init__(self, steps):
        self.left = steps

    def step(self, report):
        self.left -= 1

    def should_stop(self):
        return self.left <= 0


def one_for_all(watch):
    return lambda name: watch


def test_stopped_together_they_go_on_together_or_alone(recipes, tmp_path):
    specs = recipes(names=("small", "dropped", "dora", "ranks"))
    expected = alone(specs, tmp_path / "alone")
    with pytest.raises(Interrupted):
        run_together(specs, out=tmp_path / "out", evaluates=False, watch_of=one_for_all(StopAfter(9)))
    by_itself = run_spec(specs[1], out=tmp_path / "out" / "dropped", until="train").steps["train"].summary
    assert by_itself["adapter_digest"] == expected["dropped"]["adapter_digest"]
    found = together(specs, tmp_path / "out")
    assert {n: s["adapter_digest"] for n, s in found.items()} == {n: s["adapter_digest"] for n, s in expected.items()}


def test_one_that_fails_does_not_disturb_the_others(recipes, tmp_path):
    good, (bad,) = recipes(names=("small",)), recipes(names=("dropped",))
    broken = bad.model_copy(update={"training": bad.training.model_copy(update={"learning_rate": 1e38})})
    expected = alone(good, tmp_path / "alone")
    outcomes = run_together([*good, broken], out=tmp_path / "out", evaluates=False)
    assert outcomes.results["small"].steps["train"].summary["adapter_digest"] == expected["small"]["adapter_digest"]
    assert list(outcomes.failures) == ["dropped"]
    assert "must be finite" in str(outcomes.failures["dropped"])
    assert not (tmp_path / "out" / "dropped" / "adapter").exists()


def test_what_cannot_share_a_base_is_told_at_once(recipes, tmp_path):
    (first,), (other,) = recipes(names=("small",)), recipes("bfloat16", names=("dora",))
    with pytest.raises(SpecError) as told:
        run_together([first, other, first], out=tmp_path)
    assert str(told.value).splitlines() == [
        "recipe 2 (dora).dtype = 'bfloat16': expected 'float32', as in small",
        "recipe 3 (small).name = 'small': expected a name that no other of them has",
    ]
    assert not list(Path(tmp_path).iterdir())
