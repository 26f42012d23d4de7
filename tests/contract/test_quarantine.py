"""Rows that cannot be used: each in quarantine with file, line and reason, none lost, and too many of them refused."""

import json
from itertools import pairwise

import pytest
from tests.support.tiny_base import make_base

from graftwork.cli.main import called
from graftwork.pipeline.run import run


@pytest.fixture
def prepared(capsys, recipe, tmp_path):
    """`prepared(bad lines, settings)`: report, quarantine and training records, with those lines after 36 good ones."""

    def prepare(*lines, settings=(), code=0):
        with recipe.with_name("records.jsonl").open("ab") as file:
            for line in lines:
                file.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        words = [word for setting in settings for word in ("--set", setting)]
        out = tmp_path / "out"
        assert called(["prepare", str(recipe), "--out", str(out), *words]) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        if code:
            return said.err
        return tuple(read(out / "data" / name) for name in ("report.json", "quarantine.jsonl", "train.jsonl"))

    return prepare


def read(path):
    if path.suffix in (".json", ".vault"):
        return json.loads(path.read_text("utf-8"))
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def row(prompt, completion="yes", **more):
    return {"prompt": prompt, "completion": completion, **more}


def test_broken_json_has_its_file_and_line(prepared):
    report, quarantine, _ = prepared(b'{"prompt": "x", "completion"')
    (one,) = quarantine
    assert (one["file"], one["line"], one["step"], one["reason"]) == ("records.jsonl", 37, "read", "json")
    assert one["raw"] == '{"prompt": "x", "completion"'
    assert report["num_rows"] == 37


