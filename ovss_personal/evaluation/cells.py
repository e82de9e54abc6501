"""What the results of an evaluation come to: one number for every method, number of shots and metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ovss_personal.evaluation.metrics import mean_and_interval, mean_of
from ovss_personal.evaluation.paper import Shots
from ovss_personal.evaluation.results import Result

METRICS = {
    "iou": "IoU^per",
    "photo_iou": "IoU of a photo",
    "best_proposal": "best proposal",
    "missed": "missed though proposed",
    "precision": "precision",
    "recall": "recall",
    "false_alarms": "false alarms",
    "look_alike_alarms": "look-alike alarms",
    "miou": "mIoU",
    "others_miou": "mIoU others",
    "pairs_iou": "side by side",
    "pairs_miou": "side by side, mIoU",
}


@dataclass(frozen=True)
class Run:
    """What one evaluation gave.

    Attributes:
        table: the paper's that it repeats.
        by_concept: whether its report has a table of the concepts.
    """

    benchmark: str
    base: str
    results: Sequence[Result]
    table: int | None = None
    by_concept: bool = False


@dataclass(frozen=True)
class Cell:
    """One number: mean over concepts of the means over seeds, its 95 % interval, and what it rests on."""

    method: str
    shots: Shots
    metric: str
    mean: float
    low: float
    high: float
    concepts: int
    images: int


def cells(run: Run) -> list[Cell]:
    """Every metric of every method and K, in the order in which they were run; with several K, their mean too."""
    found = []
    for method in dict.fromkeys(result.method for result in run.results):
        rows = [result for result in run.results if result.method == method]
        counts = sorted({row.shots for row in rows})
        choices: list[tuple[Shots, list[Result]]] = [(k, [row for row in rows if row.shots == k]) for k in counts]
        if len(counts) > 1:
            choices.append(("avg", rows))
        found += [_cell(method, shots, metric, of) for shots, of in choices for metric in METRICS]
    return found


def _cell(method: str, shots: Shots, metric: str, results: Sequence[Result]) -> Cell:
    by_concept: dict[str, list[Result]] = {}
    for result in results:
        by_concept.setdefault(result.concept, []).append(result)
    means = [mean_of([getattr(result, metric) for result in of_one]) for of_one in by_concept.values()]
    images = sum(_images(of[0], metric) for of in by_concept.values())
    known = sum(mean == mean for mean in means)
    return Cell(method, shots, metric, *mean_and_interval(means), concepts=known, images=images)


def _images(result: Result, metric: str) -> int:
    """How many images the metric is of."""
    if metric.startswith("pairs"):
        return result.pairs
    if metric in ("photo_iou", "best_proposal", "missed"):
        return result.positives
    return result.look_alikes if metric == "look_alike_alarms" else result.positives + result.negatives
