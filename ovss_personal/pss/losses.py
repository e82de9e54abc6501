"""The losses of the surveyed methods, one pure function each. Logits in, a scalar out unless it says otherwise.

B photos, K classes, h×w pixels. Labels are 0 … K - 1, and 255 where nothing is asked.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.pss.classes import IGNORE
from ovss_personal.pss.group_context import Rule

FDA_LOG_CLASSES = 2.9444
SOURCE, TARGET = 0, 1  # the discriminator's labels


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the pixels that are labelled, 0 if none is: (B, K, h, w), (B, h, w) -> ()."""
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def entropy_map(logits: Tensor) -> Tensor:
    """Each class's share of the entropy, in units of its maximum: (B, K, h, w) -> (B, K, h, w)."""
    p = logits.softmax(1)
    return -p * torch.log2(p + 1e-30) / math.log2(logits.shape[1])


def image_entropy(logits: Tensor) -> Tensor:
    """How unsure a photo's labels are, to rank photos by: (B, K, h, w) -> (B,), the mean of its entropy map."""
    return entropy_map(logits).mean((1, 2, 3))


def entropy_loss(logits: Tensor) -> Tensor:
    """MinEnt: the mean entropy of a pixel, in units of its maximum, so in [0, 1]."""
    return entropy_map(logits).sum(1).mean()


def domain_loss(verdict: Tensor, domain: int) -> Tensor:
    """How far a discriminator's logits, of any shape, are from saying `SOURCE` or `TARGET`."""
    return F.binary_cross_entropy_with_logits(verdict, torch.full_like(verdict, float(domain)))


def max_square(logits: Tensor, rule: Rule = "intended") -> Tensor:
    """MaxSquare: -½ mean over pixels of Σ p²; `compat` takes the mean over classes too, so is K times smaller."""
    squares = logits.softmax(1).square()
    return (squares.mean() if rule == "compat" else squares.sum(1).mean()) / -2


def image_wise_max_square(logits: Tensor, ratio: float = 0.2) -> Tensor:
    """MaxSquare where each photo's frequent classes count less, its own mean taken over classes, without the ½.

    A class that holds N_k of a photo's N pixels, by arg max, weighs 1 / max(1, N_k^ratio · N^(1 - ratio)).
    """
    classes = logits.shape[1]
    labels = logits.argmax(1).flatten(1)  # (B, n)
    counts = F.one_hot(labels, classes).sum(1).to(logits.dtype)  # (B, K)
    weights: Tensor = 1 / (counts**ratio * labels.shape[1] ** (1 - ratio)).clamp(min=1)
    squares = logits.softmax(1).square().sum(1).flatten(1)  # (B, n)
    return -(weights.gather(1, labels) * squares).sum(1).mean() / classes


def robust_entropy(logits: Tensor, power: float = 2.0, rule: Rule = "intended") -> Tensor:
    """FDA's entropy, which looks away from what is sure already: mean of (ē² + 1e-8)^power, (B, K, …) -> ().

    ē is a pixel's entropy in units of its maximum, ln K; `compat` divides by the published code's ln 19 instead.
    """
    top = FDA_LOG_CLASSES if rule == "compat" else math.log(logits.shape[1])
    entropy: Tensor = -(logits.softmax(1) * logits.log_softmax(1)).sum(1) / top
    penalty: Tensor = torch.pow(entropy.square() + 1e-8, power)
    return penalty.mean()


def swap_low_frequencies(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """FDA: the source's phase under the target's amplitude at low frequencies; both (…, H, W), any range.

    Args:
        beta: half the side of the swapped window, as a share of the shorter side.
    """
    height, width = source.shape[-2:]
    reach = math.floor(min(height, width) * beta)
    spectrum = torch.fft.fftshift(torch.fft.fft2(source.double()), dim=(-2, -1))
    amplitude, phase = spectrum.abs(), spectrum.angle()
    theirs = torch.fft.fftshift(torch.fft.fft2(target.double()), dim=(-2, -1)).abs()
    rows, columns = (slice(side // 2 - reach, side // 2 + reach + 1) for side in (height, width))
    amplitude[..., rows, columns] = theirs[..., rows, columns]
    mixed = torch.fft.ifftshift(torch.polar(amplitude, phase), dim=(-2, -1))
    swapped: Tensor = torch.fft.ifft2(mixed).real
    return swapped.to(source.dtype)


def memory_regulariser(main: Tensor, aux: Tensor) -> Tensor:
    """MRNet, first stage: how far both heads are from their mixture, which carries no gradient."""
    mixture = (main + 0.5 * aux).softmax(1).detach()
    distances = [F.kl_div(head.log_softmax(1), mixture, reduction="none").sum(1).mean() for head in (main, aux)]
    return distances[0] + distances[1]


def rectified_loss(main: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    """MRNet, second stage: cross-entropy that counts less where the two heads differ, plus their difference."""
    difference = F.kl_div(main.log_softmax(1), other.softmax(1), reduction="none").sum(1)  # (B, h, w)
    wrong = F.cross_entropy(main, labels, ignore_index=IGNORE, reduction="none")
    return (wrong * torch.exp(-difference)).mean() + difference.mean()


def poly_rate(base: float, iteration: int, horizon: int = 250_000, power: float = 0.9) -> float:
    """The learning rate at an iteration: `base` at first, 0 at the horizon."""
    return base * math.pow(1 - iteration / horizon, power)
