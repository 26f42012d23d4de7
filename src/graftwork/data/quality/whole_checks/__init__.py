"""The checks that need all records. One more is one more file here and one more import line."""

from graftwork.data.quality.whole_checks import contradictions, duplicates, leakage, near_duplicates

__all__ = ["contradictions", "duplicates", "leakage", "near_duplicates"]
