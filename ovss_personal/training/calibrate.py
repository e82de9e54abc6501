"""Everything the embedded base ships beside its decoder: the joint space, the bank of competitors, the
thing-or-not regression, and the classes' text vectors. Built from training scenes and photographs alone; the last
step of `python -m ovss_personal.training.train`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ovss_personal.bases.embedded.decoder import MaskDecoder
from ovss_personal.bases.embedded.encoder import CLASSES, Encoder, normalise
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.bases.embedded.pooling import JointSpace, appearance, contrast_mean, mean_pool
from ovss_personal.bases.embedded.text import TextEncoder
from ovss_personal.bases.embedded.words import ClassTexts, imagenet_names
from ovss_personal.training.identities import PICTURES, identity_map, seen_anew
from ovss_personal.training.layouts import Photo
from ovss_personal.training.photos import whole
from ovss_personal.training.scenes import VOID, Scene, SceneMaker

STUFF = 0.1  # share of a photograph: what is larger and lies on no marked thing is taken for none
CALIBRATION = 2_000_000  # seeds of these scenes lie above those of training and validation


@dataclass(frozen=True)
class Extent:
    """How much there is of everything.

    Attributes:
        scenes: composites, half of them plain backgrounds.
        photos: photographs, at most.
        bank: competitors.
        groups: of things that are seen anew (training/identities.py).
        classes: of ImageNet, whose texts are encoded; the others are left without any.
    """

    scenes: int = 160
    photos: int = 480
    bank: int = 512
    groups: int = 200
    classes: int = CLASSES


FULL = Extent()
FEW = Extent(
    scenes=20, photos=4, bank=16, groups=2, classes=10
)  # for a smoke run; of ten scenes the last two are held out


class Filled(SceneMaker):
    """Scenes for a smoke run, whose whole picture is one thing if there is any: the masks of a decoder that has learned
    nothing lie anywhere, so that otherwise none would lie on a thing."""

    def scene(self, rng: np.random.Generator, objects: bool = True) -> Scene:
        scene = super().scene(rng, objects)
        return replace(scene, segments=np.full_like(scene.segments, scene.regions)) if objects else scene


def scenes(maker: SceneMaker, photos: Sequence[Photo], seed: int, extent: Extent = FULL) -> Iterator[Scene]:
    """Composites, and after them photographs as they are."""
    rng = np.random.default_rng([seed, CALIBRATION])
    chosen = [photos[int(i)] for i in rng.permutation(len(photos))[: extent.photos]]
    bar = tqdm(total=extent.scenes + len(chosen), desc="calibration", mininterval=5)
    for i in range(extent.scenes):
        yield maker.scene(np.random.default_rng([seed, CALIBRATION + i]), objects=i % 2 == 1)
        bar.update()
    for photo in chosen:
        yield whole(photo, maker.size)
        bar.update()


@torch.no_grad()
def calibrate(
    decoder: MaskDecoder,
    encoder: Encoder,
    maker: SceneMaker,
    seed: int,
    photos: Sequence[Photo] = (),
    extent: Extent = FULL,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The tensors of `calibration.safetensors`, and figures for the log (thing-or-not AUC on held-out scenes)."""
    device = next(decoder.parameters()).device
    total, seen = torch.zeros((), device=device), []  # what the second pass needs, once the mean is known
    for scene in scenes(maker, photos, seed, extent):
        pixels = normalise(torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(device))
        taps, dense = encoder(pixels)
        masks, _ = decoder(taps)
        total = total + dense[0].mean((1, 2))
        channels = appearance(pixels[0], taps)
        covered, known = _object_share(masks[0], scene)
        size = (masks[0] > 0).float().mean((1, 2))
        sure = known & (scene.taught | (covered > 0.5) | (size > STUFF))
        keep = size > 0.003
        seen.append((masks[0][keep].half(), dense[0], channels, covered[keep], sure[keep]))
    mean = total / len(seen)
    kinds, appearances, share, owner, certain = [], [], [], [], []
    for index, (masks, dense, channels, covered, sure) in enumerate(seen):
        kinds.append(contrast_mean(masks.float(), dense, mean))
        appearances.append(mean_pool(masks.float(), channels))
        share.append(covered)
        certain.append(sure)
        owner.append(torch.full((len(masks),), index))
    parts = (kinds, appearances, share, certain, owner)
    kind, pooled, covered, sure, scene_of = (torch.cat(part).cpu() for part in parts)
    length, kind = kind.norm(dim=1).mean(), F.normalize(kind, dim=1)
    appearance_mean = pooled.mean(0)
    apart = identity_map(*_seen_anew(encoder, maker, photos, seed, extent.groups), seed)
    gain = length / ((pooled - appearance_mean) @ apart).norm(dim=1).mean()
    space = JointSpace(mean.cpu(), appearance_mean, apart, float(gain))
    rows = space.joined(kind, pooled)
    weight, bias, auc = _thing_regression(kind[sure], covered[sure], held_out=scene_of[sure] % 10 >= 8)
    tensors = {
        "mean": mean.cpu(),
        "appearance_mean": appearance_mean,
        "appearance_map": apart,
        "gain": gain,
        "bank": _bank(rows, extent.bank, seed).half(),
        "thing_weight": weight,
        "thing_bias": bias,
    }
    return tensors, {"thing_auc": auc, "proposals": float(len(rows))}


