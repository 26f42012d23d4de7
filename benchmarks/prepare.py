"""Preparing data: how many records and bytes a second each step takes, and what a whole `graftwork prepare` needs.

    .venv/bin/python benchmarks/prepare.py [--megabytes 1000] [--workers 2] [--rounds 3] [--folder DIR]

First every step alone, on one core, over the same rows; rounds alternate over the steps and the median counts. Then the
command line on a JSON-lines file of the size asked for, made from a seed: Chinese and English service dialogues, one in
ten with a phone number, one in twenty written twice, one in a hundred broken. Peak memory is that of all its processes
together, what they share counted once. Writes benchmarks/results/prepare_<machine>.json.
"""

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from graftwork.base.load import load_chat
from graftwork.base.locate import locate
from graftwork.core.spec import parse
from graftwork.data.encode import Encoding
from graftwork.data.layouts.layout import record_of
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.quality.judge import Judge
from graftwork.data.quality.traits import traits
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Row
from graftwork.data.sources.read import rows
from graftwork.data.spec import DataSpec
from graftwork.data.written import json_line

RESULTS = Path(__file__).parent / "results"
BASE = "bundled:smollm2-135m-instruct"
SAMPLE_ROWS = 3_000
ENGLISH = (
    "we you they can will should please check send keep open close renew cancel confirm the a your our this that form "
    "bank branch letter number office month week day before after with without under over about customer service agent"
)
CHINESE = (
    "我们 您 可以 需要 请 核对 提交 办理 开通 取消 确认 账户 银行卡 订单 退款 合同 保险 理赔 预约 处方 门诊 贷款 "
    "利率 手续 网点 柜台 客服 工作日 之内 之后 以及 如果 因为 所以 资料 申请 审核 结果 短信 通知 电话 余额 明细"
)


def said(chance: random.Random, *, chinese: bool, sentences: int) -> str:
    """Sentences that mean little and look like service."""
    words = (CHINESE if chinese else ENGLISH).split()
    made = []
    for _ in range(sentences):
        picked = chance.choices(words, k=chance.randint(6, 16))
        rare = "".join(chance.choices("etaoinshrdlucmfwypvbgk", k=chance.randint(4, 9)))
        number = chance.randint(2, 99_999)
        made.append(
            f"{''.join(picked)}{number}{rare}。" if chinese else f"{' '.join(picked).capitalize()} {rare} {number}."
        )
    return ("" if chinese else " ").join(made)


