"""How the products of many adapters with few rows each are made: one file a way. One more is one file and one line."""

from graftwork.adapters.row_products import compiled, plain
from graftwork.adapters.row_products.way import WAYS, Rows, Second, Way, Work

__all__ = ["FASTEST", "WAYS", "Rows", "Second", "Way", "Work", "compiled", "plain"]

FASTEST = "compiled", "plain"
"""The order in which they are asked."""
