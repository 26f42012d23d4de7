"""From what a recipe calls its base to a folder on this machine. No torch."""

from collections.abc import Callable
from pathlib import Path

from graftwork.base.bundled import BUNDLED, bundled_folder
from graftwork.core.errors import IntegrityError, NotFoundError, did_you_mean

PREFIX = "bundled:"
FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
"""What is fetched of a hub repository: never a pickle, never code."""


def silent(_: str) -> None:
    """Says nothing."""


def locate(ref: str, *, near: Path | None = None, say: Callable[[str], None] = silent) -> Path:
    """The folder that holds the base called `ref`.

    Args:
        ref: `bundled:NAME`, a folder, or a Hugging Face id, with `@revision` if wanted.
        near: where a relative folder is looked for first.
        say: told what is going on when it takes long.

    Raises:
        NotFoundError: it is none of these, or cannot be reached from here.
        IntegrityError: the folder is there and holds no config.json.
    """
    if ref.startswith(PREFIX):
        return bundled_folder(ref.removeprefix(PREFIX), say)
    for folder in dict.fromkeys(([near / ref] if near else []) + [Path(ref).expanduser()]):
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise IntegrityError(
                    f"base {ref!r}: the folder {folder} holds no config.json, so it is no saved model."
                )
            return folder.resolve()
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        near_names = [f"{PREFIX}{name}" for name in BUNDLED]
        raise NotFoundError(
            f"base {ref!r}: no such folder, and no Hugging Face id (owner/name). {did_you_mean(ref, near_names)} "
            f"Bundled ones: {', '.join(near_names)}."
        )
    return _from_hub(ref, say)


def _from_hub(ref: str, say: Callable[[str], None]) -> Path:
    import huggingface_hub
    from huggingface_hub.utils.tqdm import disable_progress_bars

    name, _, revision = ref.partition("@")
    disable_progress_bars()
    try:  # what is in the cache needs no connection
        cached = Path(huggingface_hub.snapshot_download(name, revision=revision or None, local_files_only=True))
        if any(cached.glob("*.safetensors")):  # another tool may have fetched its config alone
            return cached
    except (OSError, ValueError):
        pass
    say(f"fetching {ref} from the Hugging Face hub")
    try:
        found = huggingface_hub.snapshot_download(
            name, revision=revision or None, allow_patterns=FILES, etag_timeout=10
        )
    except Exception as error:
        raise NotFoundError(
            f"base {ref!r} is no folder here, is not in the Hugging Face cache, and could not be fetched "
            f"({type(error).__name__}). Check the name and the connection, or give a folder."
        ) from error
    return Path(found)