def lines(megabytes: float, seed: int = 0) -> Iterator[bytes]:
    """Lines of about so many megabytes."""
    chance = random.Random(seed)
    left = megabytes * 1e6
    while left > 0:
        chinese = chance.random() < 0.5
        answer = said(chance, chinese=chinese, sentences=chance.randint(2, 12))
        if chance.random() < 0.1:
            answer += f" {'电话' if chinese else 'Phone'} 1{chance.randint(3, 9)}{chance.randint(10**8, 10**9 - 1)}"
        asked = said(chance, chinese=chinese, sentences=2)
        line = json_line({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]})
        if chance.random() < 0.01:
            line = line[: len(line) // 2] + b"\n"
        for _ in range(2 if chance.random() < 0.05 else 1):
            left -= len(line)
            yield line


def write(path: Path, megabytes: float) -> int:
    """Write a file of lines, and return its bytes."""
    with path.open("wb") as file:
        file.writelines(lines(megabytes))
    return path.stat().st_size


def steps(path: Path) -> dict[str, Callable[[], object]]:
    """Every step over the first rows of `path`, each on what the ones before make of them."""
    source = SourceSpec(path=str(path))
    spec = parse(DataSpec, {"train": str(path), "privacy": {"mode": "mask"}})
    assert spec.privacy != "off"
    good = [row for row, _ in zip(rows(source), range(SAMPLE_ROWS), strict=False) if isinstance(row, Row)]
    records: list[Any] = [record_of(row, "chat", source, system=None, source_number=0) for row in good]
    judge, privacy = Judge(spec.quality), Deidentifier(spec.privacy, None)
    chat = load_chat(locate(BASE))
    encoding = Encoding(max_tokens=2048, overlap=128)
    return {
        "read": lambda: sum(1 for _ in zip(rows(source), range(SAMPLE_ROWS), strict=False)),
        "layout": lambda: [record_of(row, "chat", source, system=None, source_number=0) for row in good],
        "quality": lambda: [judge(record) for record in records],
        "privacy": lambda: [record.edited(lambda text: privacy.clean(text).edits) for record in records],
        "tokens": lambda: [encoding.of(record, chat) for record in records],
        "traits": lambda: traits(records, spec.quality),
    }


def each_step(path: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Records and megabytes a second of every step."""
    with path.open("rb") as file:
        num_bytes = sum(len(line) for line, _ in zip(file, range(SAMPLE_ROWS), strict=False))
    todo = steps(path)
    seconds: dict[str, list[float]] = {name: [] for name in todo}
    for _ in range(rounds):
        for name, step in todo.items():
            began = time.process_time()
            step()
            seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(told) for name, told in seconds.items()}
    return {
        name: {
            "records_per_s": SAMPLE_ROWS / middle,
            "megabytes_per_s": num_bytes / middle / 1e6,
            "spread": max(seconds[name]) / min(seconds[name]),
        }
        for name, middle in medians.items()
    }


def whole(path: Path, workers: int) -> dict[str, Any]:
    """The command line on `path`, and the most memory that all its processes held together."""
    recipe = path.with_name("recipe.yaml")
    recipe.write_text(
        f"name: prepare\nbase: {BASE}\n"
        f"data: {{train: {path.name}, evaluation: {{fraction: 0.1, most: 1000}}, privacy: {{mode: mask}}}}\n"
    )
    words = ["prepare", str(recipe), "--out", str(path.with_name("run")), "--workers", str(workers), "--json"]
    began = time.perf_counter()
    with path.with_name("said.json").open("w+b") as out:
        running = psutil.Popen([sys.executable, "-m", "graftwork.cli", *words], stdout=out)
        most_bytes, most_of_one = 0, 0
        while running.poll() is None:
            each = [memory_of(one) for one in (running, *children_of(running))]
            most_bytes, most_of_one = max(most_bytes, sum(each)), max(most_of_one, *each)
            time.sleep(0.5)
        seconds = time.perf_counter() - began
        out.seek(0)
        told = json.load(out)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, words)
    size = path.stat().st_size
    report = told["steps"]["prepare"]
    return {
        "bytes": size,
        "rows": report["num_rows"],
        "seconds": seconds,
        "megabytes_per_s": size / seconds / 1e6,
        "records_per_s": report["num_rows"] / seconds,
        "peak_bytes_of_all_processes": most_bytes,
        "peak_bytes_of_the_largest": most_of_one,
        "flow": report["flow"],
    }


def memory_of(one: psutil.Process) -> int:
    """Bytes it holds, a page of n processes counted as an nth (proportional set size); 0 when it has ended."""
    try:
        return int(one.memory_full_info().pss)
    except psutil.Error:
        return 0


def children_of(one: psutil.Process) -> list[psutil.Process]:
    """Its children; none when it has ended."""
    try:
        return list(one.children(recursive=True))
    except psutil.Error:
        return []


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=told.folder) as folder:
        path = Path(folder) / "rows.jsonl"
        write(path, told.megabytes)
        alone = each_step(path, told.rounds)
        for name, one in alone.items():
            print(f"{name:8} {one['records_per_s']:>10,.0f} records/s {one['megabytes_per_s']:>7.1f} MB/s")
        result = whole(path, told.workers)
    print(
        f"prepare: {result['rows']:,} rows, {result['bytes'] / 1e6:,.0f} MB in {result['seconds']:,.0f} s "
        f"({result['megabytes_per_s']:.2f} MB/s) with {told.workers} workers; peak memory "
        f"{result['peak_bytes_of_all_processes'] / 1e9:.2f} GB over all processes, "
        f"{result['peak_bytes_of_the_largest'] / 1e9:.2f} GB of the largest"
    )
    answer = {
        "question": "how fast is each step of preparing data, and what does a whole preparation need?",
        "steps_on_one_core": alone,
        "whole": result,
        "asked": {"megabytes": told.megabytes, "workers": told.workers, "rounds": told.rounds},
        "machine": {"processor": platform.machine(), "cores": psutil.cpu_count()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"prepare_{platform.machine()}.json").write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
