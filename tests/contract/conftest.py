"""The same tiny runs as in tests/e2e."""

from tests.e2e.conftest import finished, recipe, run_copy, tiny_folder

__all__ = ["finished", "recipe", "run_copy", "tiny_folder"]
