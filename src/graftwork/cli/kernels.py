"""How many compiled products a server keeps, decided once before torch is loaded.

oneDNN compiles a product for every shape and keeps the last 1,024, and torch keeps as many of its own beside them. A
server's steps have another number of rows each time, so it grows for an hour: by 0.26 GB beside the 0.29 GB that it
needs, with SmolLM2 135M. With 64 it grew by 0.04 GB, and took no more of the processor: a step needs five.
"""

import os

KEPT = "64"
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
