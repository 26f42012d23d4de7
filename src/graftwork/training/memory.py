"""Gradient checkpointing that keeps the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank


def checkpoint_activations(bank: AdapterBank) -> None:
    """Make every transformer layer of the bank's base forget its activations and recompute them in the backward pass.

    `transformers` recomputes only in training mode, which would also switch on the base's own dropout; so that mode
    is set on the layers themselves and not on what is in them. It also has the embeddings ask for gradients, which only
    its older way of recomputing needs; that is undone.
    """
    model = bank.host.model
    kwargs = {"use_reentrant": False, "context_fn": bank.recompute_contexts}
    model.activation_checkpointing_enable(activation_checkpointing_kwargs=kwargs)
    model.disable_input_require_grads()
    for module in model.modules():
        if getattr(module, "gradient_checkpointing", False):
            module.training = True


def keep_activations(bank: AdapterBank) -> None:
    """Undo `checkpoint_activations`."""
    bank.host.model.activation_checkpointing_disable()
    bank.host.model.eval()
