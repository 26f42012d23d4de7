"""All that prepared data depends on: when none of it has changed, nothing is prepared again."""

from __future__ import annotations

from typing import Any

from graftwork import __version__
from graftwork.core.digests import digest, digest_of_file
from graftwork.core.spec import plain
from graftwork.data.privacy.key import read_key
from graftwork.data.privacy.vault import proof_of
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.read import files_of
from graftwork.data.spec import HeldOut
from graftwork.data.tasks import root_of
from graftwork.pipeline.work import Work


def data_inputs(work: Work) -> dict[str, Any]:
    """What the request, its files, its key and its base say of the data."""
    spec = work.spec
    root = root_of(work.sources)
    told = {key: value for key, value in plain(spec.data).items() if key != "train"}
    return {
        "data": told if isinstance(spec.data.evaluation, HeldOut) else {**told, "evaluation": "a file"},
        "sources": [_told(source, root) for source in work.sources],
        "num_training_sources": len(spec.data.sources),
        "seed": spec.training.seed,
        "key": _of_key(work),
        "graftwork": __version__,
        "max_tokens": work.max_tokens,
        "tokenizer": work.fingerprint.tokenizer,
        "template": work.fingerprint.template,
    }


def _told(source: SourceSpec, root: str) -> dict[str, Any]:
    """What a source is and holds, wherever it lies; its weight is the training's business."""
    asked = {key: value for key, value in plain(source).items() if key not in ("path", "weight")}
    if source.is_on_hub:
        return {**asked, "path": source.path}
    return {**asked, "files": [[str(path).removeprefix(root), digest_of_file(path)] for path in files_of(source)]}


def _of_key(work: Work) -> str | None:
    """What tells one key of pseudonyms from another, and nothing about it."""
    privacy = work.spec.data.privacy
    key = None if privacy == "off" else read_key(privacy)
    return None if key is None else digest(proof_of(key).hex())
