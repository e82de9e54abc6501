"""Run methods over a benchmark. Every image passes through the base once, whatever the methods, shots and seeds."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ovss_personal.benchmarks.manifest import Item
from ovss_personal.errors import OutputError, OvssWarning, UsageError
from ovss_personal.evaluation.engines import Engine, examine, in_process, one_thread, see
from ovss_personal.evaluation.examiner import Examiner
from ovss_personal.evaluation.results import Result, ResultsFile, expected_order
from ovss_personal.store.cache import entry_bytes
from ovss_personal.structures import Progress

FORMAT_VERSION = 3  # 1: mask logits were not rounded; 2: no figures of single photos
IMAGES_AT_ONCE = 4  # images that a worker is given
Announce = Callable[[int, int], None]  # images to look at, bytes that what is seen in them takes in the cache


def evaluate(
    examiner: Examiner,
    out: Path | None = None,
    engine: Engine[Any, Any] | None = None,
    progress: Progress = lambda done, total, stage: None,
    announce: Announce = lambda images, size: None,
) -> list[Result]:
    """Every method with every K and seed on every concept of the examiner's benchmark.

    Before any but the first image is looked at, `announce` is told how much room all of them take, going by the first.
    Where the cache has less, this warns (OvssWarning), and images are looked at when a concept needs them.

    With `out`, results are appended to `out/results.jsonl` as concepts are done, and a run that was cut off goes on
    from what is there; whenever it was, in the end the file has the same bytes.

    Raises:
        UsageError: the base has no competitors, which a method needs.
        OutputError: `out` holds the results of another run, or cannot be written.
        InputError: a picture of the benchmark changed or cannot be read.
    """
    concepts = examiner.manifest.concepts
    _check_competitors(examiner)
    keys = [examiner.keys(concept) for concept in concepts]
    with ResultsFile.open(out, describe(examiner)) if out else nullcontext() as kept:
        done = list(kept.results) if kept else []
        if not expected_order(done, [key for of_one in keys for key in of_one]):
            raise OutputError(
                "holds results in an order that no run gives.",
                path=out,
                hint="Choose another --out, or remove this one.",
            )
        known = {result.key for result in done}
        missing = [number for number, of_one in enumerate(keys) if not known.issuperset(of_one)]
        with one_thread(), nullcontext(engine) if engine else in_process(examiner) as run:
            _see(examiner, missing, run, progress, announce)
            for count, results in enumerate(run(examine, missing), 1):
                for result in results:
                    if result.key not in known:
                        done.append(result)
                        if kept:
                            kept.append(result)
                progress(count, len(missing), "measure")
    return done


def describe(examiner: Examiner) -> dict[str, Any]:
    """What results depend on, for `run.json`."""
    concepts = [asdict(concept) for concept in examiner.manifest.concepts]
    content = json.dumps([list(examiner.manifest.words), concepts], sort_keys=True)
    return {
        "format_version": FORMAT_VERSION,
        "benchmark": examiner.manifest.name,
        "benchmark_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "base": examiner.base.name,
        "base_fingerprint": examiner.base.fingerprint,
        "shots": list(examiner.shots),
        "seeds": list(examiner.seeds),
        "methods": [asdict(method) for method in examiner.methods],
    }


def _check_competitors(examiner: Examiner) -> None:
    """Raises UsageError before hours of work, not after, where the base lacks what a method needs."""
    for method in examiner.methods:
        for concept in examiner.manifest.concepts[:1]:
            try:
                examiner.base.competitors(concept.class_name, method.config.competitors if method.config else "none")
            except UsageError as error:
                raise UsageError(f"'{method.name}': {error.message}", hint=error.hint) from error


def _see(examiner: Examiner, missing: list[int], run: Engine[Any, Any], progress: Progress, announce: Announce) -> None:
    """Pass every image through the base that some missing concept needs, if the cache keeps what is seen in them."""
    every = {item.sha256: item for number in missing for item in examiner.items(examiner.manifest.concepts[number])}
    items = list(every.values())
    if not items:
        return
    size = entry_bytes(examiner.see(items[0])) * len(items)
    announce(len(items), size)
    if size > examiner.cache.max_bytes:
        warnings.warn(
            f"what the base sees in {len(items)} images takes {size / 1e9:.1f} GB, more than the cache may hold "
            f"({examiner.cache.max_bytes / 1e9:.1f} GB), so that images of several concepts are looked at more than "
            "once. Give it room with --cache-limit.",
            OvssWarning,
            stacklevel=3,
        )
        return
    if not examiner.cache.writable:
        return
    done = 1
    for count in run(see, list(_chunks(items[1:]))):
        done += count
        progress(done, len(items), "see")


def _chunks(items: list[Item]) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), IMAGES_AT_ONCE):
        yield tuple(items[start : start + IMAGES_AT_ONCE])
