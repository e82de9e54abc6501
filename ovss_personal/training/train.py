"""Train the mask decoder and build what else the embedded base ships.

    python -m ovss_personal.training.train --photos photos --minutes 90 --out runs/decoder

Scenes are drawn from photographs with instance masks (`training.layouts` tells which) and from composites
(`training.scenes`); scene i of step t is drawn by Generator([seed, t, i]). What the encoder has below stride 8 is
frozen, as is all that the words' space is made of. A run that was cut off goes on from its last checkpoint when the
same command is given again. Afterwards `calibrate` builds the small tensors, and OUT/weights is what the package ships.
With --smoke all of this takes seconds and teaches nothing: it proves that every part runs on this machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from ovss_personal.bases.embedded.decoder import MaskDecoder
from ovss_personal.bases.embedded.encoder import UPPER, Encoder
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.benchmarks.composites.sources import Sources, fetch
from ovss_personal.store.tensors import read_tensors
from ovss_personal.training.calibrate import FEW, FULL, Filled, calibrate, write_weights
from ovss_personal.training.judge import EACH, best_proposals, lower
from ovss_personal.training.layouts import find_photos
from ovss_personal.training.photos import PhotoMaker
from ovss_personal.training.scenes import SceneMaker
from ovss_personal.training.targets import Batch, batch_of, mask_loss, query_points

ENCODER = WEIGHTS / "encoder.safetensors"


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: at most so many.
        minutes: at most so long, over all runs; the learning rate falls to nothing with whichever ends first.
        batch: scenes a step.
        size: side of a scene in pixels; the last `large_part` has `large_size`.
        learning_rate: of what was begun from nothing.
        encoder_rate: its share for the decoder's own stages, which begin as the encoder's.
        composites: their share of the scenes.
        own_points: share of the steps whose queries look where the decoder itself looks.
    """

    steps: int = 1_000_000
    minutes: float = 90.0
    batch: int = 4
    size: int = 384
    large_size: int = 512
    large_part: float = 0.2
    learning_rate: float = 6e-4
    encoder_rate: float = 0.25
    weight_decay: float = 0.02
    warmup: int = 100
    composites: float = 0.25
    own_points: float = 0.5
    seed: int = 0

    def progress(self, step: int, seconds: float) -> float:
        """How much of the training is over, in [0, 1]."""
        return min(1.0, max(step / self.steps, seconds / 60 / self.minutes))

    def size_at(self, progress: float) -> int:
        return self.large_size if progress >= 1 - self.large_part else self.size

    def rate_at(self, step: int, progress: float) -> float:
        rise = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * progress))


SMOKE = TrainConfig(steps=4, batch=2, size=64, large_size=96, large_part=0.5, warmup=1)


@dataclass(frozen=True)
class Data:
    """Where scenes come from: the unpacked packages of cut-outs, and a folder of sets of photographs, if any."""

    cutouts: Sources
    photos: Path | None = None
    judged: int = EACH  # photos of a set that the log's figures are of


class Scenes(IterableDataset[Batch]):
    """Every step's scenes of one process of several, from step `start` on."""

    def __init__(self, config: TrainConfig, data: Data, start: int, size: int, share: slice) -> None:
        self.config, self.data, self.start, self.size, self.share = config, data, start, size, share

    def __iter__(self) -> Iterator[Batch]:
        info = torch.utils.data.get_worker_info()
        number, workers = (info.id, info.num_workers) if info else (0, 1)
        composites = SceneMaker(self.data.cutouts, self.size)
        folder = self.data.photos
        photos = PhotoMaker(find_photos(folder), self.size, composites.cutouts) if folder else None
        for step in range(self.start + number, self.config.steps, workers):
            yield draw(self.config, composites, photos, step, self.share)


