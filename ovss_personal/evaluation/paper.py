"""The numbers that the paper printed, in percent, to stand beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shots = int | Literal["avg"]
Place = tuple[str, str, str, Shots]  # base, benchmark, method, K; 0: none is used, avg: mean over K = 1, 3, 5

_MAIN = ("iou", "miou")
_PARTS = ("miou", "iou", "precision", "recall")
_OTHERS = ("iou", "precision", "recall")
_PAIRS = ("pairs_iou", "pairs_miou")


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        metrics: its columns, by their names in `Result`.
        cells: what it printed; a metric that is left out has no cell.
    """

    title: str
    metrics: tuple[str, ...]
    cells: dict[Place, dict[str, float]]


def _main(
    base: str, benchmark: str, text: tuple[float, float], full: tuple[float, ...]
) -> dict[Place, dict[str, float]]:
    """Text only (IoU^per, mIoU); full at K = 1, 3, 5, and on average (IoU^per, mIoU)."""
    return {
        (base, benchmark, "text", 0): dict(zip(_MAIN, text, strict=True)),
        **{(base, benchmark, "full", k): {"iou": iou} for k, iou in zip((1, 3, 5), full, strict=False)},
        (base, benchmark, "full", "avg"): dict(zip(_MAIN, full[3:], strict=True)),
    }


def _rows(
    benchmark: str, metrics: tuple[str, ...], rows: dict[tuple[str, Shots], tuple[float, ...]]
) -> dict[Place, dict[str, float]]:
    return {
        ("san_vit_b_16", benchmark, method, shots): dict(zip(metrics, values, strict=False))
        for (method, shots), values in rows.items()
    }


PAPER = {
    1: PaperTable(
        "IoU of the personal concept and of all words",
        _MAIN,
        {
            **_main("san_vit_b_16", "fss", (41.08, 55.68), (49.80, 54.09, 56.80, 53.56, 56.32)),
            **_main("san_vit_b_16", "cub", (68.25, 77.32), (76.70, 77.21, 76.80, 76.90, 77.83)),
            **_main("odise_label", "fss", (10.69, 23.86), (30.97, 33.11, 34.05, 32.71, 22.48)),
            **_main("odise_label", "cub", (0.02, 47.48), (5.39, 5.90, 5.99, 5.76, 44.99)),
        },
    ),
    2: PaperTable(
        "Precision and recall, other methods beside the paper's",
        _OTHERS,
        _rows(
            "cub",
            _OTHERS,
            {
                ("text", 0): (68.25, 92.25, 72.95),
                ("visual", 5): (0.23,),
                ("knn", 5): (1.27,),
                ("SEEM", 1): (45.54, 47.64, 90.82),
                ("seggpt", 1): (47.00, 48.56, 93.88),
                ("full", 1): (76.70,),
                ("full", 3): (77.21,),
                ("full", 5): (76.80, 84.51, 89.07),
            },
        ),
    ),
    4: PaperTable(
        "What each part of the method adds",
        _PARTS,
        _rows(
            "cub",
            _PARTS,
            {
                ("text", 0): (77.32, 68.25, 92.25, 72.95),
                ("prompt", 5): (77.89, 69.70, 74.75, 91.04),
                ("prompt+negative", 5): (77.89, 73.71, 80.07, 90.17),
                ("prompt+visual", 5): (77.65, 65.94, 70.06, 91.58),
                ("full", 5): (78.29, 76.80, 84.51, 89.07),
            },
        ),
    ),
    6: PaperTable(
        "ADE^per",
        _MAIN,
        {
            **_main("san_vit_b_16", "ade", (6.88, 17.20), (17.08, 24.80, 26.15, 22.67, 17.22)),
            **_main("odise_label", "ade", (1.24, 12.22), (9.45, 10.85, 13.43, 11.24, 12.19)),
        },
    ),
    7: PaperTable(
        "A look-alike in the same picture",
        _PAIRS,
        {
            **_rows("fss-concat", _PAIRS, {("text", 0): (28.59, 57.66), ("full", 5): (38.47, 60.09)}),
            **_rows("cub-concat", _PAIRS, {("text", 0): (24.25, 81.62), ("full", 5): (40.63, 81.71)}),
        },
    ),
}
