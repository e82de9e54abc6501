"""What was measured, one JSON line each, in a file that a killed run leaves fit to go on from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ovss_personal.errors import OutputError
from ovss_personal.store.files import atomic_write, locked, write_errors

RESULTS_FILE = "results.jsonl"
RUN_FILE = "run.json"
# Fields that came later than results that are still read, and what of each is not written.
LATER = {"photo_iou": None, "best_proposal": None, "missed": None, "look_alikes": 0, "look_alike_alarms": None}
Key = tuple[str, int, str, int]  # concept, K, method, seed


@dataclass(frozen=True)
class Result:
    """One method with K shots (0: it uses none) and one seed on one concept; shares in [0, 1], NaN of nothing.

    Attributes:
        positives, negatives: test images with and without the concept.
        miou: mean IoU of the personal word and every other word of the truth.
        others_miou: the same without the personal word.
        pairs: side-by-side images; `pairs_iou` and `pairs_miou` are of these.
        photo_iou: mean of the positives' own IoUs; `iou` is of the pixels of all test images together.
        best_proposal: mean over the positives of the best IoU of any proposal.
        missed: share of the positives in which a proposal was the object but nothing was called it.
        look_alikes: hard negatives, counted apart; `look_alike_alarms` are the false alarms among them.
    """

    concept: str
    shots: int
    method: str
    seed: int
    positives: int
    negatives: int
    pairs: int
    iou: float
    precision: float
    recall: float
    false_alarms: float
    miou: float
    others_miou: float
    pairs_iou: float
    pairs_miou: float
    photo_iou: float = math.nan
    best_proposal: float = math.nan
    missed: float = math.nan
    look_alikes: int = 0
    look_alike_alarms: float = math.nan

    @property
    def key(self) -> Key:
        return self.concept, self.shots, self.method, self.seed

    def to_json(self) -> dict[str, Any]:
        """A share of nothing is null: JSON has no NaN. Of the fields that came later, nothing and none are left out."""
        values = {name: None if value != value else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name not in LATER or value != LATER[name]}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Result:
        values: dict[str, Any] = {name: math.nan if value is None else value for name, value in row.items()}
        return cls(**values)


class ResultsFile:
    """The lines of a run in a folder, each appended in one write; what a kill left of a line is cut off.

    Attributes:
        results: those that are there.
    """

    def __init__(self, folder: Path):
        self._path = folder / RESULTS_FILE
        self.results = read_results(self._path) if self._path.exists() else []
        with write_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
            os.truncate(self._path, sum(len(_line(result)) for result in self.results))

    @classmethod
    @contextmanager
    def open(cls, folder: Path, run: dict[str, Any]) -> Iterator[ResultsFile]:
        """The file in `folder`, which nobody else writes meanwhile, and `run.json` beside it.

        Args:
            run: what tells the results of this run from those of another.

        Raises:
            OutputError: the folder has results of another run, is in use, or cannot be written.
            ResourceError: the disk is full.
        """
        with locked(folder / RESULTS_FILE):
            path = folder / RUN_FILE
            text = (json.dumps(run, indent=1, ensure_ascii=False) + "\n").encode()
            if not path.exists():
                if (folder / RESULTS_FILE).exists():
                    raise OutputError(f"has results but no {RUN_FILE}.", path=folder, hint="Choose another --out.")
                atomic_write(path, text)
            elif path.read_bytes() != text:
                raise OutputError(
                    "holds results of another base, benchmark or choice of methods.",
                    path=folder,
                    hint="Choose another --out, or remove this one.",
                )
            kept = cls(folder)
            try:
                yield kept
            finally:
                os.close(kept._file)

    def append(self, result: Result) -> None:
        """Keep one more result, on the disk when this returns."""
        data = _line(result)
        with write_errors(self._path):
            if os.write(self._file, data) != len(data):
                raise OutputError("a line was written in part.", path=self._path, hint="Run the same command again.")
            os.fsync(self._file)
        self.results.append(result)


def read_results(path: Path) -> list[Result]:
    """The whole lines of a results file; a last one that is not whole is left out.

    Raises:
        OutputError: a line before the last is none of ours.
    """
    lines = path.read_bytes().split(b"\n")[:-1]
    results: list[Result] = []
    for number, line in enumerate(lines, 1):
        try:
            result = Result.from_json(json.loads(line))
            if _line(result) != line + b"\n":
                raise ValueError("its numbers are not written as this version writes them")
        except (ValueError, TypeError, AttributeError) as error:
            raise OutputError(
                f"line {number} is no result ({error}).", path=path, hint="Choose another --out, or remove this one."
            ) from error
        results.append(result)
    return results


def expected_order(results: Sequence[Result], keys: Sequence[Key]) -> bool:
    """Whether these are the first results of a run that gives `keys`."""
    return [result.key for result in results] == list(keys[: len(results)])


def _line(result: Result) -> bytes:
    return (json.dumps(result.to_json(), ensure_ascii=False) + "\n").encode()
