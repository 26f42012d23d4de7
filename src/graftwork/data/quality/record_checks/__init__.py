"""The checks of each record. One more is one more file here and one more import line."""

from graftwork.data.quality.record_checks import (
    boilerplate,
    empty,
    encoding,
    language,
    length,
    repetition,
    symbols,
    whitespace,
)

__all__ = ["boilerplate", "empty", "encoding", "language", "length", "repetition", "symbols", "whitespace"]