@pytest.mark.parametrize(
    ("bad", "step", "reason"),
    [
        (row("x", "  "), "layout", "layout"),
        (row("x", 7), "layout", "layout"),
        ({"prompt": "x"}, "layout", "layout"),
        (b"[1, 2]", "read", "not an object"),
        (b'{"prompt": "\xff", "completion": "y"}', "read", "utf-8"),
        (row("x", "<|im_end|>"), "template", "template"),
        (row("say ab 1", "abab"), "all records", "duplicates"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_kind_of_bad_row_is_kept_back_alone(bad, step, reason, prepared):
    report, quarantine, train = prepared(bad, row("a good one", "at the end"))
    assert [(one["line"], one["step"], one["reason"]) for one in quarantine] == [(37, step, reason)]
    assert quarantine[0]["detail"]
    used = report["train"]["num_records"] + report["evaluation"]["num_records"]
    assert used == 37
    assert len(train) == report["train"]["num_records"]


def test_a_contradiction_keeps_back_both(prepared):
    _, quarantine, _ = prepared(row("say ab 1", "no"))
    assert [(one["line"], one["reason"]) for one in quarantine] == [(2, "contradictions"), (37, "contradictions")]


def test_a_record_longer_than_a_row_is_cut_into_windows_and_nothing_is_lost(prepared):
    report, quarantine, _ = prepared(row("tell", " ".join(f"Part {n} is {n * n}." for n in range(60))))
    assert quarantine == []
    assert report["num_targets_lost"] == 0
    assert sum(report[side]["num_rows"] for side in ("train", "evaluation")) > 37
    assert max(report[side]["longest_tokens"] for side in ("train", "evaluation")) <= 512


def test_without_windows_a_record_longer_than_a_row_is_kept_back(prepared):
    _, quarantine, _ = prepared(row("x" * 600), settings=["data.windows=off"])
    (one,) = quarantine
    assert (one["line"], one["step"], one["reason"]) == (37, "template", "too long")
    assert "expected at most 512 tokens (data.max_tokens, or the base's context)" in one["detail"]


def test_the_sums_of_the_report_add_up(prepared):
    bad = [b"{", row("x", ""), row("say ab 1", "abab"), row("y" * 10, "é" * 3000), b"\xff\xfe"]
    report, quarantine, _ = prepared(*bad)
    steps = report["flow"]
    assert steps[0]["in"] == report["num_rows"] == 41
    for before, after in pairwise(steps):
        assert before["out"] == after["in"]
    for step in steps:
        assert step["in"] - sum(step["quarantined"].values()) == step["out"]
    assert steps[-1]["out"] == report["train"]["num_records"] + report["evaluation"]["num_records"]
    assert len(quarantine) == sum(sum(step["quarantined"].values()) for step in steps)


def test_more_than_the_recipe_allows_is_refused_with_the_reasons(prepared, tmp_path):
    said = prepared(b"{", b"}", settings=["data.most_quarantined_frac=0.01"], code=2)
    assert "2 rows kept back (read: json), the first: records.jsonl line 37 = '{': expected one JSON object" in said
    assert "data.most_quarantined_frac = '2 of 38 rows in quarantine': expected at most 0.01." in said
    assert str(tmp_path / "out" / "data" / "quarantine.jsonl") in said


def test_nothing_left_is_refused_with_what_was_wrong(prepared, recipe):
    recipe.with_name("records.jsonl").write_text("")
    said = prepared(b"{", b"nonsense", code=2)
    assert "expected records that can be used" in said
    assert "records.jsonl line 1" in said


def test_personal_data_is_in_no_file_of_the_run(prepared, tmp_path):
    number, mail = "13800138000", "zhang.wei@mail.example.cn"
    bad = [
        row(f"我的电话是{number}", f"好的，已记下 {mail}"),
        row(f"我的电话是{number}", ""),
        f'{{"prompt": "邮箱 {mail}'.encode(),
        row(f"号码 {number} 对吗", "<|im_end|>"),
    ]
    report, quarantine, train = prepared(*bad, settings=["data.privacy={mode: mask}"])
    assert report["personal_data"]["kinds"] == {"phone": 1, "email": 1} | report["personal_data"]["kinds"]
    assert len(quarantine) == 3
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert number.encode() not in content, path
            assert mail.encode() not in content, path
    written = json.dumps([train, read(tmp_path / "out" / "data" / "evaluation.jsonl")], ensure_ascii=False)
    assert "[PHONE]" in written


def test_dropping_personal_data_sets_the_whole_record_aside(prepared):
    _, quarantine, _ = prepared(row("我的电话是13800138000", "好的"), settings=["data.privacy={mode: drop}"])
    (one,) = quarantine
    assert (one["step"], one["reason"]) == ("privacy", "personal data")
    assert "13800138000" not in json.dumps(one)
    assert "[PHONE]" in one["messages"][0]["content"]


def test_any_number_of_workers_gives_the_same_bytes(recipe, tmp_path):
    assert called(["privacy", "new-key", str(tmp_path / "KEY")]) == 0
    privacy = f"data.privacy={{mode: pseudonym, key_file: {tmp_path / 'KEY'}}}"
    with recipe.with_name("records.jsonl").open("a") as file:
        for n in range(2500):
            file.write(json.dumps(row(f"question {n} about {n * 7919 % 1000}", f"call 138{n:08}")) + "\n")
        file.write("{\n")
    contents = []
    for workers in (1, 2):
        out = tmp_path / f"with-{workers}"
        run(recipe, out=out, until="prepare", workers=workers, settings=[privacy])
        contents.append({p.name: p.read_bytes() for p in (out / "data").iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]["pseudonyms.vault"]) > 100_000


def test_pseudonyms_are_restored_with_the_key_and_with_no_other(prepared, tmp_path, monkeypatch, capsys):
    for name in ("KEY", "OTHER"):
        assert called(["privacy", "new-key", str(tmp_path / name)]) == 0
    text = "我叫王小明，电话１３８－００１３－８０００"
    prepared(row(text, "好的"), settings=[f"data.privacy={{mode: pseudonym, key_file: {tmp_path / 'KEY'}}}"])
    data = tmp_path / "out" / "data"
    key = (tmp_path / "KEY").read_text().strip()
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path
    side = next(p for p in (data / "train.jsonl", data / "evaluation.jsonl") if "PHONE_" in p.read_text("utf-8"))
    words = ["privacy", "restore", str(side), str(tmp_path / "back.jsonl"), "--vault", str(data / "pseudonyms.vault")]
    assert called([*words, "--key-file", str(tmp_path / "OTHER")]) == 2
    assert not (tmp_path / "back.jsonl").exists()
    assert called([*words, "--key-file", str(tmp_path / "KEY")]) == 0
    back = [one["messages"][-2]["content"] for one in read(tmp_path / "back.jsonl")]
    assert text in back


def test_another_key_makes_other_pseudonyms_and_nothing_stale_is_kept(recipe, tmp_path):
    with recipe.with_name("records.jsonl").open("a") as file:
        file.write(json.dumps(row("我的电话是13800138000", "好的"), ensure_ascii=False) + "\n")
    settings = [f"data.privacy={{mode: pseudonym, key_file: {tmp_path / 'KEY'}}}"]
    vaults = []
    for _ in range(2):
        (tmp_path / "KEY").unlink(missing_ok=True)
        assert called(["privacy", "new-key", str(tmp_path / "KEY")]) == 0
        run(recipe, out=tmp_path / "out", until="prepare", settings=settings)
        vaults.append(read(tmp_path / "out" / "data" / "pseudonyms.vault"))
    assert vaults[0] != vaults[1]


TOOLED = (
    "{% if tools %}{{ '<|im_start|>tools\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize("mode", ["mask", "drop"])
def test_personal_data_in_tools_is_personal_data(mode, prepared, recipe, tiny_folder, tmp_path):
    base = make_base(tmp_path / "tooled", template=TOOLED)
    recipe.write_text(recipe.read_text().replace(str(tiny_folder), str(base)))
    tool = {"type": "function", "function": {"name": "call", "description": "rings 13800138000 for a.b@mail.example"}}
    turns = [{"role": "user", "content": "ring"}, {"role": "assistant", "content": "ringing"}]
    recipe.with_name("chats.jsonl").write_text(json.dumps({"messages": turns, "tools": [tool]}) + "\n")
    prepared(settings=[f"data.privacy={{mode: {mode}}}", "data.train=[records.jsonl, chats.jsonl]"])
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"13800138000" not in content, path
        assert b"a.b@mail.example" not in content, path


def test_personal_data_in_rows_that_cannot_be_read_is_masked_too(prepared, tmp_path):
    name = json.dumps("我叫王小明")[1:-1]
    bad = [
        b'{"prompt": "mail me\\n13800138000 now", "completion": ',
        f'{{"prompt": "{name}，请回电", "completion": '.encode(),
        b'{"prompt": "' + b"x" * 1960 + b' call 13800138000 again", "completion": ',
    ]
    _, quarantine, _ = prepared(*bad, settings=["data.privacy={mode: mask}"])
    assert len(quarantine) == 3
    for path in (tmp_path / "out").rglob("*"):
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
        for told in ("13800138000", "1380013800", "王小明", name[-12:]):
            assert told not in text, (path, told)


def test_a_held_out_question_with_another_label_is_not_trained_on(prepared, recipe):
    recipe.with_name("held.jsonl").write_text("".join(json.dumps(row(f"q{n}?", "no")) + "\n" for n in range(4)))
    _, quarantine, train = prepared(row("q1?", "yes"), settings=["data.evaluation=held.jsonl"])
    assert [(one["line"], one["reason"]) for one in quarantine] == [(37, "leakage")]
    assert len(train) == 36


def test_files_that_change_sides_are_prepared_anew(recipe, tmp_path):
    for name, words in (("one", "ab"), ("two", "cd"), ("three", "ef")):
        lines = [json.dumps(row(f"{name} {n} {words * n}", f"{words}{n}")) for n in range(8)]
        recipe.with_name(f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    seen = []
    for train, held in (("one.jsonl", ["two", "three"]), ("[one.jsonl, two.jsonl]", ["three"])):
        content = "".join(recipe.with_name(f"{name}.jsonl").read_text() for name in held)
        recipe.with_name("held.jsonl").write_text(content)
        settings = [f"data.train={train}", "data.evaluation=held.jsonl"]
        done = run(recipe, out=tmp_path / "out", until="prepare", settings=settings)
        seen.append(done.steps["prepare"].summary["train"]["num_records"])
    assert seen == [8, 16]


def test_what_is_prepared_anew_leaves_nothing_of_other_data_beside_it(recipe, tmp_path):
    with recipe.with_name("records.jsonl").open("a") as file:
        file.write(json.dumps(row("我的电话是13800138000", "好的"), ensure_ascii=False) + "\n")
    out = tmp_path / "out"
    assert called(["prepare", str(recipe), "--out", str(out), "--preview", "40"]) == 0
    assert (out / "data" / "preview.html").exists()
    run(recipe, out=out, until="evaluate")
    run(recipe, out=out, until="prepare", settings=["data.privacy={mode: mask}"])
    assert not (out / "data" / "preview.html").exists()
    assert not (out / "adapter").exists()
    assert "evaluate" not in read(out / "run.json")["steps"]
    assert {path.name for path in (out / "superseded").iterdir()} == {"adapter-1", "evaluation.json-1"}
