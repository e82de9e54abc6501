"""What Stable Diffusion sees in a 512 x 512 window: one noiseless-looking step, eight features on the way.

A tap is the input of a residual block. What comes after the last tap of a network is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

WINDOW = 512
SCALE = 0.18215  # of the latent
SIGNAL, NOISE = (1 - 0.00085) ** 0.5, 0.00085**0.5  # of step 0, which does add noise


def fixed_noise() -> Tensor:
    """(1, 4, 64, 64): the same for all images, and part of what the checkpoints were trained on."""
    return torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(42))


class Extractor:
    """The frozen UNet and autoencoder of Stable Diffusion v1, in diffusers' classes; not for two threads at once.

    Both compute in their own precision; what goes in and comes out is float32.

    Args:
        unet: diffusers' UNet2DConditionModel.
        vae: diffusers' AutoencoderKL.
    """

    def __init__(self, unet: nn.Module, vae: nn.Module):
        self.unet = unet.eval().requires_grad_(False)
        self.vae = vae.eval().requires_grad_(False)
        self.noise = fixed_noise()

    def encode(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The two taps of the encoder, and the latent (B, 4, 64, 64): the posterior's mean, not a sample.

        Shape: images (B, 3, 512, 512) in [0, 1] -> (B, C, 128, 128) and (B, C, 64, 64).
        """
        encoder = self.vae.get_submodule("encoder")
        with taps_of([resnet(encoder, "down", i, 1) for i in (2, 3)]) as taps:
            latent: Tensor = self.vae.encode(_like(self.vae, images * 2 - 1)).latent_dist.mean  # type: ignore[operator]
        return _floats(taps), SCALE * latent.float()

    def decode(self, latent: Tensor) -> list[Tensor]:
        """The two taps of the decoder: (B, C, 64, 64) and (B, C, 128, 128)."""
        decoder = self.vae.get_submodule("decoder")
        with taps_of([resnet(decoder, "up", i, 2) for i in (0, 1)], stop=True) as taps:
            self.vae.decode(_like(self.vae, latent / SCALE))  # type: ignore[operator]
        return _floats(taps)

    def add_noise(self, latent: Tensor) -> Tensor:
        noisy: Tensor = SIGNAL * latent + NOISE * self.noise.to(latent)
        return noisy

    def denoise(self, noisy: Tensor, context: Tensor, time: Tensor) -> list[Tensor]:
        """The four taps of the UNet at step 0: (B, C, s, s) with s = 8, 16, 32, 64.

        Shape: context (B, 77, context), time (B, time) added to the UNet's time embedding.
        """
        with (
            added_to(self.unet.get_submodule("time_embedding"), time),
            taps_of([resnet(self.unet, "up", i, 2) for i in range(4)], stop=True) as taps,
        ):
            self.unet(_like(self.unet, noisy), 0, _like(self.unet, context))
        return _floats(taps)


def _like(module: nn.Module, x: Tensor) -> Tensor:
    return x.to(next(module.parameters()).dtype)


def _floats(taps: list[Tensor]) -> list[Tensor]:
    return [tap.float() for tap in taps]


def resnet(network: nn.Module, way: str, level: int, index: int) -> nn.Module:
    return network.get_submodule(f"{way}_blocks.{level}.resnets.{index}")


class _LastTap(Exception):
    """Thrown out of a network that has nothing left to say."""


@contextmanager
def taps_of(blocks: Sequence[nn.Module], stop: bool = False) -> Iterator[list[Tensor]]:
    """A list that fills with the inputs of `blocks` as they run; `stop` leaves the network at the last of them."""
    taps: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        taps.append(args[0])
        if stop and len(taps) == len(blocks):
            raise _LastTap

    with hooks([block.register_forward_pre_hook for block in blocks], keep), suppress(_LastTap):
        yield taps


@contextmanager
def added_to(module: nn.Module, term: Tensor) -> Iterator[None]:
    """While this lasts, the module's output has `term` added."""
    with hooks([module.register_forward_hook], lambda _, args, output: output + term.to(output)):
        yield


@contextmanager
def hooks(registers: Sequence[Callable[..., torch.utils.hooks.RemovableHandle]], hook: object) -> Iterator[None]:
    handles = [register(hook) for register in registers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
