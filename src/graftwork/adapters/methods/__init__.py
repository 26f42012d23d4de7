"""The adapter methods. One more method is one more file here and one more import line."""

from graftwork.adapters.methods import lora

__all__ = ["lora"]
