"""Data sets of the Hugging Face hub: the real client against a hub on this machine, in processes of their own."""

import json
import os
import subprocess
import sys

import pytest
from tests.support.hub_server import COMMIT, serving

pytest.importorskip("datasets", reason="the extra graftwork[hub] is not installed")


@pytest.fixture
def prepared(tmp_path, tiny_folder):
    """`prepared(source)`: `graftwork prepare` on it, with the hub where the client looks for one."""
    server, address = serving()

    def prepare(source, **environment):
        data = {"train": source, "evaluation": {"fraction": 0.2}}
        asked = {"name": "hub", "base": str(tiny_folder), "data": data, "adapter": {"rank": 2}}
        (tmp_path / "hub.yaml").write_text(json.dumps(asked))
        words = ["prepare", str(tmp_path / "hub.yaml"), "--out", str(tmp_path / "run"), "--json"]
        home = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", **environment}
        command = [sys.executable, "-m", "graftwork.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **home})

    yield prepare
    server.shutdown()
    server.server_close()


def test_a_data_set_is_read_at_the_commit_that_its_name_means_now(prepared):
    done = prepared({"path": "hf:me/tiny", "split": "train"})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)["steps"]["prepare"]
    assert report["num_rows"] == 20
    assert report["sources"] == [
        {"file": f"hf:me/tiny@{COMMIT}", "layout": "classification", "num_rows": 20, "num_usable": 20}
    ]


def test_the_names_of_labels_are_learned_and_not_their_numbers(prepared, tmp_path):
    assert prepared({"path": "hf:me/tiny@main", "split": "test"}).returncode == 0
    lines = (tmp_path / "run" / "data" / "train.jsonl").read_text().strip().split("\n")
    assert {json.loads(line)["messages"][-1]["content"] for line in lines} == {"calm", "angry"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"path": "hf:me/tiny", "split": "trian"}, "trian"),
        ({"path": "hf:me/tiny"}, "expected one of train, test"),
        ("hf:nobody/nothing", "hf:nobody/nothing cannot be had from the hub"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_in_words(source, said, prepared):
    done = prepared(source)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_network_it_says_so(prepared):
    done = prepared("hf:me/tiny", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "cannot be had from the hub" in done.stderr
    assert "Traceback" not in done.stderr
