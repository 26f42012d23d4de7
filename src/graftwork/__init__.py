"""graftwork: one frozen base model, many adapters, from raw domain data to an adapter in production.

Names load what they need when first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.load import load_base
    from graftwork.pipeline.run import run

_FROM = {
    "AdapterBank": "graftwork.adapters.bank",
    "load_base": "graftwork.base.load",
    "run": "graftwork.pipeline.run",
}

__all__ = ["AdapterBank", "__version__", "load_base", "run"]


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"graftwork has no {name!r}. There are: {', '.join(__all__)}.")
    return getattr(import_module(_FROM[name]), name)
