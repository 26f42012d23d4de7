"""The forms of adapter folder. One more form is one more file and one more import line."""

from graftwork.adapters import own_form, peft_lora

__all__ = ["LIKELIEST", "own_form", "peft_lora"]

LIKELIEST = ("LORA", "GRAFTWORK")
"""Forms to write in: the first that holds an adapter. Our own holds everything, so it comes last."""
