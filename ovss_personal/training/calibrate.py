"""Everything the embedded base ships beside its decoder: the joint space, the bank of hidden competitors, the
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
from ovss_personal.bases.embedded.pooling import JointSpace, appearance, contrast_mean, mean_pool
from ovss_personal.bases.embedded.words import TextEncoder, class_texts
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
    seen = []  # what a second look needs, once the mean is known
    for scene in scenes(maker, seed):
        pixels = torch.from_numpy(scene.image).permute(2, 0, 1)[None].to(device)
        taps, dense = encoder(normalise(pixels))
        masks, _ = decoder(taps, grid_points()[None].to(device))
        mean = mean + dense[0].mean((1, 2)) / SCENES
        look = appearance(taps, (dense.shape[2], dense.shape[3]))
        seen.append((masks[0], dense[0], look, _object_share(masks[0], scene)))
    kinds, looks, share, owner = [], [], [], []
    for index, (masks, dense, look, covered) in enumerate(seen):
        keep = (masks > 0).float().mean((1, 2)) > 0.003
        kinds.append(contrast_mean(masks[keep], dense, mean))
        looks.append(mean_pool(masks[keep], look))
        share.append(covered[keep])
        owner.append(torch.full((int(keep.sum()),), index))
    kind, look, covered, scene_of = (torch.cat(parts).cpu() for parts in (kinds, looks, share, owner))
    length, kind = kind.norm(dim=1).mean(), F.normalize(kind, dim=1)
    look_mean, look_std = look.mean(0), look.std(0)
    gain = length / ((look - look_mean) / look_std).norm(dim=1).mean()
    space = JointSpace(mean.cpu(), look_mean, look_std, float(gain))
    rows = space.joined(kind, look)
    weight, bias, auc = _thing_regression(kind, covered, held_out=scene_of % 10 >= 8)
    tensors = {
        "mean": mean.cpu(),
        "look_mean": look_mean,
        "look_std": look_std,
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
    texts = {k: v.half() if v.is_floating_point() else v.short() for k, v in asdict(class_texts(TextEncoder())).items()}
    save_file(texts, folder / "class_texts.safetensors")
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
