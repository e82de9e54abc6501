"""Results as tables: Markdown for a README, the paper's numbers beside ours, CSV, and JSON for machines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ovss_personal.errors import InputError
from ovss_personal.evaluation.cells import METRICS, Cell, Run, cells
from ovss_personal.evaluation.figures import write_figures
from ovss_personal.evaluation.metrics import mean_of
from ovss_personal.evaluation.paper import PAPER, PaperTable, Place
from ovss_personal.evaluation.proposals import BaseQuality
from ovss_personal.evaluation.results import RESULTS_FILE, RUN_FILE, read_results
from ovss_personal.io.files import require_file
from ovss_personal.store.files import atomic_write

EMPTY = "–"
BY_CONCEPT = ("photo_iou", "false_alarms", "look_alike_alarms")  # metrics with a table of the concepts


def summary(run: Run) -> list[dict[str, Any]]:
    """The cells as JSON; a share of nothing is null."""
    return [{name: None if value != value else value for name, value in asdict(cell).items()} for cell in cells(run)]


def markdown(run: Run, quality: BaseQuality | None = None) -> str:
    """The table of all metrics that the benchmark has, in percent; of the concepts, if the run asks for it; and the
    paper's that the run repeats."""
    found = {(cell.method, cell.shots, cell.metric): cell for cell in cells(run)}
    known = [metric for metric in METRICS if any(cell.concepts for (*_, of), cell in found.items() if of == metric)]
    lines = [_row(["method", "K", *(METRICS[metric] for metric in known)]), _rule(2 + len(known))]
    for method, shots in dict.fromkeys((method, shots) for method, shots, _ in found):
        numbers = [_percent(found[method, shots, metric], interval=metric == "iou") for metric in known]
        lines.append(_row([method, str(shots), *numbers]))
    concepts = len({result.concept for result in run.results})
    images = sorted({cell.images for (*_, metric), cell in found.items() if metric == "iou"})
    told = " to ".join(map(str, images[:1] + images[1:][-1:]))  # fewer at a larger K, where spare shots are tests
    lines += ["", f"Each number rests on {concepts} concepts and {told} test images; in brackets, 95 % intervals."]
    if run.by_concept:
        lines += ["", concept_tables(run)]
    if quality:
        lines += ["", proposals_line(quality)]
    if run.table:
        lines += ["", paper_table(run.table, [run])]
    return "\n".join(lines) + "\n"


def concept_tables(run: Run) -> str:
    """Of each metric of `BY_CONCEPT` that the run has, a table as Markdown: a row a concept, then their means; a column
    for every method and K."""
    places = dict.fromkeys((result.method, result.shots) for result in run.results)
    heads = [f"{method}, K = {shots}" if shots else method for method, shots in places]
    tables = []
    for metric in BY_CONCEPT:
        rows: dict[str, list[float]] = {}
        for concept in dict.fromkeys(result.concept for result in run.results):
            own = [result for result in run.results if result.concept == concept]
            numbers = [mean_of([getattr(r, metric) for r in own if (r.method, r.shots) == place]) for place in places]
            rows[concept] = [own[0].best_proposal, *numbers] if metric == "photo_iou" else numbers
        if all(number != number for numbers in rows.values() for number in numbers):
            continue
        rows["mean"] = [mean_of(column) for column in zip(*rows.values(), strict=True)]
        columns = ["best proposal", *heads] if metric == "photo_iou" else heads
        lines = [_row(["concept", *columns]), _rule(1 + len(columns))]
        lines += [_row([name, *map(_number, numbers)]) for name, numbers in rows.items()]
        tables.append("\n".join([f"By concept: {METRICS[metric]}", "", *lines]))
    return "\n\n".join(tables)


def paper_tables(runs: Sequence[Run]) -> str:
    """Every table of the paper, whole, with our numbers beside its own where there are runs of them."""
    return "\n\n".join(paper_table(number, runs, whole=True) for number in PAPER) + "\n"


