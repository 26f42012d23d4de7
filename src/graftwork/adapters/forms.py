"""The forms of adapter folder. One more form is one more file and one more import line."""

from graftwork.adapters import own_form, peft_adalora, peft_ia3, peft_lora, peft_prompts

__all__ = ["LIKELIEST", "own_form", "peft_adalora", "peft_ia3", "peft_lora", "peft_prompts"]

LIKELIEST = ("LORA", "IA3", "ADALORA", "PREFIX_TUNING", "PROMPT_TUNING", "GRAFTWORK")
"""Forms to write in: the first that holds an adapter. Our own holds everything, so it comes last."""
