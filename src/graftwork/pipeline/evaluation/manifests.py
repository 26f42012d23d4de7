"""Under which conditions subjects were evaluated, and the certificate that follows if they were equal."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from graftwork import __version__
from graftwork.base.quantised import scheme_of
from graftwork.core.digests import digest
from graftwork.evaluation.certificate.document import certificate, refusals
from graftwork.evaluation.certificate.manifest import Manifest, told
from graftwork.evaluation.certificate.overlap import overlapping
from graftwork.pipeline.evaluation.dimensions import items_digest
from graftwork.pipeline.evaluation.records import PreparedIn
from graftwork.pipeline.evaluation.replies import DECODING
from graftwork.pipeline.evaluation.trainings import Training, unseen

if TYPE_CHECKING:
    from graftwork.base.load import Base
    from graftwork.evaluation.result import EvaluationResult
    from graftwork.evaluation.spec import EvaluationSpec
    from graftwork.pipeline.evaluation.look import Looked
    from graftwork.pipeline.evaluation.subjects import AtHand

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True)
class Closely:
    """What came of the dimensions: the result, and its certificate or {"refused": [reason, ...]}."""

    result: EvaluationResult
    certificate: Mapping[str, Any]


def certified(
    looked: Looked, subjects: Sequence[AtHand], trainings: Mapping[str, Training], spec: EvaluationSpec
) -> Closely:
    """The result with a manifest of every subject, and the certificate, or every reason why none can be given.

    Args:
        trainings: of the subjects that were trained, by name.
    """
    manifests = [_manifest(one, trainings.get(one.name, Training()), looked, spec) for one in subjects]
    result = replace(looked.result, manifest={one.subject: told(one) for one in manifests})
    overlaps = overlaps_of(looked, trainings)
    claimed, without = tuple(spec.margins), unseen(trainings)
    if problems := refusals(result, manifests, overlaps=overlaps, unseen=without, claimed=claimed):
        return Closely(result, {"refused": list(map(str, problems))})
    return Closely(result, certificate(result, manifests, overlaps=overlaps, unseen=without, claimed=claimed))


def overlaps_of(looked: Looked, trainings: Mapping[str, Training]) -> dict[str, tuple[str, ...]]:
    """By dimension the items that any subject was trained on, as far as training records are here."""
    trained = trained_on(trainings.values())
    return {one.dimension.name: overlapping(trained, one.items) for one in looked.scored}


def trained_on(trainings: Iterable[Training]) -> PreparedIn:
    """All training records that are here, those of the same file once."""
    return PreparedIn(tuple({name: path for one in trainings for name, path in one.records.items()}.values()))


def _manifest(subject: AtHand, training: Training, looked: Looked, spec: EvaluationSpec) -> Manifest:
    base: Base = subject.side.bank.base
    is_full = subject.subject.kind == "full"
    prompts = {str(turn["content"]) for one in looked.scored for item in one.items for turn in _system_turns(item)}
    return Manifest(
        subject=subject.name,
        kind=subject.subject.kind,
        weights=subject.subject.digest,
        base=training.base if is_full else base.fingerprint.digest,
        evaluated_on=items_digest(looked.scored),
        trained_on=training.rows,
        order_seed=training.seed,
        training=training.about,
        template=base.fingerprint.template,
        prompts=digest(sorted(prompts)),
        decoding={
            "by": DECODING,
            "max_new_tokens": spec.max_new_tokens,
            "dtype": str(base.model.dtype).removeprefix("torch."),
            "attention": str(getattr(base.model.config, "_attn_implementation", "")),
            "quantised": scheme_of(base.model),
        },
        hardware=_hardware(base.device),
        libraries={name: version(name) for name in LIBRARIES},
        code=__version__,
    )


def _system_turns(item: Any) -> Iterator[Mapping[str, str]]:
    return (turn for question in item.questions for turn in question.prompt if turn["role"] == "system")


def _hardware(device: torch.device) -> dict[str, str | int | float | None]:
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return {"device": str(device), "name": found.name, "memory_bytes": found.total_memory}
    threads = torch.get_num_threads()
    return {"device": str(device), "name": platform.machine(), "cores": os.cpu_count(), "threads": threads}
