"""The charts as a picture (PNG), for where no page can be shown. In English: the font that is always there has no more.

Drawn at twice the size and then halved, which smooths the lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from graftwork.pipeline.pages.charts import Chart, Line

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

DRAWN = 2
WIDTH, HEIGHT = 1000, 340
"""Of one chart, in pixels of the picture."""
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 64, 44
"""Room around a chart's plane."""
PAPER, INK, SOFT, GRID = "#fcfcfa", "#1c2024", "#5b6168", "#dcdcd4"
COLOURS = {"raw": "#9cc6c0", "train": "#1d6b66", "held": "#4c57a3", "base": "#a8451f"}
DASH = 10


def picture(charts: Sequence[Chart], *, title: str) -> bytes:
    """`charts` one below the other, as the bytes of a PNG file."""
    from PIL import Image, ImageDraw

    size = WIDTH * DRAWN, (HEIGHT * len(charts) + 48) * DRAWN
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    _write(draw, (LEFT, 28), title, INK, 19, "lm")
    for number, one in enumerate(charts):
        _draw(draw, one, 48 + number * HEIGHT)
    file = BytesIO()
    image.resize((size[0] // DRAWN, size[1] // DRAWN), Image.Resampling.LANCZOS).save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw(draw: ImageDraw, one: Chart, top: int) -> None:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + x * wide, top + TOP + y * high

    _write(draw, (LEFT, top + 16), f"{one.name[0]}  ({one.unit[0]})", INK, 16, "lm")
    _legend(draw, one.lines, top + 42)
    for y, words in one.ticks_y:
        _stroke(draw, [at(0, y), at(1, y)], GRID, 1)
        _write(draw, (LEFT - 10, at(0, y)[1]), words, SOFT, 13, "rm")
    for x, words in one.ticks_x:
        _write(draw, (at(x, 1)[0], at(x, 1)[1] + 14), words, SOFT, 13, "mm")
    _write(draw, (WIDTH - RIGHT, top + HEIGHT - 10), "optimizer steps", SOFT, 13, "rm")
    for line in one.lines:
        _line(draw, line, [at(x, y) for x, y in line.points])


def _legend(draw: ImageDraw, lines: Sequence[Line], y: float) -> None:
    x = float(LEFT)
    for line in lines if len(lines) > 1 else ():
        _line(draw, line, [(x, y), (x + 26, y)], dots=False)
        _write(draw, (x + 34, y), line.name[0], SOFT, 13, "lm")
        x += 34 + draw.textlength(line.name[0], font=_font(13)) / DRAWN + 28


def _line(draw: ImageDraw, line: Line, points: list[tuple[float, float]], *, dots: bool = True) -> None:
    colour = COLOURS[line.sort]
    if line.sort == "base":  # from left to right, in dashes
        (left, y), (right, _) = points[0], points[-1]
        for begin in range(round(left), round(right), 2 * DASH):
            _stroke(draw, [(begin, y), (min(begin + DASH, right), y)], colour, 2)
        return
    _stroke(draw, points, colour, 1 if line.sort == "raw" else 2)
    if dots and (line.sort == "held" or len(points) == 1):
        for x, y in points:
            draw.ellipse([(x - 4) * DRAWN, (y - 4) * DRAWN, (x + 4) * DRAWN, (y + 4) * DRAWN], fill=colour)


def _stroke(draw: ImageDraw, points: Sequence[tuple[float, float]], colour: str, width: int) -> None:
    if len(points) > 1:
        draw.line([(x * DRAWN, y * DRAWN) for x, y in points], fill=colour, width=width * DRAWN, joint="curve")


def _write(draw: ImageDraw, at: tuple[float, float], words: str, colour: str, size: int, anchor: str) -> None:
    draw.text((at[0] * DRAWN, at[1] * DRAWN), words, fill=colour, font=_font(size), anchor=anchor)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size * DRAWN)
