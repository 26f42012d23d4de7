"""Whatever the input: every row is used or kept back, once, and the sums of the report say so."""

import json
from itertools import count, pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.pipeline.run import run

SAID = ("refund", "order", "退款", "订单", "card", "银行", "letter", "13800138000", "王小明", "a@b.example")
WORDS = st.lists(st.sampled_from(SAID), max_size=12)
GOOD = st.builds(
    lambda asked, said, n: json.dumps(
        {"prompt": f"{n} {' '.join(asked)}", "completion": " ".join(said) + f" {n}"}, ensure_ascii=False
    ).encode(),
    WORDS,
    WORDS,
    st.integers(0, 9),
)
ODD = st.sampled_from(
    [
        b"{",
        b"[]",
        b'{"prompt": "x"}',
        b'{"prompt": "x", "completion": ""}',
        b'{"prompt": "x", "completion": "\xff"}',
        b'{"prompt": "x", "completion": "<|im_end|>"}',
        json.dumps({"prompt": "long", "completion": "One more sentence, and then another. " * 60}).encode(),
        json.dumps({"prompt": "loop", "completion": "haha " * 200}).encode(),
        json.dumps({"prompt": "é", "completion": "cafÃ© au lait"}).encode(),
        b"\x00\x01\x02",
    ]
)
OTHER = GOOD | ODD | st.binary(max_size=30).map(lambda b: b.replace(b"\n", b""))
LINES = st.tuples(st.lists(GOOD, min_size=8, max_size=20, unique=True), st.lists(OTHER, max_size=20))
FOLDERS = count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    LINES.map(lambda both: [*both[0], *both[1]]).flatmap(st.permutations),
    st.sampled_from(["off", "mask", "drop"]),
)
def test_every_row_is_used_or_kept_back_and_the_sums_say_so(tmp_path, tiny_folder, lines, privacy):
    folder = tmp_path / str(next(FOLDERS))
    folder.mkdir()
    (folder / "rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    data = {"train": "rows.jsonl", "evaluation": {"fraction": 0.4}, "layout": "prompt_completion", "max_tokens": 128}
    if privacy != "off":
        data["privacy"] = {"mode": privacy}
    asked = {"name": "dirty", "base": str(tiny_folder), "data": data, "adapter": {"rank": 2}}
    (folder / "dirty.yaml").write_text(json.dumps(asked))
    try:
        report = run(folder / "dirty.yaml", out=folder / "run", until="prepare").steps["prepare"].summary
    except SpecError:
        return  # too little is left; raised with words only
    steps = report["flow"]
    for before, after in pairwise(steps):
        assert before["out"] == after["in"]
    assert all(step["in"] - sum(step["quarantined"].values()) == step["out"] for step in steps)
    used = [one["origin"]["line"] for side in ("train", "evaluation") for one in read(folder, f"{side}.jsonl")]
    kept_back = [one["line"] for one in read(folder, "quarantine.jsonl")]
    there = [n for n, line in enumerate(lines, 1) if line.strip()]
    assert sorted(used + kept_back) == there
    assert report["num_rows"] == len(there)
    assert steps[-1]["out"] == len(used)
    assert report["num_targets_lost"] == 0
    assert all(report[side]["longest_tokens"] <= 128 for side in ("train", "evaluation"))


def read(folder, name):
    lines = (folder / "run" / "data" / name).read_text("utf-8").split("\n")
    return [json.loads(line) for line in lines if line]
