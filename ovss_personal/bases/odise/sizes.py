"""The widths of the network: the published one, and a reduced one that builds in seconds.

Everything from the 512-channel pyramid on has one size only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Widths of the frozen networks; the trained part follows from them.

    Attributes:
        unet: channels of the four levels of Stable Diffusion's UNet.
        vae: channels of the four levels of its autoencoder.
        context: width of its text encoder and of the UNet's cross-attention.
        context_layers, context_heads: of its text encoder.
        clip_dim: of CLIP's joint space.
        clip_image: side of CLIP's input in pixels.
        clip_vision: width of its image tower; a head has 64 channels.
        clip_text, clip_heads: width and heads of its text tower.
        clip_layers: of its image tower and of its text tower.
        short_edge, long_edge: the image is resized so that its short edge is this and its long edge at most that.
    """

    unet: tuple[int, int, int, int]
    vae: tuple[int, int, int, int]
    context: int
    context_layers: int
    context_heads: int
    clip_dim: int
    clip_image: int
    clip_vision: int
    clip_text: int
    clip_heads: int
    clip_layers: tuple[int, int]
    short_edge: int
    long_edge: int

    @property
    def time(self) -> int:
        """Width of the UNet's time embedding."""
        return 4 * self.unet[0]

    @property
    def taps(self) -> tuple[int, ...]:
        """Channels of the eight taps of `extractor`; those of the UNet hold a skip connection behind its own path."""
        u, v = self.unet, self.vae
        return (v[2], v[3], u[3] + u[2], u[2] + u[1], u[1] + u[0], 2 * u[0], v[3], v[3])


FULL = Size(
    unet=(320, 640, 1280, 1280),
    vae=(128, 256, 512, 512),
    context=768,
    context_layers=12,
    context_heads=12,
    clip_dim=768,
    clip_image=336,
    clip_vision=1024,
    clip_text=768,
    clip_heads=12,
    clip_layers=(24, 12),
    short_edge=1024,
    long_edge=2560,
)
TINY = Size(
    unet=(32, 64, 128, 128),
    vae=(32, 64, 128, 128),
    context=64,
    context_layers=2,
    context_heads=4,
    clip_dim=48,
    clip_image=84,
    clip_vision=128,
    clip_text=64,
    clip_heads=4,
    clip_layers=(2, 2),
    short_edge=256,
    long_edge=640,
)
