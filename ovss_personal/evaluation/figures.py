"""IoU^per against K, and precision against recall, one colour a method."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ovss_personal.errors import OvssWarning
from ovss_personal.evaluation.cells import Cell
from ovss_personal.store.files import atomic_write

FILES = ("iou_by_shots.png", "precision_recall.png")


def write_figures(cells: Sequence[Cell], folder: Path) -> None:
    """Write both as PNG; warns (OvssWarning) and writes nothing where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        warnings.warn(
            "the figures are left out: they need matplotlib (pip install 'ovss-personal[bench]').",
            OvssWarning,
            stacklevel=3,
        )
        return
    from matplotlib.figure import Figure

    for name, draw in zip(FILES, (_iou_by_shots, _precision_recall), strict=True):
        figure = Figure(figsize=(7.5, 5), layout="constrained")  # pyplot would keep it for ever
        axes = figure.subplots()
        draw(axes, cells)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
        atomic_write(folder / name, stream.getvalue())


def _iou_by_shots(axes: Any, cells: Sequence[Cell]) -> None:
    own = [cell for cell in cells if cell.metric == "iou" and cell.shots != "avg"]
    counts = sorted({int(cell.shots) for cell in own if cell.shots})
    for method in dict.fromkeys(cell.method for cell in own):
        line = {int(cell.shots): cell for cell in own if cell.method == method}
        if set(line) == {0}:  # it uses no shots, so it is the same at every K
            axes.axhline(100 * line[0].mean, linestyle="--", color="black", label=method)
            continue
        drawn = axes.plot(list(line), [100 * cell.mean for cell in line.values()], marker="o", label=method)
        low, high = ([100 * getattr(cell, end) for cell in line.values()] for end in ("low", "high"))
        axes.fill_between(list(line), low, high, alpha=0.12, color=drawn[0].get_color())
    axes.set(xlabel="K, photos learned from", ylabel="IoU^per, %", xticks=counts, ylim=(0, 100))


def _precision_recall(axes: Any, cells: Sequence[Cell]) -> None:
    for method in dict.fromkeys(cell.method for cell in cells):
        found = {(cell.shots, cell.metric): cell for cell in cells if cell.method == method}
        counts = sorted({int(cell.shots) for cell in found.values() if cell.shots != "avg"})
        points = [(100 * found[k, "recall"].mean, 100 * found[k, "precision"].mean, k) for k in counts]
        points = [point for point in points if not math.isnan(point[1])]
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", linewidth=1, label=method)
        for recall, precision, k in points:
            axes.annotate(f"{k}" if k else "", (recall, precision), xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="recall, %", ylabel="precision, %", xlim=(0, 101), ylim=(0, 101))
