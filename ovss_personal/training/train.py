"""Train the mask decoder and build what else the embedded base ships.

    python -m ovss_personal.training.train --out runs/decoder

One scene of composites after another passes through the frozen encoder; only the decoder learns. Everything comes
from one seed: scene i of step t is drawn by Generator([seed, t, i]). A run that was cut off goes on from its last
checkpoint when the same command is given again. Afterwards `calibrate` builds the small tensors.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from ovss_personal.bases.embedded.decoder import MaskDecoder, grid_points, mask_logits
from ovss_personal.bases.embedded.encoder import Encoder, normalise
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.benchmarks.composites.sources import Sources, fetch
from ovss_personal.training.calibrate import calibrate, write_weights
from ovss_personal.training.scenes import SceneMaker

VALIDATION = 1_000_000  # steps from here on are validation scenes
PIXELS = 2304  # sampled per image for the loss
QUERIES = 100
ENCODER = WEIGHTS / "encoder.safetensors"


@dataclass(frozen=True)
class TrainConfig:
    """`size` is the side of a training scene; the last `large_part` of the steps run at `large_size`."""

    steps: int = 7000
    batch: int = 4
    size: int = 384
    large_size: int = 512
    large_part: float = 0.15
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 100
    seed: int = 0

    def size_at(self, step: int) -> int:
        return self.large_size if step >= self.steps * (1 - self.large_part) else self.size

    def rate_at(self, step: int) -> float:
        rise = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class Batches(IterableDataset[tuple[list[Tensor], Tensor]]):
    """Yields (encoder taps, segments (B, S, S) uint8) step by step, from `start` to the end.

    The encoder runs here, in the loader's process, so that two cores share the work.
    """

    def __init__(self, config: TrainConfig, sources: Sources, start: int) -> None:
        self.config, self.sources, self.start = config, sources, start

    def __iter__(self) -> Iterator[tuple[list[Tensor], Tensor]]:
        torch.set_num_threads(1)
        encoder = Encoder.load(ENCODER).to(memory_format=torch.channels_last)
        makers = SceneMaker(self.sources, self.config.size)
        for step in range(self.start, self.config.steps):
            makers.size = self.config.size_at(step)
            images, segments = draw(makers, self.config.seed, step, self.config.batch)
            yield encode(encoder, images), segments


def draw(maker: SceneMaker, seed: int, step: int, batch: int) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) uint8 images and (B, S, S) uint8 segments of one step."""
    scenes = [maker.scene(np.random.default_rng([seed, step, i])) for i in range(batch)]
    images = torch.from_numpy(np.stack([s.image for s in scenes])).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.stack([s.segments for s in scenes]))


def encode(encoder: Encoder, images: Tensor) -> list[Tensor]:
    # bfloat16 halves the encoder's time; its rounding is far below the augmentation's noise.
    with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16):
        taps, _ = encoder(normalise(images).contiguous(memory_format=torch.channels_last))
    return [t.float().contiguous() for t in taps]


