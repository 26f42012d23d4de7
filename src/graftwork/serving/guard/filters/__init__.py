"""The filters, one file each."""

from graftwork.serving.guard.filters import facts, length, pattern, personal_data, words

__all__ = ["facts", "length", "pattern", "personal_data", "words"]