def draw(
    config: TrainConfig, composites: SceneMaker, photos: PhotoMaker | None, step: int, share: slice = slice(None)
) -> Batch:
    """The scenes of one step, or some of them."""
    scenes = []
    for i in range(config.batch)[share]:
        rng = np.random.default_rng([config.seed, step, i])
        from_photo = rng.random() >= config.composites
        scenes.append(photos.scene(rng) if photos and from_photo else composites.scene(rng))
    return batch_of(scenes)


def begin(encoder: Encoder, start: Path | None) -> MaskDecoder:
    """A decoder whose stages are the encoder's, and whose other parts are those of the file `start`, if it has them."""
    decoder = MaskDecoder()
    decoder.stages.load_state_dict(encoder.blocks[UPPER:].state_dict())
    for layer in (decoder.encoder[-1], *decoder.fine_layers):  # new ones change nothing at first
        for name, module in layer.named_modules():
            if name.endswith("out_proj") or name == "ffn.2":
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)
    if start:
        known = {name: tensor.float() for name, tensor in read_tensors(start, hint="name a decoder's file.").items()}
        unknown = decoder.load_state_dict(known, strict=False).unexpected_keys
        if unknown:
            raise SystemExit(f"{start} is no decoder's file: it holds {unknown[0]}.")
    return decoder


