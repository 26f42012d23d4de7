"""Load a base: weights, tokenizer, facts and fingerprint, frozen and in evaluation mode."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from graftwork.base.between import Between
from graftwork.base.discover import facts_of
from graftwork.base.facts import BaseFacts, Quantised
from graftwork.base.fingerprint import Fingerprint, fingerprint, stop_ids
from graftwork.base.head import Halves, halves
from graftwork.base.locate import locate, silent
from graftwork.base.quantised import quantise
from graftwork.base.template import ChatFormat
from graftwork.base.tensors import digest_of_tensors
from graftwork.core.errors import IntegrityError

DtypeName = Literal["float32", "bfloat16", "float16", "float64"]

Attention = Literal["auto", "sdpa", "eager", "flex_attention", "flash_attention_2"]

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}

HERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""How every file of a base is read: what lies in its folder, and no code of it, not even when asked."""

transformers_logging.disable_progress_bar()


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Base:
    """A frozen base model.

    Attributes:
        ref: what the user calls it.
        model: the `transformers` model; no parameter asks for a gradient.
        halves: the model's body and head, checked against the whole.
        chat: how it writes conversations.
        between: lighter ways back through what lies between its linear layers.
    """

    ref: str
    folder: Path
    model: PreTrainedModel
    halves: Halves
    chat: ChatFormat
    facts: BaseFacts
    fingerprint: Fingerprint
    between: Between

    def called(self, ref: str) -> "Base":
        """The same base under the name that its user knows."""
        return replace(self, ref=ref)

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.model.parameters()).device

    def tensor_digest(self) -> str:
        """One digest over all tensors in memory, for "not a byte of the base has moved"."""
        return digest_of_tensors([*self.model.named_parameters(), *self.model.named_buffers()])


def load_base(
    ref: str,
    *,
    dtype: DtypeName = "bfloat16",
    device: str = "cpu",
    attention: Attention = "auto",
    quantised: Quantised = "off",
    near: Path | None = None,
    say: Callable[[str], None] = silent,
) -> Base:
    """Load the base called `ref`: `bundled:NAME`, a folder, or a Hugging Face id with `@revision`.

    Args:
        quantised: int8 or int4 keeps its linear layers in 8 or 4 bits; its head and all else stay in `dtype`. It is
            read whole first.

    Raises:
        NotFoundError: it is not there.
        IntegrityError: its files are not whole, or do not fill the model its config describes.
    """
    folder = locate(ref, near=near, say=say)
    chat = load_chat(folder)
    found = fingerprint(folder)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[dtype],
            attn_implementation=None if attention == "auto" else attention,
            use_safetensors=True,
            output_loading_info=True,
            experts_implementation="eager" if dtype == "float64" else None,  # grouped products know no float64
            **HERE,
        )
    except Exception as error:
        raise IntegrityError(f"base {ref!r} does not load from {folder}: {first_line(error)}") from error
    model, info = loaded
    if unfilled := sorted(info["missing_keys"]) + sorted(map(str, info["mismatched_keys"])):
        raise IntegrityError(
            f"base {ref!r}: {len(unfilled)} tensors of the model are not in its files, first {unfilled[0]!r}. "
            "They would be random. Fetch the base again."
        )
    if strange := sorted(info["unexpected_keys"]):
        raise IntegrityError(
            f"base {ref!r}: its files hold {len(strange)} tensors that the model of its config has no place for, first "
            f"{strange[0]!r}. Config and weights do not belong together."
        )
    model = frozen(model.to(device))
    facts = facts_of(model)
    quantise(model, quantised)
    return Base(
        ref=ref,
        folder=folder,
        model=model,
        halves=halves(model),
        chat=chat,
        facts=facts,
        fingerprint=found,
        between=Between(model),
    )


def load_chat(folder: Path) -> ChatFormat:
    """The tokenizer, chat template and stop tokens of the base in `folder`.

    Raises:
        IntegrityError: no fast tokenizer can be made from its files.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **HERE)
    except Exception as error:
        raise IntegrityError(f"no tokenizer can be loaded from {folder}: {first_line(error)}") from error
    if not tokenizer.is_fast:
        raise IntegrityError(f"{folder} has no fast tokenizer (tokenizer.json), which exact targets need.")
    template = tokenizer.get_chat_template() if tokenizer.chat_template else ""
    return ChatFormat(tokenizer, template, stop_ids(tokenizer.eos_token_id, folder))


def context_tokens(folder: Path) -> int | None:
    """The longest input that the positions of the base in `folder` allow; None when its config sets no limit."""
    try:
        config = AutoConfig.from_pretrained(folder, **HERE).get_text_config()
    except Exception as error:
        raise IntegrityError(f"{folder}: its config describes no model we know: {first_line(error)}") from error
    limit: int | None = getattr(config, "max_position_embeddings", None)
    return limit


def facts_from_config(folder: Path) -> BaseFacts:
    """Facts about the base in `folder` from its config alone: no weight is read."""
    try:
        config = AutoConfig.from_pretrained(folder, **HERE)
        with torch.device("meta"):
            return facts_of(AutoModelForCausalLM.from_config(config))
    except Exception as error:
        raise IntegrityError(f"{folder}: its config describes no model we know: {first_line(error)}") from error


def frozen(model: PreTrainedModel) -> PreTrainedModel:
    """`model` with no gradients, in evaluation mode (no dropout of its own), and no wishes about how to generate.

    What came with it (a repetition penalty, say) would bend answers that are asked for as greedy; its ends are in
    `ChatFormat.stop_ids`.
    """
    model.generation_config = GenerationConfig()
    model.requires_grad_(False)
    model.eval()
    return model


def first_line(error: BaseException) -> str:
    """The first line of a foreign error: the rest is for its authors."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
