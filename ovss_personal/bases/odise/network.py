"""The whole network: from an image in [0, 1] to masks and their embeddings, no word in sight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.captioner import ImplicitCaptioner
from ovss_personal.bases.odise.clip import FrozenClip
from ovss_personal.bases.odise.clip_branch import probe
from ovss_personal.bases.odise.decoder import MaskDecoder
from ovss_personal.bases.odise.extractor import WINDOW, Extractor
from ovss_personal.bases.odise.heads import CategoryHead, WordHead
from ovss_personal.bases.odise.pixel_decoder import PixelDecoder
from ovss_personal.bases.odise.pyramid import Bottleneck, sliding_pyramid, window_pyramid
from ovss_personal.bases.odise.sizes import Size

CPU = torch.device("cpu")
WINDOW_BYTES = 3 * 2**29  # that a window of 512 pixels may take on its way, in float32


class _Backbone(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.feature_extractor = ImplicitCaptioner(size)
        self.feature_projections = nn.ModuleList(nn.Sequential(Bottleneck(channels)) for channels in size.taps)


class _MaskHead(nn.Module):
    def __init__(self, objectness: bool):
        super().__init__()
        self.pixel_decoder = PixelDecoder()
        self.predictor = MaskDecoder(objectness)


class Trained(nn.Module):
    """All that ODISE trained, under the names of its checkpoints; the forward pass is `Network`'s.

    Args:
        labels: the label model; otherwise the caption model.
    """

    def __init__(self, size: Size, labels: bool):
        super().__init__()
        self.backbone = _Backbone(size)
        self.sem_seg_head = _MaskHead(objectness=not labels)
        if labels:
            self.category_head = CategoryHead(size.clip_dim)
        else:
            self.word_head = WordHead(size.clip_dim)

    @property
    def head(self) -> WordHead:
        head = self.get_submodule("category_head" if hasattr(self, "category_head") else "word_head")
        assert isinstance(head, WordHead)
        return head


@dataclass(frozen=True)
class Seen:
    """What the network makes of images, before any word.

    Attributes:
        masks: (B, 100, h, w) logits at stride 4.
        queries: (B, 100, 256)
        mask_features: (B, 256, h, w)
        embeddings: (B, 100, 256), not normalised.
    """

    masks: Tensor
    queries: Tensor
    mask_features: Tensor
    embeddings: Tensor

    def one(self, index: int) -> Seen:
        """What it makes of one of them, B being 1."""
        return Seen(*(x[index : index + 1] for x in (self.masks, self.queries, self.mask_features, self.embeddings)))


@dataclass(frozen=True)
class Network:
    """The trained part and the frozen ones that it looks through; not for two threads at once.

    Attributes:
        empty: (1, 77, context) the empty caption (`diffusion.empty_caption`).
        device: where it computes.
        low_memory: of the frozen networks, only the one at work is on the device, and it goes through all windows
            before the next one comes.
    """

    trained: Trained
    extractor: Extractor
    clip: FrozenClip
    empty: Tensor
    device: torch.device = CPU
    low_memory: bool = False

    def __post_init__(self) -> None:
        self.trained.eval().requires_grad_(False)

    @property
    def home(self) -> torch.device:
        """Where the frozen networks are, and what one hands to the next."""
        return CPU if self.low_memory else self.device

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32, low_memory: bool = False) -> Network:
        """The network on that device, with the frozen networks but for CLIP's text tower in that precision."""
        placed = replace(self, empty=self.empty.to(device), device=device, low_memory=low_memory)
        frozen = (self.extractor.unet, self.extractor.vae, self.clip.visual)
        for module in frozen:
            nn.Module.to(module, dtype)  # diffusers' own `to` has a warning for every user
        self.trained.to(device)
        self.clip.model.to(device)
        for module in frozen:
            nn.Module.to(module, placed.home)
        return placed

    def __call__(self, images: Tensor) -> Seen:
        """Shape: images (B, 3, H, W) in [0, 1], H and W multiples of 64."""
        mask_head = self.trained.sem_seg_head
        places = None if self.low_memory else max(1, self.at_once() // len(images))
        pyramid = sliding_pyramid(images, self.look, places)
        memory, features = mask_head.pixel_decoder(pyramid)
        queries, masks = mask_head.predictor(memory, features)
        return Seen(masks, queries, features, mask_head.predictor.embed(queries, masks, features))

    def at_once(self) -> int:
        """How many windows pass at once without low memory: as many as a GPU has room for; elsewhere one, as more
        gain nothing.
        """
        if self.device.type != "cuda":
            return 1
        unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        free = torch.cuda.mem_get_info(self.device)[0] + unused
        size = next(self.extractor.vae.parameters()).element_size()
        return max(1, free // (WINDOW_BYTES * size // 4))

    def look(self, windows: Tensor) -> list[Tensor]:
        """(B, 3, side, side) in [0, 1] -> their pyramid, s2 to s5. Each window has a caption of its own."""
        backbone, extractor, side = self.trained.backbone, self.extractor, windows.shape[2]
        images = windows
        if side != WINDOW:
            images = F.interpolate(windows, (WINDOW, WINDOW), mode="bicubic", align_corners=False, antialias=False)

        def view(images: Tensor) -> list[Tensor]:
            return [self.clip.image(self.clip.prepare(images, "bicubic"))]

        def autoencode(images: Tensor) -> list[Tensor]:
            taps, latent = extractor.encode(images)
            return [latent, *taps, *extractor.decode(latent)]

        def denoise(latent: Tensor, view: Tensor) -> list[Tensor]:
            context, time = backbone.feature_extractor(view, self.empty)
            return extractor.denoise(extractor.add_noise(latent), context, time)

        def project(*taps: Tensor) -> list[Tensor]:
            return window_pyramid(taps, backbone.feature_projections, side)

        (views,) = self._pass(self.clip.visual, view, images)
        latent, *ends = self._pass(extractor.vae, autoencode, images)
        middle = self._pass(extractor.unet, denoise, latent, views)
        levels = self._pass(backbone.feature_projections, project, *ends[:2], *middle, *ends[2:])
        return [level.to(self.device) for level in levels]

    def probe(self, images: Tensor, visible: Tensor) -> Tensor:
        """`clip_branch.probe`, with CLIP on the device."""
        with visiting(self.clip.visual, self.device):
            return probe(self.clip, images, visible)

    def _pass(self, module: nn.Module, step: Callable[..., list[Tensor]], *inputs: Tensor) -> list[Tensor]:
        """What a step, in which the module works, makes of windows: of all at once, or with low memory one by one."""
        size = 1 if self.low_memory else len(inputs[0])
        with visiting(module, self.device):
            made = [
                [out.to(self.home) for out in step(*(x.to(self.device) for x in some))]
                for some in zip(*(_parts(x, size) for x in inputs), strict=True)
            ]
        return [torch.cat(parts) for parts in zip(*made, strict=True)]


def _parts(x: Tensor, size: int) -> list[Tensor]:
    return [x[start : start + size] for start in range(0, len(x), size)]


@contextmanager
def visiting(module: nn.Module, device: torch.device) -> Iterator[None]:
    """While this lasts, the module's tensors are on the device; then they are what and where they were."""
    homes = [(tensor, tensor.data) for tensor in (*module.parameters(), *module.buffers())]
    try:
        for tensor, home in homes:
            tensor.data = home.to(device)
        yield
    finally:
        for tensor, home in homes:
            tensor.data = home


def resized_size(height: int, width: int, short: int, long: int) -> tuple[int, int]:
    """(height, width) with the short edge brought to `short`, or the long one to `long` if it were longer."""
    scale = short / min(height, width)
    scale = min(scale, long / max(height, width))
    return int(height * scale + 0.5), int(width * scale + 0.5)


def padded_size(height: int, width: int, multiple: int = 64) -> tuple[int, int]:
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def pad(images: Tensor) -> Tensor:
    """(..., H, W) -> zeros at the right and bottom up to multiples of 64."""
    height, width = padded_size(images.shape[-2], images.shape[-1])
    return F.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]))
