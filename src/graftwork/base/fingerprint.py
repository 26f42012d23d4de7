"""What identifies a base: digests of its weights, config, tokenizer and chat template.

The digest of the weights is over tensor names, types, shapes and bytes, so neither the number of files nor the order of
tensors in them matters. It is read from the safetensors files themselves, without torch.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any

from graftwork.core.digests import CHUNK_BYTES, digest, digest_of_chunks, digest_of_file
from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.core.files import each_key_once, read_json

VOLATILE_CONFIG = (
    "_name_or_path",
    "_model_name_or_path",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "use_cache",
)
"""Config keys that change nothing about what the base computes from given weights."""

VOLATILE_TOKENIZER = {
    "chat_template", "name_or_path", "tokenizer_class", "transformers_version", "is_local", "backend",
    "local_files_only", "processor_class", "_commit_hash",
}  # fmt: skip
"""Tokenizer settings that change no token; the template has a digest of its own."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "added_tokens.json",
)
HEADER_LIMIT_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """Digests of the four parts of a base, each SHA-256 in hex."""

    weights: str
    config: str
    tokenizer: str
    template: str

    @property
    def digest(self) -> str:
        """One digest for the whole base."""
        return digest(asdict(self))

    def differences(self, other: "Fingerprint") -> tuple[str, ...]:
        """Names of the parts in which `other` is another base."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name))


def fingerprint(folder: Path) -> Fingerprint:
    """The fingerprint of the base in `folder`.

    Raises:
        NotFoundError: the folder has no config or no safetensors weights.
        IntegrityError: a weights file is truncated or no safetensors file.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise IntegrityError(f"{folder / 'config.json'} is no mapping.")
    steady = {key: value for key, value in config.items() if key not in VOLATILE_CONFIG}
    tokenizer: dict[str, object] = {n: digest_of_file(folder / n) for n in TOKENIZER_FILES if (folder / n).is_file()}
    tokenizer["stops"] = sorted(stop_ids(None, folder))
    tokenizer["settings"] = {k: v for k, v in _tokenizer_config(folder).items() if k not in VOLATILE_TOKENIZER}
    return Fingerprint(
        weights=digest(_each_once(tensor_digests(folder), folder)),
        config=digest(steady),
        tokenizer=digest(tokenizer),
        template=digest(template_in(folder)),
    )


def template_in(folder: Path) -> object:
    """The chat template of the base in `folder`, read without loading its tokenizer; empty when it has none."""
    if (folder / "chat_template.jinja").is_file():
        try:
            return (folder / "chat_template.jinja").read_text("utf-8")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{folder / 'chat_template.jinja'} is no UTF-8 text: {error}") from error
    return _tokenizer_config(folder).get("chat_template") or ""


def stop_ids(end_id: int | None, folder: Path) -> frozenset[int]:
    """Tokens that end an answer: the tokenizer's `end_id`, and those that generation_config.json names."""
    told = read_json(folder / "generation_config.json") if (folder / "generation_config.json").is_file() else {}
    named = told.get("eos_token_id") if isinstance(told, dict) else None
    ids = [end_id, *(named if isinstance(named, list) else [named])]
    return frozenset(i for i in ids if isinstance(i, int))


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    if not (folder / "tokenizer_config.json").is_file():
        return {}
    told = read_json(folder / "tokenizer_config.json")
    return told if isinstance(told, dict) else {}


def _each_once(digests: Iterator[tuple[str, str]], folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in digests:
        if name in found:
            raise IntegrityError(f"{folder}: the tensor {name} stands in two files. Which one counts cannot be told.")
        found[name] = value
    return found


def tensor_digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and digest (type, shape, bytes) of every tensor in the safetensors files of `folder`."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotFoundError(
            f"{folder} holds no .safetensors weights. Pickled ones are never read; save the model as safetensors."
        )
    for path in files:
        yield from _digests_in(path)


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """One tensor in a safetensors file; `begin` and `end` are byte positions in the whole file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def safetensors_header(path: Path, *, limit_bytes: int = HEADER_LIMIT_BYTES) -> dict[str, TensorEntry]:
    """What a safetensors file says it holds, read without its data.

    Args:
        limit_bytes: longest header that is read.

    Raises:
        IntegrityError: the header is not whole or too long, or the file is not as long as it says.
    """
    whole = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if whole < 8 or length > min(limit_bytes, whole - 8):
            raise IntegrityError(f"{path} is no whole safetensors file ({whole} bytes). Fetch it again.")
        try:
            header = json.loads(file.read(length), object_pairs_hook=each_key_once)
            entries = {name: _entry(told, 8 + length) for name, told in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IntegrityError(f"{path}: its safetensors header is broken. Fetch it again.") from error
    end = max((entry.end for entry in entries.values()), default=8 + length)
    if whole != end:
        raise IntegrityError(f"{path} is truncated: {whole} bytes, its header says {end}. Fetch it again.")
    return entries


def _entry(told: dict[str, Any], start: int) -> TensorEntry:
    begin, end = told["data_offsets"]
    shape = tuple(told["shape"])
    if not (
        isinstance(told["dtype"], str) and all(isinstance(n, int) and n >= 0 for n in (*shape, begin, end - begin))
    ):
        raise ValueError("a tensor's type, shape or place makes no sense")
    return TensorEntry(dtype=told["dtype"], shape=shape, begin=start + begin, end=start + end)


def _digests_in(path: Path) -> Iterator[tuple[str, str]]:
    entries = safetensors_header(path)
    with path.open("rb") as file:
        for name, entry in entries.items():
            file.seek(entry.begin)
            head = json.dumps([entry.dtype, list(entry.shape)]).encode()
            sizes = (min(CHUNK_BYTES, entry.end - at) for at in range(entry.begin, entry.end, CHUNK_BYTES))
            yield name, digest_of_chunks(chain([head], (file.read(size) for size in sizes)))
