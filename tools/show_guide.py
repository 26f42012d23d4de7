"""Write into docs/guide what its first command prints.

python tools/show_guide.py
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copytree

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run each guide's first command as a reader would, and put its output after it in both languages."""
    for english in sorted(ROOT.glob("docs/guide/*.md")):
        if english.name.count(".") == 1:
            write(english, english.with_suffix(".zh-CN.md"))


def write(*pages: Path) -> None:
    """One guide, in its languages."""
    command = re.search(r"^\$ graftwork (.*)$", pages[0].read_text("utf-8"), flags=re.MULTILINE)
    assert command is not None
    with tempfile.TemporaryDirectory() as folder:
        copytree(ROOT / "examples", Path(folder) / "examples")
        words = [sys.executable, "-m", "graftwork.cli", *shlex.split(command[1])]
        environment = {**os.environ, "COLUMNS": "100"}
        done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    block = f"```text\n{done.stdout}```"
    for page in pages:
        text = page.read_text("utf-8")
        fresh = re.sub(r"@@OUTPUT@@|^```text\n.*?^```$", lambda _: block, text, count=1, flags=re.MULTILINE | re.DOTALL)
        page.write_text(fresh, "utf-8")


if __name__ == "__main__":
    main()
