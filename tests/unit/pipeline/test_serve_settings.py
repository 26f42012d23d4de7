"""A server's settings: paths from where they stand, bytes with units, and nothing that is ignored."""

from dataclasses import fields

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.spec import parse, plain
from graftwork.pipeline.serve_settings import read_settings, refuse_unused
from graftwork.pipeline.service import batch_engine, steadiness
from graftwork.serving.engine.engine import EngineLimits
from graftwork.serving.spec import EngineSpec, ServeSpec
from graftwork.serving.vllm.spec import VllmSpec


@pytest.fixture
def settings(tmp_path):
    """`settings(text, **over)`: what is read of a file with this text."""

    def call(text, **over):
        (tmp_path / "serve.yaml").write_text(text)
        return read_settings(tmp_path / "serve.yaml", over)

    return call


def test_relative_paths_are_from_the_folder_of_the_settings(settings, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "bases" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    spec = settings(
        "base: bases/tiny\nguard: guard.yaml\nmodels: {cache: /var/cache}\nreceipts: {folder: r, key: k}\n"
        "logs: {destination: log/serve.jsonl}\n"
    )
    assert spec.base == str(tmp_path / "bases/tiny")
    assert spec.guard == str(tmp_path / "guard.yaml")
    assert spec.models.cache == "/var/cache"
    assert (spec.receipts.folder, spec.receipts.key) == (str(tmp_path / "r"), str(tmp_path / "k"))
    assert spec.logs.destination == str(tmp_path / "log/serve.jsonl")
    assert settings("logs: {destination: stderr}").logs.destination == "stderr"
    assert settings("base: bundled:smollm2-135m-instruct").base == "bundled:smollm2-135m-instruct"


def test_words_of_the_command_line_go_over_the_file_and_all_that_is_wrong_is_told(settings, tmp_path):
    assert settings("port: 1", port=2, host=None).port == 2
    with pytest.raises(SpecError) as refused:
        settings("guard: 3\nmodels: 4\nreceipts: {foldr: x}\nmodels_: {}\nkv_memory: 1 GiB\n")
    told = str(refused.value)
    for wrong in ("guard = 3", "models = 4", "receipts.foldr = 'x'", "models_ = {}", "kv_memory = '1 GiB'"):
        assert wrong in told
    with pytest.raises(NotFoundError):
        read_settings(tmp_path / "nowhere.yaml", {})


def test_bytes_have_units_and_receipts_can_be_off(settings):
    spec = settings("models: {memory: 4 GiB, disk: 1.5 KiB}\nreceipts: off\nengine: {kv_memory: 64 MiB}\n")
    assert (spec.models.memory, spec.models.disk, spec.engine.kv_memory) == (4 << 30, 1536, 64 << 20)
    assert spec.receipts == "off"


def test_what_adapters_from_folders_do_not_use_is_refused(settings):
    with pytest.raises(SpecError) as refused:
        refuse_unused(settings("models: {memory: 1 GiB}\nreceipts: {key: k}\n"))
    assert [one.path for one in refused.value.problems] == ["models", "receipts.key"]
    refuse_unused(settings("receipts: {key: k, folder: f}\nrates: {key: {tokens_per_minute: 9}}\n"))


def test_the_engine_is_given_all_that_is_asked_for(bank):
    names = {"kv_memory": "cache_bytes"}
    limits = {names.get(name, name): value for name, value in parse(EngineSpec, {}).model_dump().items()}
    assert limits.pop("kind") == "graftwork"
    assert EngineLimits(**limits) == EngineLimits()
    assert limits.keys() == {one.name for one in fields(EngineLimits)}
    sizes = {"max_running": 2, "max_waiting": 3, "read_tokens": 64, "threads": 1}
    asked = {"kv_memory": "1 MiB", **sizes, "packs_weights": False}
    engine = batch_engine(bank, parse(ServeSpec, {"engine": asked}).engine)
    try:
        assert engine.limits == EngineLimits(cache_bytes=1 << 20, **sizes, packs_weights=False)
    finally:
        engine.close()


def test_an_engine_is_told_by_its_name_or_by_its_settings(settings):
    assert (
        settings("{}").engine == settings("engine: graftwork").engine == settings("engine: {}").engine == EngineSpec()
    )
    assert settings("engine: {max_running: 2}").engine == EngineSpec(max_running=2)
    asked = settings("engine: {kind: vllm, max_rank: 8, kv_memory: 1 MiB}")
    assert asked.engine == VllmSpec(kind="vllm", max_rank=8, kv_memory=1 << 20)
    assert parse(ServeSpec, plain(asked)) == asked
    assert settings("{}", engine="vllm").engine == settings("engine: vllm").engine == VllmSpec(kind="vllm")


def test_the_engine_of_the_command_line_keeps_the_settings_of_the_file_that_it_has(settings):
    assert settings("engine: {kind: vllm, max_rank: 8}", engine="vllm").engine == VllmSpec(kind="vllm", max_rank=8)
    assert settings("engine: {kv_memory: 1 MiB}", engine="vllm").engine == VllmSpec(kind="vllm", kv_memory=1 << 20)
    assert settings("engine: vllm", engine="graftwork").engine == EngineSpec()
    with pytest.raises(SpecError) as refused:
        settings("engine: {read_tokens: 64}", engine="vllm")
    assert [one.path for one in refused.value.problems] == ["engine.read_tokens"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("engine: vlm", "engine.kind = 'vlm'"),
        ("engine: {kind: vlm}", "did you mean 'vllm'"),
        ("engine: {max_rank: 8}", "engine.max_rank = 8"),
        ("engine: {kind: vllm, threads: 1}", "engine.threads = 1"),
        ("engine: {kind: vllm, adapters: 2, adapters_a_step: 3}", "adapters_a_step = 3"),
        ("engine: 4", "engine = 4"),
    ],
)
def test_what_no_engine_has_is_refused(settings, text, told):
    with pytest.raises(SpecError) as refused:
        settings(text)
    assert told.casefold() in str(refused.value).casefold()


def test_vllm_serves_no_adapters_from_folders(settings):
    with pytest.raises(SpecError) as refused:
        refuse_unused(settings("engine: vllm\nmodels: {memory: 1 GiB}\n"))
    assert [one.path for one in refused.value.problems] == ["engine.kind", "models"]


def test_who_starts_it_hears_that_last_bits_may_depend_on_others_only_where_they_may():
    assert steadiness(8) == ()
    (said,) = steadiness(None)
    assert "may depend on what else is under way" in said
