"""Times the label map against the plain formula, which scores every word at every pixel, on made-up proposals.

    python timings/painter.py [--threads 2]

Prints one JSON object. Every ratio is of two things timed in this one run. CPU seconds, summed over the threads, say
more than seconds where the machine has other work. Memory is what a run adds to a fresh process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from ovss_personal.painting.grid import mask_rows
from ovss_personal.painting.painter import STEP_BYTES, label_map
from ovss_personal.painting.scores import ScoredProposals, decide
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.structures import Canvas

SIZE = (1536, 2048)
STRIDE = 16
MASKS, WORDS, DIMENSIONS = 100, 847, 256
Result = TypeVar("Result")


def smooth_masks(generator: torch.Generator, bias: float) -> torch.Tensor:
    """(N, h, w) logits of blobs an eighth of the image wide; a negative `bias` makes them smaller and fewer."""
    knots = torch.randn(1, MASKS, 6, 8, generator=generator)
    grid = [side // STRIDE for side in SIZE]
    return 8 * F.interpolate(knots, grid, mode="bicubic", align_corners=False)[0] + bias


def noise_masks(generator: torch.Generator) -> torch.Tensor:
    """(N, h, w) logits without any structure, so that no block bounds anything."""
    return 8 * torch.randn(MASKS, SIZE[0] // STRIDE, SIZE[1] // STRIDE, generator=generator)


def peaked_words(generator: torch.Generator, words: int) -> torch.Tensor:
    """(N, V) softmax(100 cos), every proposal somewhat near one of the words."""
    text = F.normalize(torch.randn(words, DIMENSIONS, generator=generator), dim=1)
    own = text[torch.randint(words, (MASKS,), generator=generator)]
    noise = F.normalize(torch.randn(MASKS, DIMENSIONS, generator=generator), dim=1)
    return (100 * F.normalize(own / 2 + noise, dim=1) @ text.T).softmax(1)


def flat_words(generator: torch.Generator, words: int) -> torch.Tensor:
    """(N, V) where nobody knows: every word has about the same probability everywhere."""
    return (0.1 * torch.randn(MASKS, words, generator=generator)).softmax(1)


def scored(masks: torch.Tensor, words: torch.Tensor, concepts: int = 0) -> ScoredProposals:
    """With concepts that take the first masks, at a threshold of one half."""
    personal = torch.zeros(MASKS, concepts)
    personal.fill_diagonal_(1.0)
    return ScoredProposals(masks, words, personal, (0.5,) * concepts)


@torch.inference_mode()
def plain(case: ScoredProposals) -> np.ndarray:
    """Labels (H, W) by the formula as it is written, a band of rows at a time."""
    height, width = SIZE
    labels = np.empty(SIZE, np.int32)
    band = STEP_BYTES // (4 * width * MASKS)
    for start in range(0, height, band):
        stop = min(start + band, height)
        weights = mask_rows(case.masks, Canvas(SIZE, SIZE, SIZE), start, stop).sigmoid()
        labels[start:stop] = decide(case, weights).numpy()
    return labels


def ours(case: ScoredProposals) -> Segmentation:
    """Labels and scores, as the program makes them."""
    names = [str(i) for i in range(case.words.shape[1])]
    concepts = [f"mine {i}" for i in range(case.personal.shape[1])]
    return label_map(case, Canvas(SIZE, SIZE, SIZE), np.zeros((*SIZE, 3), np.uint8), names, concepts)


def timed(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """What `work` gives, the seconds it takes, and the CPU seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - began, time.process_time() - cpu


def added_memory(words: int) -> float:
    """MiB that one label map of `words` words adds to the peak of this process."""
    generator = torch.Generator().manual_seed(0)
    case = scored(smooth_masks(generator, -8), flat_words(generator, words), concepts=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours(case)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    report: dict[str, dict[str, float]] = {"memory, MiB": {}}
    # First of all: a process takes over the peak of the one that starts it.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for words in (10, 847, 8470):
            report["memory, MiB"][f"{words} words"] = pool.submit(added_memory, words).result()
    generator = torch.Generator().manual_seed(0)
    peaked, flat = peaked_words(generator, WORDS), flat_words(generator, WORDS)
    many, few = smooth_masks(generator, 0), smooth_masks(generator, -8)
    cases = {
        "many masks a pixel, peaked words": scored(many, peaked),
        "few masks a pixel, peaked words": scored(few, peaked),
        "few masks a pixel, peaked words, 2 concepts": scored(few, peaked, concepts=2),
        "few masks a pixel, flat words": scored(few, flat),
        "worst: noise for masks, flat words": scored(noise_masks(generator), flat),
    }
    ours(cases["few masks a pixel, flat words"])
    for name, case in cases.items():
        expected, plain_seconds, plain_cpu = timed(lambda case=case: plain(case))
        found, seconds, cpu = min((timed(lambda case=case: ours(case)) for _ in range(3)), key=lambda run: run[2])
        report[name] = {
            "plain, s": plain_seconds,
            "ours, s": seconds,
            "plain, CPU s": plain_cpu,
            "ours, CPU s": cpu,
            "plain / ours, CPU": plain_cpu / cpu,
            "labels that differ": int((found.labels != expected).sum()),
        }
    rounded = {name: {key: round(value, 3) for key, value in part.items()} for name, part in report.items()}
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
