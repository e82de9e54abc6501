"""Times ODISE: a 512 px photo in parts with peak memory, and a K = 5 personalisation on what was seen before.

    python timings/odise.py [--size full] [--device cpu] [--dtype float32] [--low-memory] [--runs 1] [--threads 2]

Weights are seeded, which cost the same time: the full size needs 8 GB and, on a CPU, a quarter of an hour. Prints one
JSON object; seconds are medians of `--runs` after one run that is not counted. The short edge is brought to 1024 px,
so a 512 px photo is four windows, and one of 640 x 480, timed on a GPU alone, six.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time

import numpy as np
import torch
from measure import Clock, square
from PIL import Image

import ovss_personal as op
from ovss_personal.bases.odise.base import OdiseTiny
from ovss_personal.bases.odise.clip_branch import visible_patches
from ovss_personal.bases.odise.network import pad, resized_size
from ovss_personal.bases.odise.pyramid import STRIDES, window_pyramid, windows
from ovss_personal.bases.odise.sizes import FULL
from ovss_personal.config import BaseConfig
from ovss_personal.engine.plan import FIT_WORDS
from ovss_personal.io.demo import demo_album
from ovss_personal.io.vocabulary import named_words
from ovss_personal.store.cache import ProposalCache
from ovss_personal.structures import RGBImage, Shot

SIDE = 512


class SeededOdise(OdiseTiny):
    """The label model at its full size, without training."""

    name = "odise_label"
    size = FULL


@torch.inference_mode()
def window_parts(base: OdiseTiny, photo: RGBImage, clock: Clock) -> dict[str, float]:
    """Seconds of each part that a window of 512 px goes through."""
    network = base.network
    extractor, backbone = network.extractor, network.trained.backbone
    x = torch.from_numpy(photo.copy()).to(base.device).permute(2, 0, 1)[None] / 255
    view = network.clip.image(network.clip.prepare(x, "bicubic"))
    context, shift = backbone.feature_extractor(view, network.empty)
    first, latent = extractor.encode(x)
    noisy = extractor.add_noise(latent)
    taps = [*first, *extractor.denoise(noisy, context, shift), *extractor.decode(latent)]
    return {
        "CLIP of a window": clock.median(lambda: network.clip.image(network.clip.prepare(x, "bicubic"))),
        "VAE encoder": clock.median(lambda: extractor.encode(x)),
        "UNet up to its last tap": clock.median(lambda: extractor.denoise(noisy, context, shift)),
        "VAE decoder up to its last tap": clock.median(lambda: extractor.decode(latent)),
        "projections": clock.median(lambda: window_pyramid(taps, backbone.feature_projections, SIDE)),
    }


@torch.inference_mode()
def image_parts(base: OdiseTiny, photo: RGBImage, clock: Clock) -> dict[str, float]:
    """Seconds of each part that a whole photo goes through once its windows were seen."""
    head, size = base.network.trained.sem_seg_head, base.size
    height, width = resized_size(*photo.shape[:2], size.short_edge, size.long_edge)
    pixels = torch.rand(1, 3, height, width, device=base.device)
    canvas = pad(pixels).shape[2:]
    pyramid = [torch.rand(1, 512, canvas[0] // s, canvas[1] // s, device=base.device) for s in STRIDES]
    memory, features = head.pixel_decoder(pyramid)
    _, masks = head.predictor(memory, features)
    visible = visible_patches(masks, base.network.clip.side)
    return {
        "pixel decoder": clock.median(lambda: head.pixel_decoder(pyramid)),
        "mask decoder": clock.median(lambda: head.predictor(memory, features)),
        "mask-pooled CLIP of 100 masks": clock.median(lambda: base.network.probe(pixels, visible)),
    }


def personalisation(base: OdiseTiny, shots: list[Shot], clock: Clock) -> dict[str, float]:
    """Seconds of a fit to 5 photos that the base has looked at before; what it saw in the first stands for all."""
    (seen,) = base.propose([shots[0].image])
    base.propose = lambda images: [seen] * len(images)  # type: ignore[method-assign]
    words = clock.once(lambda: base.encode(named_words(FIT_WORDS)))
    cache = ProposalCache()

    def fit(leave_one_out: bool = False) -> None:
        op.personalize(base, shots, concept="my bird", class_name="bird", cache=cache, leave_one_out=leave_one_out)

    fit()
    base.propose = None  # type: ignore[assignment, method-assign]  # from here on, all is in the cache
    return {
        "all words of a fit, encoded once ever": words,
        f"personalise K = 5 on cached proposals, {base.fit_defaults.iterations} iterations": clock.median(fit),
        "with leave-one-out": clock.once(lambda: fit(leave_one_out=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--low-memory", action="store_true", help="the parts of a window are then not timed")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = Clock(options.runs, options.device)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OVSS_PERSONAL_CACHE"] = folder
        kind = SeededOdise if options.size == "full" else OdiseTiny
        config = BaseConfig(kind.name, options.device, dtype=options.dtype, low_memory=options.low_memory)
        began = time.perf_counter()
        base = kind(config)
        report = {"building": time.perf_counter() - began}
        shots = [square(shot, SIDE) for shot in op.load_shots(demo_album("my_bird"))]
        photo = shots[0].image
        if not options.low_memory:
            report |= window_parts(base, photo, clock)
        report |= image_parts(base, photo, clock)
        height, width = resized_size(SIDE, SIDE, base.size.short_edge, base.size.long_edge)
        count = len(windows(height, width)[1])
        report[f"a photo of 512 x 512 in all, {count} windows"] = clock.median(lambda: base.propose([photo]))
        if clock.gpu:
            wide = np.asarray(Image.fromarray(photo).resize((640, 480)))
            report["a photo of 640 x 480 in all"] = clock.median(lambda: base.propose([wide]))
        report |= personalisation(base, shots, clock)
    rounded: dict[str, float] = {f"{part}, s": round(value, 4) for part, value in report.items()}
    rounded["peak memory, GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    if clock.gpu:
        rounded["peak memory of the GPU, GB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
