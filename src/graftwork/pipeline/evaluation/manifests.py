"""Under which conditions a run's subjects were evaluated, and the certificate that follows if they were equal."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from graftwork import __version__
from graftwork.core.digests import digest
from graftwork.evaluation.certificate.document import certificate, refusals
from graftwork.evaluation.certificate.manifest import Manifest
from graftwork.pipeline.evaluation.baseline import FOLDER as BASELINE
from graftwork.pipeline.evaluation.dimensions import items_digest
from graftwork.pipeline.evaluation.replies import DECODING
from graftwork.pipeline.folder import RunFolder

if TYPE_CHECKING:
    from graftwork.evaluation.result import EvaluationResult, Subject
    from graftwork.pipeline.evaluation.look import Looked
    from graftwork.pipeline.folder import Done
    from graftwork.pipeline.work import Work

ROWS = ("data/train.tokens", "data/train.targets", "data/train.index.npy")
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def manifests(work: Work, prepared: Done, looked: Looked, baseline: Done | None) -> list[Manifest]:
    """Of every subject, what it was made of and evaluated with."""
    return list(_manifests(work, prepared, looked, baseline))


def certified(
    result: EvaluationResult,
    told: Sequence[Manifest],
    overlaps: Mapping[str, Sequence[str]],
    *,
    claimed: Sequence[str],
) -> dict[str, Any]:
    """The certificate, or every reason why none can be given."""
    if problems := refusals(result, told, overlaps=overlaps, claimed=claimed):
        return {"refused": list(map(str, problems))}
    return certificate(result, told, overlaps=overlaps, claimed=claimed)


def _manifests(work: Work, prepared: Done, looked: Looked, baseline: Done | None) -> Iterator[Manifest]:
    spec, of_items = work.spec, items_digest(looked.scored)
    told = {str(turn["content"]) for one in looked.scored for item in one.items for turn in _system_turns(item)}
    for subject in looked.result.subjects:
        is_trained = subject.kind in ("adapter", "full")
        yield Manifest(
            subject=subject.name,
            kind=subject.kind,
            weights=subject.digest,
            base=work.fingerprint.digest,
            evaluated_on=of_items,
            trained_on=_trained_on(work, prepared, subject, baseline) if is_trained else "",
            order_seed=spec.training.seed if is_trained else None,
            template=work.fingerprint.template,
            prompts=digest(sorted(told)),
            decoding={
                "by": DECODING,
                "max_new_tokens": spec.evaluation.max_new_tokens,
                "dtype": spec.dtype,
                "attention": spec.attention,
                "quantised": spec.quantised,
            },
            hardware=_hardware(work.device),
            libraries={name: version(name) for name in LIBRARIES},
            code=__version__,
        )


def _system_turns(item: Any) -> Iterator[Mapping[str, str]]:
    return (turn for question in item.questions for turn in question.prompt if turn["role"] == "system")


def _trained_on(work: Work, prepared: Done, subject: Subject, baseline: Done | None) -> str:
    """Of the very rows that it was trained on, in their order; full tuning beside an adapter has a copy of its own."""
    outputs = prepared.outputs
    if baseline is not None and subject.kind == "full":
        outputs = RunFolder(work.folder.path / BASELINE).steps()["prepare"].outputs
    return digest([outputs[name] for name in ROWS])


def _hardware(device: str) -> dict[str, str | int | float | None]:
    if device.startswith("cuda"):
        found = torch.cuda.get_device_properties(device)
        return {"device": device, "name": found.name, "memory_bytes": found.total_memory}
    return {"device": device, "name": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