def query_points(segments: Tensor, generator: torch.Generator) -> Tensor:
    """(B, S, S) -> (B, 100, 2): the inference grid, or a jittered grid of 64 and 36 points spread over segments."""
    batch, size = segments.shape[0], segments.shape[-1]
    if torch.rand((), generator=generator) < 0.3:
        return grid_points().expand(batch, -1, -1).clone()
    jitter = (torch.rand(batch, 64, 2, generator=generator) - 0.5) / 8
    points = [grid_points(8) + jitter]
    per_segment = torch.empty(batch, QUERIES - 64, 2)
    for b in range(batch):
        present = torch.unique(segments[b])
        chosen = present[torch.randint(len(present), (QUERIES - 64,), generator=generator)]
        for q, segment in enumerate(chosen):
            where = (segments[b] == segment).flatten().nonzero().squeeze(1)
            pixel = int(where[torch.randint(len(where), (), generator=generator)])
            per_segment[b, q] = torch.tensor(((pixel % size + 0.5) / size, (pixel // size + 0.5) / size))
    return torch.cat((*points, per_segment), 1)


def segment_at(segments: Tensor, points: Tensor) -> Tensor:
    """(B, S, S), (B, Q, 2) -> (B, Q) the segment under each point."""
    size = segments.shape[-1]
    at = (points * size).long().clamp(0, size - 1)
    return segments.flatten(1).gather(1, at[..., 1] * size + at[..., 0])


def mask_loss(
    decoder: MaskDecoder, taps: list[Tensor], segments: Tensor, points: Tensor, generator: torch.Generator
) -> Tensor:
    """5 bce + 2 dice + 0.5 bce of the predicted IoU, on a sample of pixels.

    Shape: taps as `Encoder` gives them, segments (B, S, S), points (B, Q, 2) -> ().
    """
    pixels, vectors, quality = decoder.embed(taps, points)
    small = segments[:, 1::4, 1::4].flatten(1)  # (B, hw), the pixel at each cell's middle
    wanted = segment_at(segments, points)
    pick = torch.randperm(small.shape[1], generator=generator)[:PIXELS].to(pixels.device)
    x = mask_logits(pixels.flatten(2)[..., pick], vectors)  # (B, Q, P)
    y = (small[:, None, pick] == wanted[..., None]).float()  # (B, Q, P)
    bce = F.binary_cross_entropy_with_logits(x, y)
    p = x.sigmoid()
    dice = (1 - (2 * (p * y).sum(-1) + 1) / (p.sum(-1) + y.sum(-1) + 1)).mean()
    with torch.no_grad():
        hard = (x > 0).float()
        both = (hard * y).sum(-1)
        iou = both / (hard.sum(-1) + y.sum(-1) - both).clamp(min=1)
    return 5 * bce + 2 * dice + 0.5 * F.binary_cross_entropy_with_logits(quality, iou)


@torch.inference_mode()
def best_iou(decoder: nn.Module, encoder: Encoder, maker: SceneMaker, seed: int, scenes: int = 48) -> float:
    """Mean over objects of the best IoU that any of the 100 grid proposals reaches, on validation scenes."""
    found = []
    for i in range(scenes):
        images, segments = draw(maker, seed, VALIDATION + i, 1)
        regions = maker.scene(np.random.default_rng([seed, VALIDATION + i, 0])).regions
        device = next(decoder.parameters()).device
        taps, _ = encoder(normalise(images.to(device)))
        logits, _ = decoder(taps, grid_points()[None].to(device))
        masks = (logits[0] > 0).flatten(1).float()
        small = segments[0, 1::4, 1::4].flatten().to(device)
        for segment in torch.unique(small).tolist():
            truth = (small == segment).float()
            if segment >= regions and truth.mean() > 0.003:
                both = masks @ truth
                found.append(float((both / (masks.sum(1) + truth.sum() - both)).max()))
    return float(np.mean(found))


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(config: TrainConfig, out: Path, sources: Sources, device: str = "cpu", every: int = 500) -> MaskDecoder:
    """Train from the start, or from `out/checkpoint.pt`; writes `out/log.jsonl`, a line every `every` steps."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    decoder = MaskDecoder().to(device)
    optimiser = torch.optim.AdamW(decoder.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    start, spent, checkpoint = 0, 0.0, out / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["config"] != asdict(config):
            raise SystemExit(f"{checkpoint} was made with other settings: {state['config']}. Choose another --out.")
        decoder.load_state_dict(state["decoder"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"].cpu())
        start, spent = state["step"], state["seconds"]
    encoder, maker = Encoder.load(ENCODER).to(device), SceneMaker(sources, config.large_size)
    loader = DataLoader(Batches(config, sources, start), batch_size=None, num_workers=1, prefetch_factor=4)
    began, losses = time.monotonic(), []
    bar = tqdm(loader, initial=start, total=config.steps, desc="decoder", mininterval=5)
    for step, (taps, segments) in enumerate(bar, start=start):
        for group in optimiser.param_groups:
            group["lr"] = config.rate_at(step)
        points = query_points(segments, generator)
        loss = mask_loss(decoder, [t.to(device) for t in taps], segments.to(device), points.to(device), generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        done = step + 1
        if done % every == 0 or done == config.steps:
            decoder.eval()
            row = {
                "step": done,
                "loss": round(float(np.mean(losses)), 4),
                "best_iou": round(best_iou(decoder, encoder, maker, config.seed), 4),
                "seconds": round(spent + time.monotonic() - began, 1),
            }
            decoder.train()
            losses = []
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            bar.set_postfix(row)
            save_checkpoint(
                checkpoint,
                {
                    "decoder": decoder.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "generator": generator.get_state(),
                    "config": asdict(config),
                    "step": done,
                    "seconds": row["seconds"],
                },
            )
    return decoder.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--stamps", type=Path, help="folder that holds the unpacked Debian packages (default: fetch)")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    args = parser.parse_args()
    config = TrainConfig(steps=args.steps, batch=args.batch, seed=args.seed)
    sources = Sources(args.stamps) if args.stamps else fetch()
    if args.device == "cpu":
        torch.set_num_threads(1)  # the other core draws and encodes the scenes
    decoder = train(config, args.out, sources, args.device)
    torch.set_num_threads(os.cpu_count() or 1)
    maker = SceneMaker(sources, config.large_size)
    tensors, figures = calibrate(decoder, Encoder.load(ENCODER).to(args.device), maker, config.seed)
    write_weights(args.out, decoder, tensors, figures)


if __name__ == "__main__":
    main()
