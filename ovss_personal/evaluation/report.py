"""Results as the table that goes into a README: percent, mean over concepts, 95 % interval of the IoU."""

from __future__ import annotations

from collections.abc import Sequence

from ovss_personal.evaluation.metrics import mean_and_interval
from ovss_personal.evaluation.proposals import BaseQuality
from ovss_personal.evaluation.runner import Result

HEADER = (
    "| method | K | IoU^per | precision | recall | false alarms | mIoU others | side by side |\n"
    "|---|---|---|---|---|---|---|---|"
)


def table(results: Sequence[Result]) -> str:
    """A Markdown table, one row a method and K, in the order in which they were run."""
    lines = [HEADER]
    for method, shots in dict.fromkeys((r.method, r.shots) for r in results):
        rows = [r for r in results if (r.method, r.shots) == (method, shots)]
        iou, interval = mean_and_interval([r.iou for r in rows])
        rest = [
            mean_and_interval([getattr(r, name) for r in rows])[0]
            for name in ("precision", "recall", "false_alarms", "others_miou", "pairs_iou")
        ]
        cells = " | ".join(f"{100 * value:.1f}" for value in rest)
        lines.append(f"| {method} | {shots} | {100 * iou:.1f} ± {100 * interval:.1f} | {cells} |")
    return "\n".join(lines)


def proposals_line(quality: BaseQuality) -> str:
    """What the base offers before anything personal, in one line."""
    figures = {
        "best proposal": quality.best_iou,
        "side by side": quality.best_iou_pairs,
        "background called a word": quality.background_called,
    }
    known = [f"{name} {100 * value:.1f}" for name, value in figures.items() if value is not None]
    return f"base alone: {', '.join(known)}"
