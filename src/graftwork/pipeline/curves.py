"""Learning curves of a run: curves.html and curves.png beside its metrics."""

from __future__ import annotations

from graftwork.core.files import write_bytes, write_text
from graftwork.pipeline.metrics import METRICS, rows_in
from graftwork.pipeline.pages.curves import charts_of, curves_page
from graftwork.pipeline.pages.picture import picture
from graftwork.pipeline.work import Work

PAGE, PICTURE = "curves.html", "curves.png"


def write_curves(work: Work) -> None:
    """Draw what the metrics say."""
    folder, name = work.folder.path, work.spec.name
    rows = rows_in(folder / METRICS)
    write_text(folder / PAGE, curves_page(rows, name=name))
    write_bytes(folder / PICTURE, picture(charts_of(rows), title=f"graftwork  {name}"))
