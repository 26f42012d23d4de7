"""A base without its weights: what must be known of it where another program computes with them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from graftwork.base.between import Between
from graftwork.base.discover import facts_of
from graftwork.base.fingerprint import fingerprint
from graftwork.base.head import Halves
from graftwork.base.load import DTYPES, HERE, Base, DtypeName, first_line, frozen, load_chat
from graftwork.base.locate import locate
from graftwork.core.errors import IntegrityError, WorkError


class Outline(Base):
    """A base whose model has shapes and no numbers. Adapters can be read and written for it, and nothing computed."""

    __slots__ = ()

    @property
    def device(self) -> torch.device:
        """Where adapters for it lie."""
        return torch.device("cpu")


def outline(ref: str, *, dtype: DtypeName = "bfloat16", near: Path | None = None) -> Outline:
    """The base called `ref`, as `load_base` has it but for its weights; they are read for its fingerprint alone.

    Raises:
        NotFoundError: it is not there.
        IntegrityError: its files are not whole.
    """
    folder = locate(ref, near=near)
    chat, found = load_chat(folder), fingerprint(folder)
    try:
        config: Any = AutoConfig.from_pretrained(folder, **HERE)
        with torch.device("meta"):
            model: Any = frozen(AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype]))
            facts = facts_of(model)
    except Exception as error:
        raise IntegrityError(f"{folder}: its config describes no model we know: {first_line(error)}") from error
    return Outline(
        ref=ref,
        folder=folder,
        model=model,
        halves=Halves(model.base_model, _no_logits, config.get_text_config().vocab_size),
        chat=chat,
        facts=facts,
        fingerprint=found,
        between=Between(model),
    )


def _no_logits(hidden_NH: Tensor) -> Tensor:
    raise WorkError("this base has no weights here, so nothing can be computed with it.")
