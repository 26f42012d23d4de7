"""`graftwork export` and `graftwork merge`: adapters and models for other tools."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.arithmetic import added
from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import TENSORS
from graftwork.adapters.files import write_adapter
from graftwork.adapters.gguf import gguf_lora, write_gguf
from graftwork.adapters.merge import MergeProof, merged_model, proof
from graftwork.adapters.own_form import TYPE as OWN
from graftwork.adapters.standing import adapter_folder
from graftwork.base.load import Base
from graftwork.base.locate import PREFIX
from graftwork.base.quantised import dequantise, scheme_of
from graftwork.cli.opening import Opened, open_adapter
from graftwork.core.errors import ConflictError, Problem, SpecError, WorkError, did_you_mean
from graftwork.core.files import arriving, read_json, write_json
from graftwork.pipeline.reporting import README

PROBE = (
    "The capital of France is Paris. Two plus three is five.",
    "def add(a, b):\n    return a + b",
    "请问退款需要几天到账？一般三到五个工作日。",
)
"""Texts on which a merged model is compared with base and adapter."""

LIMITS = {"float64": 1e-6, "float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}
"""Largest mean Kullback-Leibler divergence, in nats, from applied to merged that counts as the same."""

QUANTISED_LIMITS = {"int8": 2e-2, "int4": 5e-2}
"""The same for a model that is put into 8 or 4 bits again: its weights move in wider steps."""

LOST_FRAC = 0.25
"""Most of what an adapter changes that 8 or 4 bits may round away: divergence from applied to merged, as a share of
that from applied to the base alone."""


def export_adapter(adapter: Path, out: Path, base: str | None, form: str = "peft") -> dict[str, Any]:
    """Copy an adapter that loads, strictly, on its base: PEFT's two files, or one GGUF file.

    One that stands on others is written as the one LoRA that they come to together.

    Raises:
        SpecError: no such form, or one that cannot hold this adapter, or the sum of it and of what it stands on.
    """
    _refuse_existing(out)
    if form not in EXPORTS:
        raise SpecError([Problem("--format", form, f"one of {', '.join(EXPORTS)}", did_you_mean(form, EXPORTS))])
    opened = open_adapter(adapter, base, "float32")
    at_hand = opened.bank.base
    if len(opened.row) == 1:
        return EXPORTS[form](at_hand, opened.adapters[0], adapter_folder(adapter), out)
    whole = added([(one, 1.0) for one in opened.adapters])  # other tools know no adapter on top of another
    with tempfile.TemporaryDirectory() as work:
        write_adapter(Path(work) / "sum", whole, at_hand, {})
        _copy_card(adapter_folder(adapter), Path(work) / "sum")  # it is of the adapter on all that it stands on
        return EXPORTS[form](at_hand, whole, Path(work) / "sum", out)


def _export_peft(base: Base, adapter: Adapter, folder: Path, out: Path) -> dict[str, Any]:
    config: Any = read_json(folder / FILE)
    if config["peft_type"] == OWN:
        hint = "Merge it into its base, or serve it here."
        raise SpecError([Problem("adapter.method", config["method"], "a method that PEFT knows", hint)])
    with arriving(out) as work:
        shutil.copyfile(folder / TENSORS, work / TENSORS)
        # other tools know no `bundled:` and no relative folder; they find the base where it lies
        write_json(work / FILE, {**config, "base_model_name_or_path": _for_others(base)})
        _copy_card(folder, work)
    return {
        "folder": str(out),
        "digest": adapter.digest(),
        "format": "PEFT",
        "files": [name for name in (FILE, TENSORS, README) if (out / name).is_file()],
    }


def _copy_card(folder: Path, out: Path) -> None:
    """The model card goes along, where one was written."""
    if (folder / README).is_file():
        shutil.copyfile(folder / README, out / README)


def _export_gguf(base: Base, adapter: Adapter, _: Path, out: Path) -> dict[str, Any]:
    lora = gguf_lora(adapter, base.facts)
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


EXPORTS: Mapping[str, Callable[[Base, Adapter, Path, Path], dict[str, Any]]] = {
    "peft": _export_peft,
    "gguf": _export_gguf,
}


def merge_adapter(
    adapter: Path, out: Path, base: str | None, dtype: str, quantised: str | None = None
) -> dict[str, Any]:
    """Write base and adapter, with all that it stands on, as one plain model, if it computes the same on the probe.

    A base in 8 or 4 bits is merged, put into as many bits again, and measured as such; what is written are the weights
    that it then computes with, so that putting them into as many bits once more gives the measured model.

    Args:
        quantised: off, int8 or int4; None for what it was in the adapter's training.

    Raises:
        WorkError: it does not, within the limit of its number format; nothing is written.
    """
    _refuse_existing(out)
    opened = open_adapter(adapter, base, dtype, quantised)
    model = opened.bank.base.model
    scheme = scheme_of(model)
    merged = merged_model(model, *opened.adapters)
    shown = _proof(opened, merged)
    told: dict[str, Any] = {}
    limit = LIMITS[dtype]
    if scheme != "off":
        alone = _proof(opened, model).mean_kl_nats
        limit = min(QUANTISED_LIMITS[scheme], LOST_FRAC * alone)
        told = {"quantised": scheme, "base_kl_nats": alone}
    _refuse_drift(shown, limit, dtype if scheme == "off" else scheme)
    dequantise(merged)
    with arriving(out) as work:
        merged.save_pretrained(work)  # type: ignore[operator]
        opened.bank.base.chat.tokenizer.save_pretrained(work)
        if (wishes := opened.bank.base.folder / "generation_config.json").is_file():
            shutil.copyfile(wishes, work / wishes.name)
        for path in work.iterdir():
            path.chmod(0o644)
    return {"folder": str(out), "dtype": dtype, "limit_kl_nats": limit, **told, **asdict(shown)}


def _for_others(base: Base) -> str:
    return str(base.folder) if base.ref.startswith(PREFIX) or Path(base.ref).is_dir() else base.ref


def _proof(opened: Opened, merged: torch.nn.Module) -> MergeProof:
    tokenizer, model = opened.bank.base.chat.tokenizer, opened.bank.base.model
    applied, plain = [], []
    for text in PROBE:
        tokens_BT = torch.tensor([tokenizer(text)["input_ids"]], device=opened.bank.base.device)
        with torch.no_grad():
            with opened.bank.route([opened.row]):
                applied.append(model(input_ids=tokens_BT).logits[0])
            plain.append(merged(input_ids=tokens_BT).logits[0])
    return proof(torch.cat(applied), torch.cat(plain))


def _refuse_drift(shown: MergeProof, limit: float, form: str) -> None:
    if shown.mean_kl_nats <= limit:  # false for a number that is none, too
        return
    way_out = "Merge in a wider format (--dtype float32), or serve the adapter as it is."
    if form in QUANTISED_LIMITS:
        way_out = "The bits round it away. Merge it unquantised (--quantised off), or serve the adapter as it is."
    raise WorkError(
        f"merged and applied differ by {shown.mean_kl_nats:.3g} nats on the probe, more than {limit:.3g} for {form}; "
        f"{shown.agreement_frac:.1%} of the most likely tokens are the same. Nothing was written. {way_out}"
    )


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise ConflictError(f"{out} is there already. Choose another name or move it away.")
