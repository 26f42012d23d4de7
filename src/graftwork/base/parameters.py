"""The parameters of a base that are no adapter's: how many there are, and which stand before and behind its layers."""

from math import prod
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from graftwork.base.load import HERE, first_line
from graftwork.core.errors import IntegrityError


def outer_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """Those of the tokens' embeddings and of the head, each once; with tied embeddings they are the same."""
    found = [*model.get_input_embeddings().parameters(), *head_parameters(model)]
    return list({id(parameter): parameter for parameter in found}.values())


def head_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """Those between the last hidden states and the logits."""
    return list(model.get_output_embeddings().parameters())


def num_parameters(folder: Path) -> tuple[int, int]:
    """Numbers in all parameters of the base in `folder`, and in the outer ones of them. Reads no weight."""
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, **HERE))
    except Exception as error:
        raise IntegrityError(f"{folder}: its config describes no model we know: {first_line(error)}") from error
    return tuple(sum(prod(p.shape) for p in found) for found in (model.parameters(), outer_parameters(model)))  # type: ignore[return-value]
