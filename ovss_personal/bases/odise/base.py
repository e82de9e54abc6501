"""ODISE as a base: the label and the caption model, and a reduced network without training for tests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ovss_personal.bases.bank import load_bank
from ovss_personal.bases.batches import batches
from ovss_personal.bases.checkpoint import load_strictly
from ovss_personal.bases.competitors import competitors_of
from ovss_personal.bases.odise.checkpoints import OWN_WORDS, Checkpoints, published_checkpoints, read_checkpoints
from ovss_personal.bases.odise.clip import FrozenClip, build_clip
from ovss_personal.bases.odise.clip_branch import visible_patches
from ovss_personal.bases.odise.decoder import QUERIES
from ovss_personal.bases.odise.dense import clip_cells, diffusion_cells
from ovss_personal.bases.odise.diffusion import build_text_encoder, build_unet, build_vae, empty_caption
from ovss_personal.bases.odise.ensemble import CAPTION, LABEL, ensemble
from ovss_personal.bases.odise.extractor import Extractor
from ovss_personal.bases.odise.heads import CategoryHead, cosine_logits
from ovss_personal.bases.odise.joint import JointSpace
from ovss_personal.bases.odise.network import Network, Seen, Trained, pad, padded_size, resized_size
from ovss_personal.bases.odise.pixel_decoder import WIDTH
from ovss_personal.bases.odise.seeded import seeded_like
from ovss_personal.bases.odise.sizes import FULL, TINY, Size
from ovss_personal.bases.odise.vocabulary import plain, seen_words
from ovss_personal.bases.words import Words
from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.errors import WeightsError
from ovss_personal.store.words import WordCache
from ovss_personal.structures import BaseTraits, Canvas, Proposals, RGBImage

PHOTO = "a photo of a {}."
BATCH = 4  # images of one size that pass together on an accelerator
FEATURE_STRIDE = 32  # of the grid of eq. 6
VisualFeatures = Literal["both", "diffusion", "clip"]


class OdiseLabel:
    """The model trained on COCO's panoptic labels (`Base` protocol).

    Of the settings, `weights` names a folder that `checkpoints` describes, `dtype` is the precision of the frozen
    networks, `low_memory` counts on a device other than the CPU, and `tiles` has no effect. All tensors that it
    returns are on its device. Threads take turns.

    Embeddings and words live in the joint space of `joint`: 256 trained numbers beside 768 of mask-pooled CLIP. A
    personal word is one of them, so it takes part in both halves of the ensemble, as a word that training has not
    seen; through the trained half it also takes part in whether a proposal is anything at all.

    Against competitors a concept has the joint logit scale and must be likelier than all of them together (the
    default `threshold` 0.5), for the reason that `SanBase` gives: the joint space is for the most part CLIP's. That
    is reasoned, not measured.

    Attributes:
        visual: which half of the joint space the visual embedding of eq. 6 fills: Stable Diffusion's features on
            their way to words, CLIP's, or both.

    Raises:
        WeightsError: weights are missing, corrupt, or of another model.
        ResourceError, OutputError: there is no room to keep what was downloaded.
    """

    name = "odise_label"
    extra_words: tuple[str, ...] = ()
    num_proposals = QUERIES
    labels: ClassVar[bool] = True
    size: ClassVar[Size] = FULL
    visual: ClassVar[VisualFeatures] = "both"
    # The paper's values for ODISE on FSS-1000; configs/bases/ has those for CUB-200 and ADE20K.
    fit_defaults = paper_defaults = FitConfig(learning_rate=2e-3, lambda_m=10.0)

    def __init__(self, config: BaseConfig | None = None) -> None:
        self.config = config or BaseConfig(base=self.name)
        self.device = torch.device(self.config.device)
        folder = Path(self.config.weights) if self.config.weights else None
        own_words = folder / OWN_WORDS if folder is not None and (folder / OWN_WORDS).exists() else None
        self.seen = seen_words(own_words)
        network, weights_sha256 = self._load(folder)
        low_memory = self.config.low_memory and self.device.type != "cpu"
        self.batch = 1 if low_memory or self.device.type == "cpu" else BATCH
        self.network = network.to(self.device, getattr(torch, self.config.dtype), low_memory)
        self.dim = WIDTH + self.size.clip_dim
        self.space = JointSpace(
            trained_scale=self.network.trained.sem_seg_head.predictor.logit_scale.item(),
            clip_scale=self.network.clip.logit_scale,
            shares=LABEL if self.labels else CAPTION,
        )
        head = self.network.trained.head
        self.null = head.null() if isinstance(head, CategoryHead) else None
        self.traits = BaseTraits(logit_scale=self.space.scale, void=self._void(), positives="bipartite")
        settings = (weights_sha256, self.size, self.space, self.visual, FEATURE_STRIDE, self.config.dtype)
        lines = (*map(str, settings), *sorted(self.seen))
        own = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        bank, self.fingerprint = load_bank(self.config, self.name, own, self.dim)
        self.bank = None if bank is None else bank.to(self.device)
        self._words = Words(self._row, self.dim, WordCache(own))
        self._turn = threading.Lock()

    def _load(self, folder: Path | None) -> tuple[Network, str]:
        """The network with its weights, and what their fingerprint is made from."""
        if folder is None:
            files = published_checkpoints(self.labels, self.config.offline)
        else:
            files = read_checkpoints(folder, self.labels, self.size.context)
        try:
            return assemble(self.size, self.labels, files), files.sha256
        except ValueError as error:
            raise WeightsError(f"does not hold this base's tensors: {error}.", path=folder) from error

    @torch.no_grad()
    def _void(self) -> Tensor | None:
        """(1, D): the null embedding, and CLIP's of no words, which it once started as."""
        return None if self.null is None else self.space.join(self.null, self.network.clip.text([""]))

    @torch.no_grad()
    def encode(self, words: Sequence[str]) -> Tensor:
        """What data sets append to a word that training has seen, as in `sky-other`, is not read."""
        return self._words([plain(word) if plain(word) in self.seen else word for word in words]).to(self.device)

    @cached_property
    def _seen_rows(self) -> frozenset[bytes]:
        """The vectors of the words that training has seen: by them `word_scores` knows those words, and no others."""
        return frozenset(_bytes(self.encode(sorted(self.seen))))

    def _row(self, word: str) -> Tensor:
        """(D,) of one word."""
        sentences = [PHOTO.format(word), word] if self.labels else [PHOTO.format(word)]
        text = self.network.clip.text(sentences)
        return self.space.join(self.network.trained.head.embed(text[-1:]), text[:1])[0]

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        return competitors_of(self.name, self.encode, self.bank, class_name, kind)

    @torch.no_grad()
    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        """Masks at stride 4 of the resized image, and `features` at stride 32.

        Only images of one size pass together, and on the CPU, where batches gain nothing, each by itself: to the same
        last bits as it would alone.
        """
        sizes = [self._resized(image) for image in images]
        found: dict[int, Proposals] = {}
        with self._turn:
            for batch in batches(sizes, self.batch):
                found.update(zip(batch, self._look([images[i] for i in batch], sizes[batch[0]]), strict=True))
        return [found[i] for i in range(len(images))]

    def _resized(self, image: RGBImage) -> tuple[int, int]:
        return resized_size(image.shape[0], image.shape[1], self.size.short_edge, self.size.long_edge)

    def _look(self, images: Sequence[RGBImage], resized: tuple[int, int]) -> list[Proposals]:
        """What is seen in images that are all brought to one size."""
        height, width = resized
        pictures = [Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR) for image in images]
        pixels = (
            torch.from_numpy(np.stack([np.array(picture) for picture in pictures])).to(self.device).permute(0, 3, 1, 2)
            / 255
        )
        seen = self.network(pad(pixels))
        visible = visible_patches(seen.masks, self.network.clip.side)
        each_patch = torch.eye(visible.shape[2], dtype=torch.bool, device=self.device).expand(len(images), -1, -1)
        # CLIP sees the image without its padding and the masks with it, as it did when ODISE was published.
        probes = self.network.probe(pixels, torch.cat((visible, each_patch), 1))
        embeddings = self.space.join(seen.embeddings, probes[:, :QUERIES])
        classes = self.network.trained.sem_seg_head.predictor.class_embed
        objects = None if classes is None else classes(seen.queries).softmax(2)[..., 0]
        proposals = []
        for i, image in enumerate(images):
            canvas = Canvas(image.shape[:2], resized, padded_size(height, width))
            extras = {} if objects is None else {"object": objects[i]}
            features = self._features(seen.one(i), probes[i, QUERIES:], canvas)
            proposals.append(Proposals(seen.masks[i], embeddings[i], features, canvas, extras))
        return proposals

    def _features(self, seen: Seen, patches: Tensor, canvas: Canvas) -> Tensor:
        size = (canvas.padded[0] // FEATURE_STRIDE, canvas.padded[1] // FEATURE_STRIDE)
        diffusion = diffusion_cells(seen, self.network.trained.sem_seg_head.predictor.post_mask_embed, size)
        clip = clip_cells(patches, canvas, size)
        if self.visual == "diffusion":
            clip = torch.zeros_like(clip)
        elif self.visual == "clip":
            diffusion = torch.zeros_like(diffusion)
        joined = self.space.join(diffusion.flatten(1).T, clip.flatten(1).T)
        return F.normalize(joined, dim=1).T.reshape(-1, *size)

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        """The geometric ensemble of both halves, times the probability of being an object."""
        trained, clip = self.space.logits(proposals.embeddings, text)
        known = [row in self._seen_rows for row in _bytes(text)]
        seen = torch.tensor(known, dtype=torch.bool, device=text.device)
        scores = ensemble(trained, clip, seen, self.space.shares).softmax(1)
        return self._objectness(proposals, trained)[:, None] * scores

    def _objectness(self, proposals: Proposals, trained: Tensor) -> Tensor:
        """(N,) probability of being anything, from the null embedding or from the caption model's own say."""
        if self.null is not None:
            z = proposals.embeddings[:, :WIDTH]
            null = cosine_logits(z, self.null, self.space.trained_scale)
            return 1 - torch.cat((trained, null), 1).softmax(1)[:, -1]
        objects = proposals.extras["object"]
        # Of a concept's negative embedding no query speaks; it stands for all that is something else.
        return torch.cat((objects, objects.new_ones(len(proposals.embeddings) - len(objects))))


class OdiseCaption(OdiseLabel):
    """The model trained on COCO's captions: no word for "nothing", but a probability of it for each proposal."""

    name = "odise_caption"
    labels = False


class OdiseTiny(OdiseLabel):
    """A reduced label model with seeded weights: it sees nothing in particular, and builds in seconds."""

    name = "odise_tiny"
    size = TINY

    def _load(self, folder: Path | None) -> tuple[Network, str]:
        return assemble(self.size, self.labels, None), "seeded"


def assemble(size: Size, labels: bool, files: Checkpoints | None) -> Network:
    """The network with the weights of `files`, or with seeded ones.

    Raises:
        ValueError: a tensor is missing or of another shape.
    """

    def filled(name: str, module: nn.Module) -> nn.Module:
        tensors = seeded_like(module.state_dict(), f"{name}.") if files is None else getattr(files, name)
        try:
            load_strictly(module, tensors, spare=True)
        except ValueError as error:
            raise ValueError(f"of the {name}, {error}") from None
        return module

    # Without memory until their weights are there; CLIP's networks hold buffers that are no weights.
    with torch.device("meta"):
        empty_unet, empty_vae, trained = build_unet(size), build_vae(size), Trained(size, labels)
    unet, vae = filled("unet", empty_unet), filled("vae", empty_vae)
    filled("trained", trained)
    caption = empty_caption(filled("text", build_text_encoder(size)).eval())
    return Network(trained, Extractor(unet, vae), FrozenClip(filled("clip", build_clip(size)), size), caption)


def _bytes(rows: Tensor) -> list[bytes]:
    """Of each row; fetched from the device together."""
    return [row.tobytes() for row in rows.detach().cpu().numpy()]
