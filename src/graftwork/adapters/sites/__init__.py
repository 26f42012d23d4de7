"""Where methods act in a running model: one file a kind of hook. One more kind is one more file and one import line."""

from graftwork.adapters.sites import attention_cache, block, experts, input_embedding, linear, linear_input
from graftwork.adapters.sites.hook import HOOKS

__all__ = ["HOOKS", "attention_cache", "block", "experts", "input_embedding", "linear", "linear_input"]
