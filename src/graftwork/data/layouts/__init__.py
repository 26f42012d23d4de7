"""Layouts: how a row is a conversation. One more layout is one more file here and one more import line."""

from graftwork.data.layouts import alpaca, chat, classification, pairs, plain, preference, sharegpt  # noqa: F401
from graftwork.data.layouts.layout import LAYOUTS, Layout, LayoutError, nearest, recognise, recognised, record_of

__all__ = ["LAYOUTS", "Layout", "LayoutError", "nearest", "recognise", "recognised", "record_of"]