def paper_table(number: int, runs: Sequence[Run], whole: bool = False) -> str:
    """One of them as Markdown; where either has no number, a dash.

    A run is in it if the paper has a number of its base and benchmark there, or if the run is meant to repeat it.

    Args:
        whole: also rows of bases and benchmarks that no run is of.
    """
    table = PAPER[number]
    ours = _ours(number, table, runs)
    heads = [f"{METRICS[metric]}, {whose}" for metric in table.metrics for whose in ("ours", "paper")]
    lines = [
        f"Table {number}. {table.title}",
        "",
        _row(["base", "benchmark", "method", "K", *heads, "concepts", "images"]),
    ]
    lines.append(_rule(6 + len(heads)))
    theirs: dict[Place, dict[str, float]] = {**{place: {} for place in ours}, **table.cells}
    if not whole:
        theirs = {p: row for p, row in theirs.items() if p[:2] in {(run.base, run.benchmark) for run in runs}}
    for place in sorted(theirs, key=lambda place: _order(place, theirs, runs)):
        own = ours.get(place, {})
        numbers = []
        for metric in table.metrics:
            printed = theirs[place].get(metric)
            numbers += [_percent(own.get(metric)), EMPTY if printed is None else f"{printed:.2f}"]
        rests = next(iter(own.values()), None)
        numbers += [str(rests.concepts), str(rests.images)] if rests else [EMPTY, EMPTY]
        lines.append(_row([*map(str, place), *numbers]))
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


def write(run: Run, folder: Path, quality: BaseQuality | None = None) -> None:
    """Write `report.md`, `report.csv`, and the figures where matplotlib is installed."""
    atomic_write(folder / "report.md", markdown(run, quality).encode())
    atomic_write(folder / "report.csv", _csv(run).encode())
    write_figures(cells(run), folder)


def read_run(folder: Path) -> Run:
    """What `evaluate --out` left in a folder.

    Raises:
        InputError: it is not there, or broken.
        OutputError: a line of the results is broken.
    """
    path = require_file(folder / RUN_FILE)
    try:
        told = json.loads(path.read_text("utf-8"))
        return Run(str(told["benchmark"]), str(told["base"]), read_results(require_file(folder / RESULTS_FILE)))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"is not what evaluate --out wrote ({error}).", path=path) from error


def _ours(number: int, table: PaperTable, runs: Sequence[Run]) -> dict[Place, dict[str, Cell]]:
    ours: dict[Place, dict[str, Cell]] = {}
    for run in runs:
        if run.table == number or any(place[:2] == (run.base, run.benchmark) for place in table.cells):
            for cell in cells(run):
                if cell.metric in table.metrics:
                    ours.setdefault((run.base, run.benchmark, cell.method, cell.shots), {})[cell.metric] = cell
    return ours


def _order(place: Place, places: dict[Place, Any], runs: Sequence[Run]) -> tuple[Any, ...]:
    """By base and benchmark, then by method as run, then as printed; K rising, the mean last."""
    base, benchmark, method, shots = place
    methods = list(dict.fromkeys([*(r.method for run in runs for r in run.results), *(p[2] for p in places)]))
    return base, benchmark, methods.index(method), 99 if shots == "avg" else shots


def _csv(run: Run) -> str:
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["base", "benchmark", "method", "K", "metric", "ours", "low", "high", "paper", "concepts", "images"])
    printed = PAPER[run.table].cells if run.table else {}
    for cell in cells(run):
        theirs = printed.get((run.base, run.benchmark, cell.method, cell.shots), {}).get(cell.metric, "")
        ours = ["" if value != value else f"{100 * value:.2f}" for value in (cell.mean, cell.low, cell.high)]
        where = [run.base, run.benchmark, cell.method, cell.shots, cell.metric]
        rows.writerow([*where, *ours, theirs, cell.concepts, cell.images])
    return stream.getvalue()


def _percent(cell: Cell | None, interval: bool = True) -> str:
    if cell is None or cell.mean != cell.mean:
        return EMPTY
    between = f" [{100 * cell.low:.1f}, {100 * cell.high:.1f}]" if interval else ""
    return f"{_number(cell.mean)}{between}"


def _number(share: float) -> str:
    return EMPTY if share != share else f"{100 * share:.1f}"


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _rule(columns: int) -> str:
    return "|---" * columns + "|"
