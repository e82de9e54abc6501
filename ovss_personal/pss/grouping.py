"""Photos that look alike, found by k-means over image features: the groups that context is shared in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ovss_personal.engine.groups import Features, best_group_count, kmeans
from ovss_personal.errors import InputError, WeightsError
from ovss_personal.io.images import load_image
from ovss_personal.pss.album import Photo
from ovss_personal.pss.pixels import normalised, resized
from ovss_personal.structures import Progress, RGBImage

if TYPE_CHECKING:
    from ovss_personal.store.cache import ProposalCache

FeatureName = Literal["embedded", "resnet50", "resnet101"]

FEATURE_SIZE = (300, 400)  # (height, width) that every photo is stretched to


def group_photos(photos: Sequence[Photo], features: Features, groups: int | None = None) -> list[Photo]:
    """The photos with the number of their group, "0" the first photo's, and so on in the order of appearance.

    Args:
        features: (photos, D).
        groups: how many; None chooses the number whose silhouette is highest.

    Raises:
        InputError: there are fewer photos than groups, or fewer than three to choose a number for.
    """
    if groups is None:
        groups = best_group_count(features)
    check_group_count(len(photos), groups)
    labels = kmeans(features, groups)
    order = {int(label): str(number) for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return [replace(photo, group=order[int(label)]) for photo, label in zip(photos, labels, strict=True)]


def check_group_count(photos: int, groups: int) -> None:
    """Raises InputError if there are fewer photos than groups."""
    if photos < groups:
        raise InputError(
            f"there are {photos} photos, fewer than the {groups} groups asked for.",
            hint=f"Pass --groups {max(1, photos // 8)}, about 8 photos a group, or --groups auto.",
        )


def photo_features(
    photos: Sequence[Photo],
    name: FeatureName = "embedded",
    *,
    device: str | None = None,
    as_published: bool = False,
    cache: ProposalCache | None = None,
    progress: Progress | None = None,
) -> Features:
    """(photos, D) float32, one row a photo.

    Args:
        name: `embedded`, the mean of the embedded base's dense features at unit norm, which needs no download;
            `resnet50`, the paper's, or `resnet101`, the published code's.
        as_published: leave the ResNet's batch norms in training mode, one photo at a time, as the published code does.
        cache: of what the embedded base saw.

    Raises:
        ImageError: a photo cannot be read.
        WeightsError: the ResNet's weights cannot be had.
    """
    describe = _embedded(device, cache) if name == "embedded" else _resnet(name, device, as_published)
    rows = []
    for number, photo in enumerate(photos):
        if progress:
            progress(number, len(photos), "see")
        rows.append(describe(load_image(photo.image)))
    return np.stack(rows).astype(np.float32)


def _embedded(device: str | None, cache: ProposalCache | None) -> Callable[[RGBImage], Features]:
    from ovss_personal.bases import load_base
    from ovss_personal.engine.see import propose

    base = load_base("embedded", device=device)

    def describe(image: RGBImage) -> Features:
        mean = propose(base, image, cache).features.mean((1, 2))
        row: Features = (mean / mean.norm()).cpu().numpy()
        return row

    return describe


def _resnet(name: str, device: str | None, as_published: bool) -> Callable[[RGBImage], Features]:
    import torch

    from ovss_personal.pss.network import require_timm

    timm = require_timm()
    try:
        net: Any = timm.create_model(f"{name}.tv_in1k", pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:  # what a hub that cannot be reached ends in
        raise WeightsError(
            f"the ImageNet weights of {name} cannot be had: {str(error).splitlines()[0]}.",
            hint="Download them once while online, or use --features embedded.",
        ) from error
    net.to(device or "cpu").train(as_published)

    def describe(image: RGBImage) -> Features:
        with torch.inference_mode():
            row: Features = net(normalised([resized(image, FEATURE_SIZE)]).to(device or "cpu"))[0].cpu().numpy()
        return row

    return describe
