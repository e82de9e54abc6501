"""Times the embedded base: a photo with 1 and 2 threads, a K = 5 personalisation, and the naive loop beside it.

    python timings/embedded.py

Prints one JSON object. Every ratio is of two things timed in this one run; peak memory is of this process.
"""

from __future__ import annotations

import json
import resource

import torch
from measure import Clock

import ovss_personal as op
from ovss_personal.engine.see import propose
from ovss_personal.io.demo import demo_album
from ovss_personal.io.images import load_image

ITERATIONS = 200


def main() -> None:
    shots = op.load_shots(demo_album("my_bird"))
    photo = load_image(next(iter(sorted((demo_album("my_bird").parent / "test" / "images").glob("*.jpg")))))
    report: dict[str, float] = {}
    clock = Clock()
    for tiles in (0, 9):
        base = op.load_base("embedded", tiles=tiles)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            report[f"photo, {tiles} tiles, {threads} threads, s"] = clock.median(lambda base=base: propose(base, photo))
    base = op.load_base("embedded")
    words = ["bird", "grass", "fence", "flowerpot"]
    base.encode(words)
    concept = op.personalize(base, shots, concept="my bird", class_name="bird")
    report["segment in all, s"] = clock.median(lambda: op.segment(base, photo, words=words, concepts=[concept]))
    few = Clock(3)
    whole = few.median(lambda: op.personalize(base, shots, concept="my bird", class_name="bird", leave_one_out=False))
    looks = few.median(lambda: [propose(base, shot.image) for shot in shots])
    report["personalise K = 5, s"] = whole
    report["with leave-one-out, s"] = few.median(
        lambda: op.personalize(base, shots, concept="my bird", class_name="bird")
    )
    report["of which 5 forward passes, s"] = looks
    report["of which 200 iterations, s"] = whole - looks
    # The naive loop differs in one thing: it runs the base in every iteration, batch size 1.
    report["naive loop (200 passes) / ours"] = (looks / len(shots) * ITERATIONS + whole - looks) / whole
    report["ours / 5 forward passes"] = whole / looks
    report["peak memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({key: round(value, 3) for key, value in report.items()}, indent=2))


if __name__ == "__main__":
    main()
