"""A base that sees colours: fast, deterministic, and good enough for a fit to succeed or fail on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.structures import BaseTraits, Canvas, Proposals, RGBImage, Shot

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 60, 220), "grey": (128, 128, 128)}
DIM = 32
GRID = 8
OURS = FitConfig(alpha=0.5, learning_rate=5e-3, competitors="both", negative=False, views=4)  # as the embedded base's
SIDE = 32  # pixels a side of `photo`


class FakeBase:
    """Four proposals, one a colour of `COLOURS`, and two that are always the same: everything, and the left half.

    A proposal's embedding is a projection of the mean colour under it; so is the vector of a word that names a
    colour. Any other word is a random unit vector that depends on nothing but its letters.
    """

    name = "fake"
    fingerprint = "f" * 64
    num_proposals = 6
    dim = DIM

    def __init__(
        self,
        config: BaseConfig | None = None,
        *,
        traits: BaseTraits | None = None,
        extra_words: tuple[str, ...] = (),
    ) -> None:
        self.config = config or BaseConfig()
        self.device = torch.device("cpu")
        self.fit_defaults = replace(OURS, alpha=0.3, iterations=60, views=1)
        self.paper_defaults = FitConfig()
        self.traits = traits or BaseTraits(20.0, no_object=0.5, positives="overlap", threshold=0.1)
        self.extra_words = extra_words
        generator = torch.Generator().manual_seed(7)
        # A parameter, so that a test can see that no gradient reaches it.
        self.projection = torch.nn.Parameter(torch.randn(3, DIM, generator=generator))
        self.looks = 0

    def encode(self, words: Sequence[str]) -> Tensor:
        rows = []
        for word in words:
            named = [rgb for name, rgb in COLOURS.items() if name in word.split()]
            rows.append(self._project(torch.tensor([named[0]]) / 255)[0] if named else letters(word))
        return torch.stack(rows) if rows else torch.zeros(0, DIM)

    @torch.inference_mode()
    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        self.looks += len(images)
        return [self._propose(image) for image in images]

    def _propose(self, image: RGBImage) -> Proposals:
        pixels = torch.from_numpy(np.asarray(image)).permute(2, 0, 1)[None].float() / 255
        cells = F.adaptive_avg_pool2d(pixels, GRID)[0]  # (3, 8, 8)
        anchors = torch.tensor(list(COLOURS.values())) / 255  # (4, 3)
        distance = (cells[None] - anchors[:, :, None, None]).square().sum(1)  # (4, 8, 8)
        left = torch.full((1, GRID, GRID), -4.0)
        left[:, :, : GRID // 2] = 4.0
        masks = torch.cat((4 - 40 * distance, torch.full((1, GRID, GRID), 4.0), left)).clamp(-8, 8)
        weights = masks.sigmoid().flatten(1)  # (6, 64)
        mean = weights @ cells.flatten(1).T / weights.sum(1, keepdim=True)  # (6, 3)
        features = self._project(F.adaptive_avg_pool2d(cells, GRID // 2).flatten(1).T).T
        size = (image.shape[0], image.shape[1])
        return Proposals(
            masks=masks,
            embeddings=self._project(mean),
            features=features.unflatten(1, (GRID // 2, GRID // 2)),
            canvas=Canvas(original=size, resized=(SIDE, SIDE), padded=(SIDE, SIDE)),
        )

    def _project(self, colours: Tensor) -> Tensor:  # (..., 3) in [0, 1] -> (..., D)
        with torch.no_grad():
            return F.normalize((colours - 0.5) @ self.projection + 0.4, dim=-1)

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        rows = text if self.traits.void is None else torch.cat((text, self.traits.void))
        scores = (self.traits.logit_scale * proposals.embeddings @ rows.T).softmax(1)[:, : len(text)]
        return torch.cat((scores, torch.full((len(scores), len(self.extra_words)), 0.01)), 1)

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        count = {"none": 0, "siblings": 3, "bank": 4, "both": 7}[kind]
        return torch.stack([letters(f"{class_name}{i}") for i in range(count)]) if count else torch.zeros(0, DIM)


def letters(word: str) -> Tensor:
    """(D,) a unit vector that is the word's own."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return F.normalize(torch.randn(DIM, generator=torch.Generator().manual_seed(seed)), dim=0)


def photo(colour: str, top: int = 8, left: int = 8, size: int = 16, noise: int = 0) -> RGBImage:
    """(32, 32, 3): a square of one colour on grey; `noise` is the seed of a little grain, 0 for none."""
    image = np.full((SIDE, SIDE, 3), COLOURS["grey"], np.int16)
    image[top : top + size, left : left + size] = COLOURS[colour]
    if noise:
        image += np.random.default_rng(noise).integers(-9, 10, image.shape).astype(np.int16)
    return image.clip(0, 255).astype(np.uint8)


def shot(colour: str, number: int, top: int = 8, left: int = 8, size: int = 16) -> Shot:
    """A photo of a coloured square and its true mask."""
    image = photo(colour, top, left, size, noise=number)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + size, left : left + size] = True
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    return Shot(image=image, mask=mask, name=f"images/{number}.png", sha256=digest)


def reds(count: int) -> list[Shot]:
    """Shots of a red square, each a little lower."""
    return [shot("red", i + 1, top=4 * i) for i in range(count)]
