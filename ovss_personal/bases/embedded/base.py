"""The embedded base: encoder, decoder, pooling and word vectors put together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovss_personal.bases.embedded import encoder as image_encoder
from ovss_personal.bases.embedded import words as text_encoder
from ovss_personal.bases.embedded.decoder import GRID, MaskDecoder, grid_points
from ovss_personal.bases.embedded.encoder import Encoder, normalise
from ovss_personal.bases.embedded.pooling import APPEARANCE, BETA, JointSpace, appearance
from ovss_personal.bases.embedded.tiles import MAX_PROPOSALS, View, merge_tiles, tile_boxes
from ovss_personal.bases.embedded.words import ClassTexts, WordSpace
from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.errors import UsageError, WeightsError
from ovss_personal.structures import BaseTraits, Canvas, Proposals, RGBImage

SIZE = 512  # every image is stretched to this square
SCALE = 60.0
KIND = (1 - APPEARANCE) ** 0.5  # length of an embedding's first part, the only one that words have
THING_BIAS = 2.0  # in favour of things, on top of the balanced regression
WEIGHTS = Path(__file__).parent / "weights"
REINSTALL = "run: pip install --force-reinstall ovss-personal"


class EmbeddedBase:
    """The default base (`Base` protocol). Of the settings, `weights` names a folder like the shipped `weights/`.

    Raises:
        UsageError: another `dtype` than float32 is asked for.
        WeightsError: weights, shipped or of a wheel, are missing or broken.
    """

    name = "embedded"
    extra_words = ("other",)
    fit_defaults = FitConfig(alpha=0.5, learning_rate=5e-3, competitors="both", negative=False, views=4)
    paper_defaults = FitConfig()

    def __init__(self, config: BaseConfig | None = None) -> None:
        self.config = config or BaseConfig()
        if self.config.dtype != "float32":
            raise UsageError(f"the embedded base computes in float32, not {self.config.dtype}.", hint="Drop --dtype.")
        self.device = torch.device(self.config.device)
        self.num_proposals = MAX_PROPOSALS if self.config.tiles else GRID * GRID
        folder = Path(self.config.weights) if self.config.weights else WEIGHTS
        self.encoder = Encoder().to(self.device)
        self.decoder = MaskDecoder().to(self.device).eval().requires_grad_(False)
        decoder, calibration, texts = (
            load(folder / f"{part}.safetensors") for part in ("decoder", "calibration", "class_texts")
        )
        try:
            self.decoder.load_state_dict({name: tensor.float() for name, tensor in decoder.items()})
            self.space = JointSpace(
                mean=calibration["mean"].to(self.device),
                look_mean=calibration["look_mean"].to(self.device),
                look_std=calibration["look_std"].to(self.device),
                gain=float(calibration["gain"]),
            )
            self.bank = calibration["bank"].float()
            self.thing_weight, self.thing_bias = calibration["thing_weight"], calibration["thing_bias"]
            owner = texts.pop("owner").long()
            class_texts = ClassTexts(owner=owner, **{name: tensor.float() for name, tensor in texts.items()})
        except (KeyError, RuntimeError, TypeError) as error:
            raise WeightsError(f"does not hold this base's tensors ({error}).", path=folder, hint=REINSTALL) from error
        self.words = WordSpace(self.encoder.class_rows.detach().cpu(), class_texts)
        self.traits = BaseTraits(
            logit_scale=SCALE / KIND,
            positives="overlap",
            contrast=self.space.contrast.cpu(),
            threshold=0.4,
            competitor_scale=20.0,
            paper_threshold=0.4,
        )
        self.dim = self.space.dim
        self.fingerprint = fingerprint(folder, self.config.tiles)

    def encode(self, words: Sequence[str]) -> Tensor:
        return self.space.padded(self.words.encode(words))

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        parts = [self.bank[:0]]
        if kind in ("siblings", "both"):
            parts.append(self.space.padded(self.words.siblings(class_name)))
        if kind in ("bank", "both"):
            parts.append(self.bank)
        return torch.cat(parts)

    @torch.no_grad()
    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        # One image at a time: a batch would change the last bits of its members' results.
        return [self._propose(image) for image in images]

    def _propose(self, image: RGBImage) -> Proposals:
        view = self._look(image)
        if self.config.tiles:
            boxes = tile_boxes(image.shape[0], image.shape[1], self.config.tiles)
            tiles = [(box, self._look(image[box.top : box.bottom, box.left : box.right])) for box in boxes]
            view = merge_tiles(view, tiles, image.shape[:2])
        size = image.shape[:2]
        return Proposals(
            masks=view.masks.cpu(),
            embeddings=view.embeddings.cpu(),
            features=view.features.cpu(),
            canvas=Canvas(original=size, resized=size, padded=size),  # from the grid straight to the image
        )

    def _look(self, image: RGBImage) -> View:
        square = Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR, reducing_gap=3.0)
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].to(self.device)
        taps, dense = self.encoder(normalise(pixels))
        masks, quality = self.decoder(taps, grid_points()[None].to(self.device))
        look = appearance(taps, (dense.shape[2], dense.shape[3]))
        return View(
            masks=masks[0],
            embeddings=self.space.embeddings(masks[0], dense[0], look),
            features=self.space.features(dense[0], look),
            quality=quality[0].sigmoid(),
        )

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        """Softmax over the words at scale 60 of their kind; what is more likely no thing at all goes to `other`."""
        words = (self.traits.logit_scale * proposals.embeddings @ text.T).softmax(1)
        kind = proposals.embeddings[:, : len(self.thing_weight)] / KIND
        thing = (kind @ self.thing_weight + self.thing_bias + THING_BIAS).sigmoid()[:, None]
        return torch.cat((words * thing, 1 - thing), 1)


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises WeightsError if it is missing or broken."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot be read ({error}).", path=path, hint=REINSTALL) from error
    return tensors


def fingerprint(folder: Path, tiles: int) -> str:
    """sha256 over both wheels' weights, our own, and every setting that changes the output."""
    parts = [image_encoder.weights_sha256(), text_encoder.weights_sha256(), f"tiles={tiles}", f"size={SIZE}"]
    parts += [
        f"scale={SCALE}",
        f"thing={THING_BIAS}",
        f"beta={BETA}",
        f"appearance={APPEARANCE}",
        f"temperature={text_encoder.TEMPERATURE}",
    ]
    for file in sorted(folder.glob("*.safetensors")):
        parts.append(f"{file.name}={hashlib.sha256(file.read_bytes()).hexdigest()}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
