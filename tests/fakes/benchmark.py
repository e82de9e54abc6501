"""A benchmark of coloured squares for the base that sees colours."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fakes.base import FakeBase, photo
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.evaluation.examiner import Examiner, Job
from ovss_personal.evaluation.experiment import Experiment
from ovss_personal.evaluation.results import Result

METHODS = ("text", "prompt", "full", "full+competitors", "knn")
PARTNER = {"red": "blue", "blue": "red", "green": "blue"}
WORDS = ("green", "grey", "square")


def write_benchmark(root: Path, colours: tuple[str, ...] = ("red", "blue"), shots: int = 2) -> Path:
    """A concept for each colour: two positives, two negatives (squares of its partner), one pair, and an album of two
    photos with it and one without. Returns its path."""
    concepts = []
    for colour in colours:
        own = [_item(root, colour, f"{colour}{n}", n) for n in range(shots + 3)]
        other = [_item(root, PARTNER[colour], f"not_{colour}{n}", 20 + n, there=False) for n in range(3)]
        album = (*(_item(root, colour, f"album_{colour}{n}", 40 + n) for n in range(2)), other.pop())
        tests = (tuple(own[shots:-1]), tuple(other), (own[-1],))
        concepts.append(ConceptSet(f"my {colour}", "square", tuple(own[:shots]), *tests, album))
    return write_manifest(Manifest("squares", WORDS, tuple(concepts), root))


def _item(root: Path, colour: str, name: str, number: int, there: bool = True) -> Item:
    top, left = 4 + 3 * (number % 4), 10 - 2 * (number % 5)
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{name}.png"
    Image.fromarray(photo(colour, top, left, noise=number + 1)).save(path)
    mask = np.zeros((32, 32), np.uint8)
    mask[top : top + 16, left : left + 16] = 255
    Image.fromarray(mask).save(root / f"{name}_mask.png")
    return Item(path.name, f"{name}_mask.png" if there else None, hashlib.sha256(path.read_bytes()).hexdigest())


def job(root: Path, methods: tuple[str, ...] = METHODS, colours: tuple[str, ...] = ("red", "blue")) -> Job:
    """An evaluation of the squares, all below `root`, by the base that sees colours."""
    manifest = root / "squares" / "manifest.json"
    if not manifest.exists():
        write_benchmark(manifest.parent, colours)
    yaml = root / "fake.yaml"
    yaml.write_text("base: fakes.FakeBase\niterations: 60\nalpha: 0.3\nviews: 1\n")
    experiment = Experiment(
        str(manifest), base=str(yaml), trust_base=True, methods=methods, shots=(1, 2), iterations=(60,)
    )
    base = FakeBase()
    return Job(
        experiment.base_options(),
        manifest,
        experiment.chosen(base.fit_defaults, base.paper_defaults),
        experiment.shots,
        experiment.seeds,
        (root / "cache", 10**9),
    )


def die(examiner: Examiner, task: int) -> None:
    """Work that a worker does not survive."""
    os.kill(os.getpid(), signal.SIGKILL)


def examine_but_die_first(examiner: Examiner, number: int) -> list[Result]:
    """The work of the second stage, which the first worker to come to the second concept does not survive."""
    mark = examiner.cache.folder / "died"
    if number == 1 and not mark.exists():
        mark.touch()
        die(examiner, number)
    return examiner.examine(number)


def sleep(examiner: Examiner, seconds: float) -> float:
    """Work that takes a while."""
    time.sleep(seconds)
    return seconds
