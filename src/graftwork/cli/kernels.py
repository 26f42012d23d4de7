"""How many compiled products a server keeps, decided once before torch is loaded.

oneDNN compiles a product for every shape and keeps the last 1,024, and torch keeps as many of its own beside them: with
SmolLM2 135M that is 0.26 GB. A server's steps have few numbers of rows (`serving.engine.steady`), so that fewer do.
"""

import os

KEPT = "256"
KEEPERS = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"),
    "LRU_CACHE_CAPACITY": ("LRU_CACHE_CAPACITY",),
}
"""What is set, and what a user may have set instead."""


def keep_few_products() -> None:
    """Bound what is kept of shapes that have been, unless the user has."""
    for name, names in KEEPERS.items():
        if not any(known in os.environ for known in names):
            os.environ[name] = KEPT
