"""Times a SAN base: a 640 px photo in parts with 1 and 2 threads, in lower precision, and a K = 5 personalisation.

    python timings/san.py [--base san_vit_b_16] [--weights FILE] [--skip-naive]

Without weights at hand, seeded ones are made: they cost the same time. Prints one JSON object. Every ratio is of
two things timed in this one run. Medians of 5 after one run that is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measure import Clock, square

import ovss_personal as op
from ovss_personal.bases.san.base import SanBase
from ovss_personal.bases.san.network import canvas_of, preprocess
from ovss_personal.config import FitConfig
from ovss_personal.io.demo import demo_album
from ovss_personal.structures import Shot

ROOT = Path(__file__).parents[1]
SIDE, ITERATIONS = 640, 200
CLOCK = Clock()
WORDS = ("bird", "grass", "fence", "flowerpot")


def seeded(name: str, folder: Path) -> Path:
    """A checkpoint in the published layout, of seeded numbers."""
    sys.path.insert(0, str(ROOT / "tests"))
    from parity.seeded_weights import read_manifest, seeded_state_dict

    path = folder / f"{name}.pth"
    manifest = ROOT / "third_party" / "san" / f"{name}.keys.tsv"
    torch.save({"model": seeded_state_dict(read_manifest(manifest))}, path)
    return path


@torch.inference_mode()
def parts(base: SanBase, shot: Shot) -> dict[str, float]:
    network = base.network
    canvas = canvas_of(SIDE, SIDE)
    pixels = preprocess(shot.image, canvas)[None]
    taps = network.clip_visual_extractor(network.clip_input(pixels))
    ((_, biases),) = network.side_adapter_network(pixels, taps)
    [proposals] = base.propose([shot.image])
    base.encode(WORDS)
    return {
        "preprocess": CLOCK.median(lambda: preprocess(shot.image, canvas)),
        "CLIP": CLOCK.median(lambda: network.clip_visual_extractor(network.clip_input(pixels))),
        "side adapter": CLOCK.median(lambda: network.side_adapter_network(pixels, taps)),
        "head": CLOCK.median(lambda: network.clip_rec_head(taps.tokens[-1], taps.grid, biases)),
        "label map, 4 words": CLOCK.median(lambda: paint(base, proposals, shot)),
        "pass in all": CLOCK.median(lambda: base.propose([shot.image])),
    }


def paint(base: SanBase, proposals: Any, shot: Shot) -> None:
    from ovss_personal.engine.find import Finder
    from ovss_personal.engine.see import Seen

    Finder(base, WORDS).find(Seen(shot.image, proposals, base.fingerprint))


def naive(base: SanBase, shots: Sequence[Shot], config: FitConfig) -> Any:
    """Personalise with a pass of the base in every iteration, which changes nothing but the time."""

    def look(done: int, total: int, stage: str) -> None:
        if stage == "fit":
            base.propose([shots[done % len(shots)].image])

    return personalise(base, shots, config, progress=look)


def personalise(base: SanBase, shots: Sequence[Shot], config: FitConfig, **options: Any) -> Any:
    options.setdefault("leave_one_out", False)
    return op.personalize(base, shots, concept="my bird", class_name="bird", config=config, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="san_vit_b_16")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--skip-naive", action="store_true", help="the naive loop takes some minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OVSS_PERSONAL_CACHE"] = str(Path(folder) / "cache")
        weights = options.weights or seeded(options.base, Path(folder))
        report: dict[str, float] = {}
        base: Any = op.load_base(options.base, weights=weights)
        shots = [square(shot, SIDE) for shot in op.load_shots(demo_album("my_bird"))]
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = parts(base, shots[0])
            report |= {f"{part}, {threads} threads, s": value for part, value in times.items()}
        lower: Any = op.load_base(options.base, weights=weights, dtype="bfloat16")
        report["pass in all in bfloat16, 2 threads, s"] = CLOCK.median(lambda: lower.propose([shots[0].image]))
        labels = [op.segment(b, shots[0].image, words=WORDS).labels for b in (base, lower)]
        report["labels unchanged in bfloat16"] = float((labels[0] == labels[1]).mean())

        config = base.fit_defaults
        report["all words of a fit, encoded once ever, s"] = CLOCK.once(lambda: personalise(base, shots[:1], config))
        looks = Clock(3).median(lambda: base.propose([shot.image for shot in shots]))
        whole = Clock(3).median(lambda: personalise(base, shots, config))
        report["5 forward passes, s"] = looks
        report[f"personalise K = 5, {config.iterations} iterations, s"] = whole
        report["with leave-one-out, s"] = CLOCK.once(lambda: personalise(base, shots, config, leave_one_out=True))
        report["personalise / 5 forward passes"] = whole / looks
        if not options.skip_naive:
            began = time.perf_counter()
            slow = naive(base, shots, config)
            report["naive loop / personalise"] = (time.perf_counter() - began) / whole
            quick = personalise(base, shots, config)
            report["naive against ours, largest difference"] = float((slow.head.text - quick.head.text).abs().max())
    print(json.dumps({key: round(value, 4) for key, value in report.items()}, indent=2))


if __name__ == "__main__":
    main()