def _seen_anew(
    encoder: Encoder, maker: SceneMaker, photos: Sequence[Photo], seed: int, groups: int
) -> tuple[Tensor, Tensor]:
    """(N, 195) mean appearance of things that are each seen in several pictures, (N,) which thing it is."""
    device = encoder.class_rows.device
    rows, owners = [], list[int]()
    rng = np.random.default_rng([seed, CALIBRATION - 1])
    for image, masks in tqdm(seen_anew(maker, photos, rng, groups), "seen anew", groups * PICTURES, mininterval=5):
        if masks:
            pixels = normalise(torch.from_numpy(image).permute(2, 0, 1)[None].to(device))
            logits = torch.from_numpy(np.stack(list(masks.values()))).to(device).float() * 24 - 12
            rows.append(mean_pool(logits, appearance(pixels[0], encoder(pixels)[0])).cpu())
            owners += masks
    return torch.cat(rows), torch.tensor(owners)


def _object_share(masks: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
    """(N,) how much of each mask lies on one thing (the one it covers most); (N,) bool, whether most of it is known."""
    small = torch.from_numpy(scene.segments[1::4, 1::4]).to(masks.device).flatten()
    hard = (masks > 0).flatten(1).float()
    area, best = hard.sum(1).clamp(min=1), hard.new_zeros(len(hard))
    for segment in torch.unique(small).tolist():
        if scene.regions <= segment < VOID:
            best = torch.maximum(best, hard @ (small == segment).float())
    return best / area, hard @ (small == VOID).float() < 0.3 * area


def _bank(rows: Tensor, count: int, seed: int) -> Tensor:
    """(count, D) unit norm: k-means centres of unit vectors."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=1, max_iter=30, random_state=seed).fit(rows.numpy())
    return F.normalize(torch.from_numpy(found.cluster_centers_).float(), dim=1)


def _thing_regression(rows: Tensor, covered: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor, float]:
    """Logistic regression of "is a thing": covered > 70 % by a cut-out against < 5 %; class-balanced, L2 1e-3."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    sure = (covered > 0.7) | (covered < 0.05)
    train, test = sure & ~held_out, sure & held_out
    model = LogisticRegression(C=1 / (1e-3 * int(train.sum())), class_weight="balanced", max_iter=1000)
    model.fit(rows[train].numpy(), (covered[train] > 0.7).numpy())
    auc = float(roc_auc_score((covered[test] > 0.7).numpy(), model.decision_function(rows[test].numpy())))
    return torch.from_numpy(model.coef_[0]).float(), torch.tensor(model.intercept_[0]).float(), auc


def class_texts(encode: TextEncoder, classes: int = CLASSES) -> ClassTexts:
    """Encode the names of the first so many classes and their glosses in WordNet, which timm carries."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    names: list[str] = []
    owner: list[int] = []
    glosses: list[str] = []
    both: list[str] = []
    for index, own in enumerate(imagenet_names()[:classes]):
        detailed = info.index_to_description(index, detailed=True)
        names += own
        owner += [index] * len(own)
        glosses.append(detailed.partition(": ")[2] or ", ".join(own))
        both.append(detailed)
    rows = [torch.stack([encode(text) for text in texts]) for texts in (names, glosses, both)]
    missing = (0, 0, 0, CLASSES - classes)
    return ClassTexts(rows[0], torch.tensor(owner), F.pad(rows[1], missing), F.pad(rows[2], missing))


def write_weights(
    out: Path, decoder: MaskDecoder, tensors: dict[str, Tensor], figures: dict[str, float], classes: int = CLASSES
) -> None:
    """Write `weights/` as the package ships it: three safetensors files and their figures."""
    from safetensors.torch import save_file

    folder = out / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: v.detach().cpu().half().contiguous() for k, v in decoder.state_dict().items()},
        folder / "decoder.safetensors",
    )
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "calibration.safetensors")
    texts = asdict(class_texts(TextEncoder(WEIGHTS), classes))
    texts = {k: v.half() if v.is_floating_point() else v.short() for k, v in texts.items()}
    save_file(texts, folder / "class_texts.safetensors")
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
