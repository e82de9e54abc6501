"""What was measured as JSON, and the paper's tables with our column beside its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ovss_personal.errors import InputError
from ovss_personal.io.files import require_file
from ovss_personal.pss.scores import Scores

Data = Literal["personal", "mix-sample", "mix-all"]
Number = float | None
SCORES = ("fiou", "miou", "clean_fiou", "clean_miou")

# Means over the 15 users of the paper, in percent: FIoU and MIoU of ResNet-50, then of VGG-16.
_METHODS: dict[str, tuple[float, float, float, float]] = {
    "no-da": (51.01, 33.47, 37.58, 19.61),
    "adaptseg": (52.27, 34.95, 38.39, 21.09),
    "maxsquare": (53.20, 33.30, 40.46, 22.13),
    "fda": (54.16, 36.35, 39.27, 21.68),
    "advent": (56.59, 37.31, 44.22, 26.81),
    "mrnet": (57.02, 36.51, 39.13, 24.38),
    "group, step 1": (58.79, 37.46, 47.16, 28.00),
    "group, step 2": (59.72, 39.16, 48.19, 28.54),
}
# FIoU of VGG-16, step 1.
_CONTEXTS = {"none": 44.22, "global": 44.56, "group": 47.16}
_CONTEXT_METHODS = ("advent", "global", "group")  # the same trainer, apart from the context
_GROUPS = {"1": 46.64, "10": 46.81, "80": 47.16, "200": 46.66}
_DATA = {"mix-sample": 45.25, "mix-all": 45.56, "personal": 47.16}


@dataclass(frozen=True)
class Result:
    """One method on its users.

    Attributes:
        method: a name in `methods.METHODS`, or another for somebody else's weights.
        step: of its training.
        backbone, context: of its network.
        groups: in which the albums were grouped at inference.
        data: whose photos it was adapted to: each user's own, a sample of all users', or all of them.
        users: (name, FIoU, MIoU and the clean two) in [0, 1].
    """

    method: str
    step: int
    backbone: str
    context: str
    groups: int
    data: Data
    users: Mapping[str, Mapping[str, Number]]

    @property
    def mean(self) -> dict[str, Number]:
        """The plain mean over the users that have a score."""
        found = {name: [v for user in self.users.values() if (v := user[name]) is not None] for name in SCORES}
        return {name: sum(values) / len(values) if values else None for name, values in found.items()}

    @property
    def row(self) -> str:
        """Its row in tables 1 and 2."""
        return f"{self.method}, step {self.step}" if self.method == "group" else self.method

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "mean": self.mean}


def user_row(scores: Scores) -> dict[str, Number]:
    """A user's entry in `Result.users`."""
    return {name: getattr(scores, name) for name in SCORES}


def read_result(path: Path) -> Result:
    """Raises InputError if the file is not what `pss evaluate --out` wrote."""
    try:
        values = json.loads(require_file(path).read_text(encoding="utf-8"))
        values.pop("mean")
        result = Result(**values)
        if not all(isinstance(result.mean[name], (float, int, type(None))) for name in result.mean):
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError("this is no result of `pss evaluate --out`.", path=path) from None
    return result


def user_table(result: Result) -> str:
    """Markdown: every user and the mean, published scores first, in percent."""
    lines = ["| user | FIoU | MIoU | FIoU, clean | MIoU, clean |", "| --- | --- | --- | --- | --- |"]
    for user, row in (*result.users.items(), ("mean", result.mean)):
        cells = [_percent(row[name]) for name in SCORES]
        lines.append(f"| {user} | {' | '.join(cells)} |")
    return "\n".join(lines)


def paper_tables(results: Sequence[Result]) -> str:
    """Markdown: tables 1 to 5 of the paper, its numbers beside ours; of two results in one row the last counts."""
    ours: dict[tuple[str, ...], dict[str, Number]] = {}
    for result in results:
        ours[("method", result.row, result.backbone)] = result.mean
        if result.step == 1 and result.method in _CONTEXT_METHODS:
            ours[("context", result.context, result.backbone)] = result.mean
        if result.method == "group" and result.step == 1:
            ours[("groups", str(result.groups), result.backbone)] = result.mean
            ours[("data", result.data, result.backbone)] = result.mean
    backbones = sorted({result.backbone for result in results})
    parts = []
    for number, (score, offset) in enumerate((("fiou", 0), ("miou", 1)), 1):
        paper = {row: (values[offset], values[2 + offset]) for row, values in _METHODS.items()}
        title = f"Table {number}: {'FIoU' if score == 'fiou' else 'MIoU'}, mean over users"
        parts.append(_table(title, "method", ("ResNet-50", "VGG-16"), paper, ours, "method", backbones, score))
    ablations = (
        ("Table 3: FIoU by context, step 1", "context", _CONTEXTS),
        ("Table 4: FIoU by groups at inference", "groups", _GROUPS),
        ("Table 5: FIoU by whose photos are adapted to", "data", _DATA),
    )
    for title, kind, numbers in ablations:
        single = {row: (value,) for row, value in numbers.items()}
        parts.append(_table(title, kind, ("VGG-16",), single, ours, kind, backbones, "fiou"))
    return "\n\n".join(parts)


def _table(
    title: str,
    heading: str,
    columns: Sequence[str],
    paper: Mapping[str, Sequence[float]],
    ours: Mapping[tuple[str, ...], Mapping[str, Number]],
    kind: str,
    backbones: Sequence[str],
    score: str,
) -> str:
    rows = list(dict.fromkeys([*paper, *(key[1] for key in ours if key[0] == kind)]))
    heads = [heading, *(f"paper, {name}" for name in columns), *(f"ours, {name}" for name in backbones)]
    lines = [f"{title}", "", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        theirs = [f"{value:.2f}" for value in paper[row]] if row in paper else ["–"] * len(columns)
        mine = [_percent(ours.get((kind, row, backbone), {}).get(score)) for backbone in backbones]
        lines.append(f"| {row} | {' | '.join([*theirs, *mine])} |")
    return "\n".join(lines)


def _percent(value: Number) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
