"""Times every base on a GPU, each checked against the CPU first, and prints a Markdown table with the card's name.

    python timings/gpu.py [--device cuda] [--smoke]

Weights are seeded, which cost the same time: no download. About four minutes; the full ODISE needs 8 GB of memory.
What a base sees on the device is compared with what it sees on the CPU in float32; if they differ, nothing is timed
and the exit code is 1. ODISE is compared at its reduced size, as its full one takes a CPU minutes. `--smoke` does all
of this with tiny networks, and its times mean nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measure import Clock, square
from odise import SeededOdise
from san import seeded

import ovss_personal as op
from ovss_personal.bases.base import Base
from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.odise.base import OdiseTiny
from ovss_personal.bases.san.base import SanBase, SanViTB16, SanViTLarge14
from ovss_personal.bases.weights import WEIGHTS
from ovss_personal.config import BaseConfig
from ovss_personal.io.demo import demo_album
from ovss_personal.structures import RGBImage, Shot

SURE = {"float32": 0.999, "bfloat16": 0.97}  # least mean cosine of what two devices see


@dataclass(frozen=True)
class Sizes:
    """What the whole run and the smoke run differ in."""

    san: tuple[type[SanBase], ...]
    odise: type[OdiseTiny]
    photo: int
    batches: tuple[int, ...]
    iterations: int
    runs: int


def sizes(smoke: bool, folder: Path) -> Sizes:
    if not smoke:
        return Sizes((SanViTB16, SanViTLarge14), SeededOdise, 640, (1, 8), 200, 5)
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from fakes.san import TinySan, tiny_spec, tiny_tensors

    WEIGHTS[TinySan.name] = tiny_spec(folder, tiny_tensors())
    torch.save({"model": tiny_tensors()}, folder / f"{TinySan.name}.pth")
    return Sizes((TinySan,), OdiseTiny, 96, (1, 2), 2, 1)


def check(base: Base, reference: Base, photo: RGBImage, dtype: str = "float32") -> None:
    """Ends the program unless both see the same in a photo."""
    (found,), (expected,) = base.propose([photo]), reference.propose([photo])
    pairs = [(found.embeddings.cpu(), expected.embeddings), (found.masks.cpu().flatten(1), expected.masks.flatten(1))]
    for what, (mine, other) in zip(("embeddings", "masks"), pairs, strict=True):
        cosine = torch.cosine_similarity(mine, other, dim=1).mean().item()
        if not cosine > SURE[dtype]:
            sys.exit(f"{base.name} on {base.device}: the {what} have a mean cosine of {cosine:.4f} with the CPU's.")


def check_concept(learned: Any, expected: Any) -> None:
    cosine = float(learned.head.word.cpu() @ expected.head.word)
    if not cosine > SURE["bfloat16"]:
        sys.exit(f"what is learned has a cosine of {cosine:.4f} with what is learned on the CPU.")


def rows(device: str, size: Sizes, folder: Path, shots: list[Shot]) -> Iterator[tuple[str, str]]:
    """Lines of the table: what was done, and how fast."""
    clock, photo = Clock(size.runs, device), shots[0].image
    for kind in size.san:
        path = folder / f"{kind.name}.pth"
        if not path.exists():
            seeded(kind.name, folder)
        config = BaseConfig(kind.name, device, weights=str(path), dtype="bfloat16")
        base, reference = kind(config), kind(replace(config, device="cpu", dtype="float32"))
        check(base, reference, photo, "bfloat16")
        for batch in size.batches:
            seconds = clock.median(lambda base=base, batch=batch: base.propose([photo] * batch))
            yield f"{kind.name}, bfloat16, {len(photo)} px, batch {batch}", f"{batch / seconds:.1f} images/s"
        if kind is size.san[0]:
            yield from personalisation(kind(replace(config, dtype="float32")), reference, shots, size, clock)
        path.unlink()
    base = EmbeddedBase(BaseConfig(device=device))
    check(base, EmbeddedBase(), photo)
    yield "embedded", f"{1 / clock.median(lambda: base.propose([photo])):.1f} images/s"
    check(OdiseTiny(BaseConfig("odise_tiny", device)), OdiseTiny(BaseConfig("odise_tiny")), photo)
    odise = size.odise(BaseConfig("odise_tiny", device))
    seconds = clock.median(lambda: odise.propose([photo]))
    yield f"{odise.name}, float32, {odise.size.short_edge} px", f"{seconds:.2f} s"


def personalisation(
    base: SanBase, reference: SanBase, shots: list[Shot], size: Sizes, clock: Clock
) -> Iterator[tuple[str, str]]:
    config = replace(base.fit_defaults, iterations=size.iterations)
    learn: Callable[[SanBase], Any] = lambda of: op.personalize(of, shots, concept="my bird", config=config)  # noqa: E731
    check_concept(learn(base), learn(reference))  # on the device first, which leaves the words' vectors for the CPU
    seconds = clock.median(lambda: learn(base))
    yield f"personalise K = {len(shots)} on {base.name}, in all, leave-one-out too", f"{seconds:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny networks, to see that the script works")
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    name = "CPU" if on_cpu else torch.cuda.get_device_name(options.device)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["OVSS_PERSONAL_CACHE"] = str(Path(scratch) / "cache")
        size = sizes(options.smoke, Path(scratch))
        shots = [square(shot, size.photo) for shot in op.load_shots(demo_album("my_bird"))]
        shots = shots[:2] if options.smoke else shots
        print(f"| {name}{', smoke run' if options.smoke else ''} | |\n| --- | ---: |")
        for what, speed in rows(options.device, size, Path(scratch), shots):
            print(f"| {what} | {speed} |", flush=True)


if __name__ == "__main__":
    main()
