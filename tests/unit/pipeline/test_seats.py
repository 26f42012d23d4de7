"""Which process this one is, and what its folder holds: read whole, refused in words."""

import pytest

from graftwork.core.errors import SpecError
from graftwork.pipeline.following import mirror
from graftwork.pipeline.seats import Seat, environment_of, seat_from

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node-0",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


def test_what_torchrun_says_is_read():
    expected = Seat(rank=3, size=4, local_rank=1, local_size=2, host="node-0", port=29500, hosts_store=False)
    assert seat_from(TORCHRUN) == expected


def test_rank_0_holds_the_store_where_no_launcher_does():
    alone = {key: value for key, value in TORCHRUN.items() if not key.startswith("TORCHELASTIC")}
    assert seat_from({**alone, "RANK": "0"}).hosts_store
    assert not seat_from(alone).hosts_store
    assert not seat_from({**TORCHRUN, "RANK": "0"}).hosts_store


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"RANK": "7"}], ids=str)
def test_one_process_has_no_seat(environment):
    assert seat_from(environment) is None


def test_what_we_tell_a_helper_it_reads():
    seat = Seat(rank=1, size=2, local_rank=1, local_size=2, file="/tmp/of-ours/store")
    assert seat_from(environment_of(seat)) == seat


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(SpecError) as refused:
        seat_from({"WORLD_SIZE": "2", "RANK": "2", "MASTER_PORT": "http"})
    hint = "torchrun and accelerate set it; without them, use --processes."
    assert str(refused.value).splitlines() == [
        f"RANK = '2': expected a whole number from 0 to 1. {hint}",
        f"MASTER_PORT = 'http': expected a whole number from 1 to 65535. {hint}",
        f"MASTER_ADDR = None: expected the name of the machine of rank 0. {hint}",
    ]


def test_nothing_that_is_done_in_a_mirror_reaches_the_run(tmp_path):
    run, own = tmp_path / "run", tmp_path / "own"
    (run / "checkpoints" / "job").mkdir(parents=True)
    (run / "data").mkdir()
    (run / "superseded").mkdir()
    (run / ".lock").touch()
    for name in ("metrics.jsonl", "data/train.tokens", "checkpoints/job/step-1", "checkpoints/job/.step-2"):
        (run / name).write_text("whole")
    own.mkdir()
    mirror(run, own)
    found = {str(path.relative_to(own)) for path in own.rglob("*")}
    assert found == {"metrics.jsonl", "data", "checkpoints", "checkpoints/job", "checkpoints/job/step-1"}
    assert (own / "data" / "train.tokens").read_text() == "whole"
    with (own / "metrics.jsonl").open("a") as file:
        file.write(" and more")
    (own / "checkpoints" / "job" / "step-1").unlink()
    (own / "data").rename(own / "aside")
    assert (run / "metrics.jsonl").read_text() == "whole"
    assert (run / "checkpoints" / "job" / "step-1").read_text() == "whole"
    assert (run / "data" / "train.tokens").read_text() == "whole"
