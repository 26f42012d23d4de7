"""`graftwork export` and `graftwork merge`: adapters and models for other tools."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import TENSORS
from graftwork.adapters.gguf import gguf_lora, write_gguf
from graftwork.adapters.merge import MergeProof, merged_model, proof
from graftwork.adapters.own_form import TYPE as OWN
from graftwork.base.load import Base
from graftwork.base.locate import PREFIX
from graftwork.cli.opening import Opened, adapter_folder, open_adapter
from graftwork.core.errors import ConflictError, Problem, SpecError, WorkError, did_you_mean
from graftwork.core.files import read_json, write_json

PROBE = (
    "The capital of France is Paris. Two plus three is five.",
    "def add(a, b):\n    return a + b",
    "请问退款需要几天到账？一般三到五个工作日。",
)
"""Texts on which a merged model is compared with base and adapter."""

LIMITS = {"float64": 1e-6, "float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}
"""Largest mean Kullback-Leibler divergence, in nats, from applied to merged that counts as the same."""


def export_adapter(adapter: Path, out: Path, base: str | None, form: str = "peft") -> dict[str, Any]:
    """Copy an adapter that loads, strictly, on its base: PEFT's two files, or one GGUF file.

    Raises:
        SpecError: no such form, or one that cannot hold this adapter.
    """
    _refuse_existing(out)
    if form not in EXPORTS:
        raise SpecError([Problem("--format", form, f"one of {', '.join(EXPORTS)}", did_you_mean(form, EXPORTS))])
    opened = open_adapter(adapter, base, "float32")
    return EXPORTS[form](opened, adapter_folder(adapter), out)


def _export_peft(opened: Opened, folder: Path, out: Path) -> dict[str, Any]:
    config: Any = read_json(folder / FILE)
    if config["peft_type"] == OWN:
        hint = "Merge it into its base, or serve it here."
        raise SpecError([Problem("adapter.method", config["method"], "a method that PEFT knows", hint)])
    with _arriving(out) as work:
        shutil.copyfile(folder / TENSORS, work / TENSORS)
        # other tools know no `bundled:` and no relative folder; they find the base where it lies
        write_json(work / FILE, {**config, "base_model_name_or_path": _for_others(opened.bank.base)})
    return {
        "folder": str(out),
        "digest": opened.bank[opened.handle].digest(),
        "format": "PEFT",
        "files": [FILE, TENSORS],
    }


def _export_gguf(opened: Opened, folder: Path, out: Path) -> dict[str, Any]:
    adapter = opened.bank[opened.handle]
    lora = gguf_lora(adapter, opened.bank.base.facts)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as work:
        write_gguf(Path(work) / "whole", lora, out.stem)
        (Path(work) / "whole").chmod(0o644)
        (Path(work) / "whole").rename(out)
    return {
        "file": str(out),
        "digest": adapter.digest(),
        "format": "GGUF",
        "architecture": lora.architecture,
        "tensors": len(lora.tensors),
    }


EXPORTS: Mapping[str, Callable[[Opened, Path, Path], dict[str, Any]]] = {"peft": _export_peft, "gguf": _export_gguf}


def merge_adapter(adapter: Path, out: Path, base: str | None, dtype: str) -> dict[str, Any]:
    """Write base and adapter as one plain model, if it computes the same on the probe.

    Raises:
        WorkError: it does not, within the limit of its number format; nothing is written.
    """
    _refuse_existing(out)
    opened = open_adapter(adapter, base, dtype)
    model = opened.bank.base.model
    merged = merged_model(model, opened.bank[opened.handle])
    shown = _proof(opened, merged)
    if not shown.mean_kl_nats <= LIMITS[dtype]:
        raise WorkError(
            f"merged and applied differ by {shown.mean_kl_nats:.3g} nats on the probe, more than {LIMITS[dtype]:g} for "
            f"{dtype}. Nothing was written. Merge in a wider format (--dtype float32), or serve the adapter as it is."
        )
    with _arriving(out) as work:
        merged.save_pretrained(work)  # type: ignore[operator]
        opened.bank.base.chat.tokenizer.save_pretrained(work)
        if (told := opened.bank.base.folder / "generation_config.json").is_file():
            shutil.copyfile(told, work / told.name)
        for path in work.iterdir():
            path.chmod(0o644)
    return {"folder": str(out), "dtype": dtype, "limit_kl_nats": LIMITS[dtype], **asdict(shown)}


def _for_others(base: Base) -> str:
    return str(base.folder) if base.ref.startswith(PREFIX) or Path(base.ref).is_dir() else base.ref


def _proof(opened: Opened, merged: torch.nn.Module) -> MergeProof:
    tokenizer, model = opened.bank.base.chat.tokenizer, opened.bank.base.model
    applied, plain = [], []
    for text in PROBE:
        tokens_BT = torch.tensor([tokenizer(text)["input_ids"]], device=opened.bank.base.device)
        with torch.no_grad():
            with opened.bank.route([opened.handle]):
                applied.append(model(input_ids=tokens_BT).logits[0])
            plain.append(merged(input_ids=tokens_BT).logits[0])
    return proof(torch.cat(applied), torch.cat(plain))


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise ConflictError(f"{out} is there already. Choose another name or move it away.")


@contextmanager
def _arriving(out: Path) -> Iterator[Path]:
    """A folder that gets its name when all that belongs in it is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as work:
        whole = Path(work) / "whole"
        whole.mkdir()
        yield whole
        whole.rename(out)
