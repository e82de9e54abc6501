"""The embedded base: encoder, decoder, pooling and word vectors put together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ovss_personal.bases.bank import load_bank
from ovss_personal.bases.embedded.decoder import GRID, MaskDecoder
from ovss_personal.bases.embedded.encoder import Encoder, normalise
from ovss_personal.bases.embedded.files import REINSTALL, WEIGHTS, load, sha256
from ovss_personal.bases.embedded.pooling import APPEARANCE, BETA, JointSpace, appearance
from ovss_personal.bases.embedded.tiles import MAX_PROPOSALS, Box, View, merge_tiles, tile_boxes
from ovss_personal.bases.embedded.word_rows import WordRows
from ovss_personal.bases.embedded.words import ClassTexts, TextVectors, WordSpace, fit_words, words_fingerprint
from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.errors import UsageError, WeightsError
from ovss_personal.structures import BaseTraits, Canvas, Proposals, RGBImage

SIZE = 512  # every image is stretched to this square
SCALE = 60.0
KIND = (1 - APPEARANCE) ** 0.5  # length of an embedding's first part, the only one that words have
THING_BIAS = 2.0  # in favour of things, on top of the balanced regression
BATCH = 8  # pictures that pass together on an accelerator

# What differs from the paper was chosen on eight birds of which no other figure tells; see the README.
FIT_DEFAULTS = FitConfig(alpha=0.5, learning_rate=5e-3, competitors="both", negative=False, views=4)


class EmbeddedBase:
    """The default base (`Base` protocol). Of the settings, `weights` names a folder like the shipped `weights/`;
    the files of others' models, and of what words are, may be missing there.

    Raises:
        UsageError: another `dtype` than float32 is asked for.
        WeightsError: weights are missing or broken.
    """

    name = "embedded"
    extra_words = ("other",)
    fit_defaults = FIT_DEFAULTS
    paper_defaults = FitConfig()

    def __init__(self, config: BaseConfig | None = None) -> None:
        self.config = config or BaseConfig()
        if self.config.dtype != "float32":
            raise UsageError(f"the embedded base computes in float32, not {self.config.dtype}.", hint="Drop --dtype.")
        self.device = torch.device(self.config.device)
        self.batch = 1 if self.device.type == "cpu" else BATCH
        self.num_proposals = MAX_PROPOSALS if self.config.tiles else GRID * GRID
        folder = Path(self.config.weights) if self.config.weights else WEIGHTS
        self.encoder = Encoder.load(carried(folder, "encoder.safetensors")).to(self.device)
        self.decoder = MaskDecoder.load(folder / "decoder.safetensors").to(self.device)
        tensors = load(folder / "calibration.safetensors")
        calibration = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        try:
            self.space = JointSpace(
                mean=calibration["mean"],
                appearance_mean=calibration["appearance_mean"],
                appearance_map=calibration["appearance_map"],
                gain=float(calibration["gain"]),
            )
            self.bank = calibration["bank"]
            self.thing_weight, self.thing_bias = calibration["thing_weight"], calibration["thing_bias"]
        except KeyError as error:
            raise WeightsError(f"does not hold this base's tensors ({error}).", path=folder, hint=REINSTALL) from error
        encoder, text = carried(folder, "encoder.safetensors"), carried(folder, "text.safetensors").parent
        texts, learned = folder / "class_texts.safetensors", carried(folder, "word_rows.safetensors")
        self.words = WordSpace(
            self.encoder.class_rows.detach().cpu(),
            ClassTexts.load(texts),
            TextVectors(text),
            WordRows.load(learned),
            fit_words(text, words_fingerprint(encoder, texts, learned, text)),
        )
        self.traits = BaseTraits(
            logit_scale=SCALE / KIND,
            positives="overlap",
            contrast=self.space.contrast,
            threshold=0.4,
            threshold_growth=0.75,
            competitor_scale=20.0,
            paper_threshold=0.4,
        )
        self.dim = self.space.dim
        own = fingerprint(folder, self.config.tiles)
        bank, self.fingerprint = load_bank(self.config, self.name, own, self.dim)
        self.bank = self.bank if bank is None else bank.to(self.device)

    def encode(self, words: Sequence[str]) -> Tensor:
        return self.space.padded(self.words.encode(words).to(self.device))

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        parts = [self.bank[:0]]
        if kind in ("siblings", "both"):
            parts.append(self.space.padded(self.words.siblings(class_name).to(self.device)))
        if kind in ("bank", "both"):
            parts.append(self.bank)
        return torch.cat(parts)

    @torch.no_grad()
    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        """Every image is stretched to one square. On the CPU one passes at a time: in a batch, its company would
        change its last bits."""
        boxes = [self._boxes(image) for image in images]
        pictures = []
        for image, own in zip(images, boxes, strict=True):
            pictures += [image, *(image[box.top : box.bottom, box.left : box.right] for box in own)]
        views = self._views(pictures)
        return [self._proposals(image, own, views) for image, own in zip(images, boxes, strict=True)]

    def _boxes(self, image: RGBImage) -> list[Box]:
        return tile_boxes(image.shape[0], image.shape[1], self.config.tiles) if self.config.tiles else []

    def _proposals(self, image: RGBImage, boxes: Sequence[Box], views: Iterator[View]) -> Proposals:
        """The image and then its crops are next in `views`."""
        height, width = image.shape[:2]
        size = (height, width)
        view = next(views)
        if boxes:
            view = merge_tiles(view, [(box, next(views)) for box in boxes], size)
        canvas = Canvas(original=size, resized=size, padded=size)  # from the grid straight to the image
        return Proposals(view.masks, view.embeddings, view.features, canvas, {"quality": view.quality})

    def _views(self, pictures: Sequence[RGBImage]) -> Iterator[View]:
        for start in range(0, len(pictures), self.batch):
            squares = np.stack([square(picture) for picture in pictures[start : start + self.batch]])
            pixels = normalise(torch.from_numpy(squares).to(self.device).permute(0, 3, 1, 2))
            taps, dense = self.encoder(pixels)
            masks, quality = self.decoder(taps)
            for i in range(len(pixels)):
                channels = appearance(pixels[i], [tap[i : i + 1] for tap in taps])
                yield View(
                    masks=masks[i],
                    embeddings=self.space.embeddings(masks[i], dense[i], channels),
                    features=self.space.features(dense[i], channels),
                    quality=quality[i].sigmoid(),
                )

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        """Softmax over the words at scale 60 of their kind; what is more likely no thing at all goes to `other`."""
        embeddings = proposals.embeddings.to(self.device)
        words = (self.traits.logit_scale * embeddings @ text.to(self.device).T).softmax(1)
        kind = embeddings[:, : len(self.thing_weight)] / KIND
        thing = (kind @ self.thing_weight + self.thing_bias + THING_BIAS).sigmoid()[:, None]
        return torch.cat((words * thing, 1 - thing), 1)


def square(image: RGBImage) -> npt.NDArray[np.uint8]:
    """(H, W, 3) stretched to (SIZE, SIZE, 3)."""
    return np.array(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR, reducing_gap=3.0))


def carried(folder: Path, name: str) -> Path:
    """A file that a folder need not hold: its own, where it has one, or the shipped one."""
    return folder / name if (folder / name).exists() else WEIGHTS / name


def fingerprint(folder: Path, tiles: int) -> str:
    """sha256 over all weights and every setting that changes the output."""
    encoder, text = carried(folder, "encoder.safetensors"), carried(folder, "text.safetensors").parent
    own = [folder / f"{name}.safetensors" for name in ("calibration", "decoder")]
    parts = [f"{path.name}={sha256(path)}" for path in (*own, encoder)]
    texts, learned = folder / "class_texts.safetensors", carried(folder, "word_rows.safetensors")
    parts.append(f"words={words_fingerprint(encoder, texts, learned, text)}")
    parts += [f"tiles={tiles}", f"size={SIZE}", f"scale={SCALE}"]
    parts += [f"thing={THING_BIAS}", f"beta={BETA}", f"appearance={APPEARANCE}"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
