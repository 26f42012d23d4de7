"""The page of methods says what the code says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_methods_is_as_the_catalog_is():
    written = runpy.run_path(str(ROOT / "tools" / "show_methods.py"))
    assert (ROOT / "docs" / "reference" / "methods.md").read_text("utf-8") == written["page"](), (
        "write it again: python tools/show_methods.py"
    )
