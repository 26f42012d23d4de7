"""What identifies a base: digests of its weights, config, tokenizer and chat template.

The digest of the weights is over tensor names, types, shapes and bytes, so neither the number of files nor the order of
tensors in them matters. It is read from the safetensors files themselves, without torch.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from graftwork.core.digests import CHUNK_BYTES, digest, digest_of_chunks, digest_of_file
from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.core.files import read_json

VOLATILE_CONFIG = ("_name_or_path", "_model_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache")
"""Config keys that change nothing about what the base computes from given weights."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json")
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
    tokenizer = {n: digest_of_file(folder / n) for n in TOKENIZER_FILES if (folder / n).is_file()}
    return Fingerprint(
        weights=digest(dict(sorted(tensor_digests(folder)))),
        config=digest(steady),
        tokenizer=digest(tokenizer),
        template=digest(template_in(folder)),
    )


def template_in(folder: Path) -> object:
    """The chat template of the base in `folder`, read without loading its tokenizer; empty when it has none."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text("utf-8")
    if not (folder / "tokenizer_config.json").is_file():
        return ""
    told = read_json(folder / "tokenizer_config.json")
    return (told.get("chat_template") if isinstance(told, dict) else None) or ""


def tensor_digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and digest (type, shape, bytes) of every tensor in the safetensors files of `folder`."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotFoundError(
            f"{folder} holds no .safetensors weights. Pickled weights are never read; save the model again with safetensors."
        )
    for path in files:
        yield from _digests_in(path)


def safetensors_header(path: Path) -> tuple[dict[str, dict[str, object]], int]:
    """The header of a safetensors file and where its data begins.

    Raises:
        IntegrityError: the header is not whole, or the file is shorter than it says.
    """
    whole = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if whole < 8 or length > min(HEADER_LIMIT_BYTES, whole - 8):
            raise IntegrityError(f"{path} is no whole safetensors file ({whole} bytes). Fetch it again.")
        try:
            header = json.loads(file.read(length))
            tensors = {n: t for n, t in header.items() if n != "__metadata__"}
            end = max((t["data_offsets"][1] for t in tensors.values()), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise IntegrityError(f"{path}: its safetensors header is broken. Fetch it again.") from error
    if whole != 8 + length + end:
        raise IntegrityError(f"{path} is truncated: {whole} bytes, its header says {8 + length + end}. Fetch it again.")
    return tensors, 8 + length


def _digests_in(path: Path) -> Iterator[tuple[str, str]]:
    tensors, start = safetensors_header(path)
    with path.open("rb") as file:
        for name, tensor in tensors.items():
            begin, end = tensor["data_offsets"]  # type: ignore[misc]
            file.seek(start + begin)
            head = json.dumps([tensor["dtype"], tensor["shape"]]).encode()
            sizes = (min(CHUNK_BYTES, end - at) for at in range(begin, end, CHUNK_BYTES))
            yield name, digest_of_chunks(piece for piece in _first(head, (file.read(size) for size in sizes)))


def _first(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest
