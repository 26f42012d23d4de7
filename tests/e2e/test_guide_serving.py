"""The page on serving is run: its commands in their order on a tiny base, its program, its files of settings."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
from tests.e2e.test_guide import ROOT, blocks
from tests.support.tiny_base import make_base

from graftwork.cli.main import called
from graftwork.core.recipe import mapping_of
from graftwork.core.spec import parse, plain
from graftwork.serving.guard.spec import GuardSpec
from graftwork.serving.spec import ServeSpec

PAGE = ROOT / "docs/guide/serving.md"
RUNS = {"demo": {}, "second": {"training.seed": 5}, "idle": {"training.steps": 1, "training.learning_rate": "1e-9"}}
BASE = "smollm2-135m-instruct"
LONG = 30
RECIPE = """\
name: demo
base: {base}
dtype: float32
data: {{train: records.jsonl, evaluation: {{fraction: 0.2}}}}
adapter: {{rank: 4}}
training: {{steps: 12, batch_size: 4, learning_rate: 3e-3, seed: 3}}
evaluation: {{answers: 2, max_new_tokens: 4}}
"""


def of_language(language):
    """Contents of the page's blocks in a language."""
    return [text for found, text in blocks(PAGE) if found == language]


def steps():
    """(command, lines that it prints) of every command of the page, in their order."""
    found = []
    for line in "".join(of_language("console")).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def shape(line):
    """What a line says without what is new every time: of JSON its keys and error code, of words all but digests."""
    if line.startswith("{"):
        told = json.loads(line)
        return [*told, told["error"]["code"]] if "error" in told else list(told)
    line = re.sub(r"http://127\.0\.0\.1:\d+", "ADDRESS", line)
    line = re.sub(r"gw_\S+", "KEY", re.sub(r"\S*/(registry-receipts)", r"\1", line))
    return re.sub(r"\b[0-9a-f]{12,}\b|\b\d+\b", "#", line)


class Reader:
    """Somebody who types what the page shows, in a folder with the runs that it speaks of."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys, self.server, self.address = folder, capsys, None, ""
        (folder / "bin").mkdir()
        program = folder / "bin" / "graftwork"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m graftwork.cli "$@"\n')
        program.chmod(0o755)
        self.env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200", "NO_PROXY": "*"}
        self.env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}", "no_proxy": "*"}

    def types(self, command):
        """The lines that a command prints."""
        if command.startswith("graftwork serve"):
            return self.serves(command)
        command = command.replace("localhost:8000", self.address.removeprefix("http://"))
        said = self.calls(command) if command.startswith("graftwork") else self.runs(command)
        if made := re.search(r"access new (\w+)", command):
            name = {"root": "ADMIN"}.get(made[1], made[1].upper())
            self.env[name] = said.split()[0]
        return said.splitlines()

    def calls(self, command):
        """What our command line prints; in this process, which has torch in memory already."""
        self.capsys.readouterr()
        assert called(shlex.split(command)[1:]) == 0, (command, self.capsys.readouterr().err)
        return self.capsys.readouterr().out

    def runs(self, command):
        """What any other command prints."""
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def serves(self, command):
        """As `types`, with the server before it ended."""
        self.leaves()
        words = f"exec {command} --base {BASE} --port 0"
        with (self.folder / "serve.log").open("w") as log:
            self.server = subprocess.Popen(
                ["bash", "-c", words], cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        lines = []
        for line in self.server.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        assert lines, (self.folder / "serve.log").read_text()
        self.address = re.search(r"http://\S+?(?=/v1)", lines[0])[0]
        if key := re.search(r"gw_\S+", "\n".join(lines)):
            self.env["KEY"] = key[0]
        return lines

    def leaves(self):
        """The server ends in good order."""
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            assert self.server.wait(LONG) == 0
            self.server.stdout.close()
            self.server = None


@pytest.fixture
def reader(tmp_path, monkeypatch, capsys):
    """A reader whose base is a tiny one of the name that the page's has."""
    make_base(tmp_path / BASE)
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in ("ab", "cd", "ef") for n in range(12)]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(base=BASE))
    (tmp_path / "body.json").write_text(of_language("json")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("GRAFTWORK_REGISTRY", "GRAFTWORK_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, settings in RUNS.items():
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        assert called(["run", "recipe.yaml", "--out", f"runs/{name}", *words]) == 0
    one = Reader(tmp_path, capsys)
    yield one
    if one.server:
        one.server.kill()
        one.server.communicate()


def test_its_commands_work_in_their_order_and_print_what_it_says(reader):
    for command, shown in steps():
        if command == "graftwork demo":
            continue
        said = reader.types(command)
        wanted = [line for line in shown if "certificate" not in line]  # whether a run is evaluated is the run's
        assert [shape(line) for line in said if "certificate" not in line] == [shape(line) for line in wanted], command
    (program,) = of_language("python")
    program = program.replace("http://localhost:8000", reader.address)
    done = subprocess.run([sys.executable, "-c", program], env=reader.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\n\d+ tokens\n$", done.stdout)
    counts = "\n".join(reader.types('curl -s localhost:8000/metrics -H "Authorization: Bearer $ADMIN"'))
    families = set(re.findall(r"^# TYPE (graftwork_\w+)", counts, flags=re.MULTILINE))
    families = {name for name in families if not name.endswith("_created")}
    named = set(re.findall(r"`(graftwork_\w+)`", PAGE.read_text("utf-8").partition("## Log")[0]))
    assert named == families
    reader.leaves()
    events = [json.loads(line)["event"] for line in (reader.folder / "serve.log").read_text().splitlines()]
    assert "name is answered by another version" in events
    assert events[-1] == "ended"


def keys_of(mapping, at=""):
    """Every key of nested mappings, as a.b.c."""
    for key, value in mapping.items():
        yield f"{at}{key}"
        if isinstance(value, dict):
            yield from keys_of(value, f"{at}{key}.")


def test_the_page_shows_every_setting_with_what_holds_when_nothing_is_said():
    *_, text = of_language("yml")
    raw = mapping_of(text, "guide")
    spec = parse(ServeSpec, raw)
    assert spec == ServeSpec()
    assert set(keys_of(raw)) == set(keys_of(json.loads(json.dumps(plain(spec)))))


def test_its_guard_and_rates_are_read():
    guard, rates, _ = of_language("yml")
    assert parse(GuardSpec, mapping_of(guard, "guide")).models["triage"].answer
    assert parse(ServeSpec, mapping_of(rates, "guide")).rates.keys


def test_both_languages_have_the_same_commands_output_and_settings():
    other = PAGE.with_suffix(".zh-CN.md")

    def without_comments(page):
        return [(language, re.sub(r" *#.*", "", text)) for language, text in blocks(page)]

    assert without_comments(PAGE) == without_comments(other)
