"""Everything the embedded base ships beside its decoder: the joint space, the bank of competitors, the
thing-or-not regression, and the classes' text vectors. Built from training scenes alone; the last step of
`python -m ovss_personal.training.train`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ovss_personal.bases.embedded.decoder import MaskDecoder, grid_points
from ovss_personal.bases.embedded.encoder import Encoder, normalise
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.bases.embedded.pooling import JointSpace, appearance, contrast_mean, mean_pool
from ovss_personal.bases.embedded.text import TextEncoder
from ovss_personal.bases.embedded.words import ClassTexts, imagenet_names
from ovss_personal.training.scenes import Scene, SceneMaker

SCENES = 320  # half of them plain backgrounds
BANK = 512
CALIBRATION = 2_000_000  # seeds of these scenes lie above those of training and validation


def scenes(maker: SceneMaker, seed: int) -> Iterator[Scene]:
    for i in tqdm(range(SCENES), desc="calibration scenes", mininterval=5):
        yield maker.scene(np.random.default_rng([seed, CALIBRATION + i]), objects=i % 2 == 1)


@torch.inference_mode()
def calibrate(
    decoder: MaskDecoder, encoder: Encoder, maker: SceneMaker, seed: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The tensors of `calibration.safetensors`, and figures for the log (thing-or-not AUC on held-out scenes)."""
    device = next(decoder.parameters()).device
    mean = torch.zeros((), device=device)
    seen = []  # what the second pass needs, once the mean is known
    for scene in scenes(maker, seed):
        pixels = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(device)
        taps, dense = encoder(normalise(pixels))
        masks, _ = decoder(taps, grid_points()[None].to(device))
        mean = mean + dense[0].mean((1, 2)) / SCENES
        channels = appearance(taps, (dense.shape[2], dense.shape[3]))
        seen.append((masks[0], dense[0], channels, _object_share(masks[0], scene)))
    kinds, appearances, share, owner = [], [], [], []
    for index, (masks, dense, channels, covered) in enumerate(seen):
        keep = (masks > 0).float().mean((1, 2)) > 0.003
        kinds.append(contrast_mean(masks[keep], dense, mean))
        appearances.append(mean_pool(masks[keep], channels))
        share.append(covered[keep])
        owner.append(torch.full((int(keep.sum()),), index))
    kind, pooled, covered, scene_of = (torch.cat(parts).cpu() for parts in (kinds, appearances, share, owner))
    length, kind = kind.norm(dim=1).mean(), F.normalize(kind, dim=1)
    appearance_mean, appearance_std = pooled.mean(0), pooled.std(0)
    gain = length / ((pooled - appearance_mean) / appearance_std).norm(dim=1).mean()
    space = JointSpace(mean.cpu(), appearance_mean, appearance_std, float(gain))
    rows = space.joined(kind, pooled)
    weight, bias, auc = _thing_regression(kind, covered, held_out=scene_of % 10 >= 8)
    tensors = {
        "mean": mean.cpu(),
        "appearance_mean": appearance_mean,
        "appearance_std": appearance_std,
        "gain": gain,
        "bank": _bank(rows, seed).half(),
        "thing_weight": weight,
        "thing_bias": bias,
    }
    return tensors, {"thing_auc": auc, "proposals": float(len(rows))}


def _object_share(masks: Tensor, scene: Scene) -> Tensor:
    """(N,) how much of each mask lies on one cut-out (the one it covers most)."""
    small = torch.from_numpy(scene.segments[1::4, 1::4]).to(masks.device).flatten()
    hard = (masks > 0).flatten(1).float()
    best = hard.new_zeros(len(hard))
    for segment in torch.unique(small).tolist():
        if segment >= scene.regions:
            best = torch.maximum(best, hard @ (small == segment).float())
    return best / hard.sum(1).clamp(min=1)


def _bank(rows: Tensor, seed: int) -> Tensor:
    """(512, D) unit norm: k-means centres of unit vectors."""
    from sklearn.cluster import KMeans

    found = KMeans(BANK, n_init=1, max_iter=30, random_state=seed).fit(rows.numpy())
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


def class_texts(encode: TextEncoder) -> ClassTexts:
    """Encode the classes' names and their glosses in WordNet, which timm carries."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    names: list[str] = []
    owner: list[int] = []
    glosses: list[str] = []
    both: list[str] = []
    for index, own in enumerate(imagenet_names()):
        detailed = info.index_to_description(index, detailed=True)
        names += own
        owner += [index] * len(own)
        glosses.append(detailed.partition(": ")[2] or ", ".join(own))
        both.append(detailed)
    rows = [torch.stack([encode(text) for text in texts]) for texts in (names, glosses, both)]
    return ClassTexts(rows[0], torch.tensor(owner), rows[1], rows[2])


def write_weights(out: Path, decoder: MaskDecoder, tensors: dict[str, Tensor], figures: dict[str, float]) -> None:
    """Write `weights/` as the package ships it: three safetensors files and their figures."""
    from safetensors.torch import save_file

    folder = out / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: v.detach().cpu().half().contiguous() for k, v in decoder.state_dict().items()},
        folder / "decoder.safetensors",
    )
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "calibration.safetensors")
    texts = asdict(class_texts(TextEncoder(WEIGHTS)))
    texts = {k: v.half() if v.is_floating_point() else v.short() for k, v in texts.items()}
    save_file(texts, folder / "class_texts.safetensors")
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