def optimiser_of(decoder: MaskDecoder, config: TrainConfig) -> torch.optim.AdamW:
    own = list(decoder.stages.parameters())
    rest = [p for name, p in decoder.named_parameters() if not name.startswith("stages.")]
    groups = [{"params": rest, "share": 1.0}, {"params": own, "share": config.encoder_rate}]
    return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(
    config: TrainConfig,
    out: Path,
    data: Data,
    start: Path | None = None,
    device: str = "cpu",
    workers: int = 0,
    every: int = 1000,
    rank: int = 0,
    ranks: int = 1,
) -> MaskDecoder:
    """Train from `start`, or go on from `out/checkpoint.pt`; writes `out/log.jsonl`, a line every `every` steps.

    Args:
        workers: processes that draw scenes ahead; 0: they are drawn in between.
        rank, ranks: which one of several processes this is, each of which has its share of every step's scenes. Two
            that compute on one core each are faster than one that computes on two.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    encoder = Encoder.load(ENCODER).to(device).to(memory_format=torch.channels_last)
    decoder = begin(encoder, start).to(device).to(memory_format=torch.channels_last).train()
    optimiser = optimiser_of(decoder, config)
    step, spent, checkpoint = 0, 0.0, out / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["config"] != asdict(config):
            raise SystemExit(f"{checkpoint} was made with other settings: {state['config']}. Choose another --out.")
        decoder.load_state_dict(state["decoder"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["seconds"]
    kept = find_photos(data.photos, validation=True) if data.photos and rank == 0 else {}
    began, size, losses = time.monotonic(), 0, list[Tensor]()
    batches: Iterator[Batch] = iter(())
    progress = config.progress(step, spent)
    bar = tqdm(initial=step, desc="decoder", mininterval=5, disable=rank > 0)
    while progress < 1:
        if config.size_at(progress) != size:
            size = config.size_at(progress)
            scenes = Scenes(config, data, step, size, slice(rank, None, ranks))
            batches = iter(DataLoader(scenes, batch_size=None, num_workers=workers))
        batch = next(batches)
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * config.rate_at(step, progress)
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 64 + rank)
        own = torch.rand((), generator=generator) < config.own_points
        points = None if own else query_points(batch, generator).to(device)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext():
            loss = mask_loss(decoder, lower(encoder, batch.images.to(device)), batch.to(device), points)
        loss.backward()  # type: ignore[no-untyped-call]
        step += 1
        progress = shared(decoder, config.progress(step, spent + time.monotonic() - began), ranks)
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.detach())
        bar.update()
        if rank == 0 and (step % every == 0 or progress >= 1):
            row = {"step": step, "loss": round(float(torch.stack(losses).mean()), 4)}
            row |= best_proposals(decoder, encoder, kept, data.judged)
            row["seconds"] = round(spent + time.monotonic() - began, 1)
            losses.clear()
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            bar.set_postfix(row)
            state = {"decoder": decoder.state_dict(), "optimiser": optimiser.state_dict(), "config": asdict(config)}
            save_checkpoint(checkpoint, {**state, "step": step, "seconds": row["seconds"]})
    decoder.eval()
    return decoder


def shared(decoder: MaskDecoder, progress: float, ranks: int) -> float:
    """Make the gradients of all processes their mean, and return the mean of their progress."""
    if ranks == 1:
        return progress
    gradients = [p.grad for p in decoder.parameters() if p.grad is not None]
    flat = torch.cat([torch.tensor([progress]), *(g.flatten() for g in gradients)]) / ranks
    torch.distributed.all_reduce(flat)
    parts = torch.split(flat[1:], [g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return float(flat[0])


def train_on_cores(config: TrainConfig, out: Path, data: Data, start: Path | None, every: int = 1000) -> MaskDecoder:
    """`train` on the CPU, with a process on each core; returns the decoder of the checkpoint."""
    ranks = min(os.cpu_count() or 1, config.batch)
    meeting = f"file://{tempfile.mkdtemp()}/meeting"
    arguments = (ranks, meeting, config, out, data, start, every)
    spawn(_train_as, arguments, nprocs=ranks)  # type: ignore[no-untyped-call]
    decoder = MaskDecoder()
    decoder.load_state_dict(torch.load(out / "checkpoint.pt", weights_only=True)["decoder"])
    decoder.eval()
    return decoder


def _train_as(
    rank: int, ranks: int, meeting: str, config: TrainConfig, out: Path, data: Data, start: Path | None, every: int
) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    train(config, out, data, start, every=every, rank=rank, ranks=ranks)
    torch.distributed.destroy_process_group()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint, the log and weights/")
    parser.add_argument("--photos", type=Path, help="a set of photos with masks, or a folder of such (default: none)")
    parser.add_argument("--stamps", type=Path, help="folder that holds the unpacked Debian packages (default: fetch)")
    parser.add_argument("--start", type=Path, help="a decoder.safetensors to begin with (default: from nothing)")
    parser.add_argument("--smoke", action="store_true", help="seconds that prove that every part runs on this machine")
    parser.add_argument("--minutes", type=float, help=f"default: {TrainConfig.minutes:g}")
    parser.add_argument("--steps", type=int, help=f"at most (default: {TrainConfig.steps})")
    parser.add_argument("--batch", type=int, help=f"scenes a step (default: {TrainConfig.batch})")
    parser.add_argument("--learning-rate", type=float, help=f"default: {TrainConfig.learning_rate}")
    parser.add_argument("--seed", type=int, help=f"default: {TrainConfig.seed}")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    args = parser.parse_args(argv)
    names = ("steps", "minutes", "batch", "learning_rate", "seed")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.smoke and given.keys() & {"steps", "minutes"}:
        parser.error("--smoke has its own --steps and --minutes.")
    whole, smoke = (TrainConfig(), EACH, FULL, SceneMaker), (SMOKE, 2, FEW, Filled)
    config, judged, extent, maker = smoke if args.smoke else whole
    config = replace(config, **given)
    photos = [photo for kept in find_photos(args.photos).values() for photo in kept] if args.photos else []
    data = Data(Sources(args.stamps) if args.stamps else fetch(), args.photos, judged)
    if args.device == "cpu":
        decoder = train_on_cores(config, args.out, data, args.start)
    else:
        decoder = train(config, args.out, data, args.start, args.device, workers=max(1, (os.cpu_count() or 1) - 1))
    encoder = Encoder.load(ENCODER).to(args.device)
    scenes = maker(data.cutouts, config.large_size)
    tensors, figures = calibrate(decoder, encoder, scenes, config.seed, photos, extent)
    write_weights(args.out, decoder, tensors, figures, extent.classes)


if __name__ == "__main__":
    main()
