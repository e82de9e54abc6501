"""Times an evaluation of 7 methods at 3 numbers of shots against one of 1 method at 1, each with an empty cache.

    python timings/evaluate.py stamps/manifest.json [--concepts 4] [--method full] [--shots 5]

Prints one JSON object. Both run in this process on one thread; CPU seconds say more than seconds where the machine
has other work.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import ovss_personal as op
from ovss_personal.bases.base import Base
from ovss_personal.benchmarks.manifest import Manifest, read_manifest
from ovss_personal.evaluation.examiner import Examiner
from ovss_personal.evaluation.methods import known_methods
from ovss_personal.evaluation.runner import evaluate
from ovss_personal.io.vocabulary import named_words
from ovss_personal.store.cache import ProposalCache

SEVEN = ("text", "visual", "prompt", "prompt+visual", "prompt+negative", "full", "full+competitors")


def seconds(base: Base, manifest: Manifest, methods: tuple[str, ...], shots: tuple[int, ...]) -> tuple[float, float]:
    """(seconds, CPU seconds) of an evaluation that has to look at every image."""
    known = known_methods(base.fit_defaults, base.paper_defaults)
    with tempfile.TemporaryDirectory() as folder:
        cache = ProposalCache(Path(folder), max_bytes=10**11)
        examiner = Examiner(base, manifest, [known[name] for name in methods], shots, (0,), cache)
        began, cpu = time.perf_counter(), time.process_time()
        evaluate(examiner)
        return time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--concepts", type=int, default=4)
    parser.add_argument("--method", default="full")
    parser.add_argument("--shots", type=int, default=5)
    options = parser.parse_args()
    base = op.load_base("embedded")
    whole = read_manifest(options.manifest)
    manifest = replace(whole, concepts=whole.concepts[: options.concepts])
    base.encode([*manifest.words, *named_words("coco-stuff")])
    one = seconds(base, manifest, (options.method,), (options.shots,))
    every = seconds(base, manifest, SEVEN, (1, 3, 5))
    report = {
        "concepts": len(manifest.concepts),
        f"{options.method}, K = {options.shots}, s": one[0],
        "7 methods, K = 1, 3, 5, s": every[0],
        f"{options.method}, K = {options.shots}, CPU s": one[1],
        "7 methods, K = 1, 3, 5, CPU s": every[1],
        "ratio": every[0] / one[0],
        "ratio of CPU seconds": every[1] / one[1],
    }
    print(json.dumps({key: round(value, 3) for key, value in report.items()}, indent=2))


if __name__ == "__main__":
    main()
