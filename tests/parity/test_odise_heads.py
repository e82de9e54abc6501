"""Heads, mask-pooled CLIP, ensemble, inference, losses and the whole against the published implementation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import odise_networks as nets
from parity.odise_weights import discs, image
from torch import Tensor

pytest.importorskip("diffusers")
pytest.importorskip("open_clip")

from reference import odise_losses as losses
from reference.odise_inference import instances, panoptic

from ovss_personal.bases.odise.clip import tokenize
from ovss_personal.bases.odise.clip_branch import probe, visible_patches
from ovss_personal.bases.odise.ensemble import CAPTION, LABEL, ensemble, final_logits
from ovss_personal.bases.odise.heads import CategoryHead, best_synonym, cosine_logits
from ovss_personal.bases.odise.network import pad, padded_size
from ovss_personal.bases.odise.sizes import TINY
from ovss_personal.painting.grid import mask_rows
from ovss_personal.painting.painter import label_map
from ovss_personal.painting.scores import ScoredProposals, shares
from ovss_personal.structures import Canvas

WORDS = ["cat", "kitten", "dog", "zebra crossing", "crosswalk", "my mug", "sky", "clouds", "grass field"]
SYNONYMS = [2, 1, 2, 1, 2, 1]
SEEN = torch.tensor([True, True, False, False, True, False])
THINGS = [True, True, False, True, False, False]


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


def story(golden: dict[str, np.ndarray]) -> dict:
    return json.loads(golden["info_json"].tobytes())


def upsampled(name: str, shape: tuple[int, ...], size: tuple[int, int], scale: float, shift: float = 0.0) -> Tensor:
    return F.interpolate(nets.draw(name, shape, scale) + shift, size, mode="bilinear", align_corners=False)


def photo(height: int, width: int, seed: int) -> Tensor:
    return torch.from_numpy(image(height, width, seed)).permute(2, 0, 1)[None] / 255


def same_labels(found: Tensor | np.ndarray, expected: np.ndarray) -> None:
    assert (np.asarray(found) == expected).mean() >= 0.999


def scored(masks: Tensor, logits: Tensor) -> ScoredProposals:
    """What the program paints from, of mask logits (Q, h, w) and final logits (Q, K + 1)."""
    return ScoredProposals(masks, logits.softmax(-1)[:, :-1], torch.empty(len(masks), 0))


def labels_of(masks: Tensor, logits: Tensor, canvas: Canvas) -> np.ndarray:
    """(H, W) as `segment` labels an image that lies on this canvas."""
    blank = np.zeros((*canvas.original, 3), np.uint8)
    return label_map(scored(masks, logits), canvas, blank, [str(k) for k in range(logits.shape[1] - 1)]).labels


def scores_of(masks: Tensor, logits: Tensor) -> Tensor:
    """(K, H, W) of masks at the image's size."""
    return shares(scored(masks, logits), masks.sigmoid())[0]


def at_image_size(masks: Tensor, canvas: Canvas) -> Tensor:
    return mask_rows(masks, canvas, 0, canvas.original[0])


class Classified:
    """The heads of one model, from mask embeddings to final logits."""

    def __init__(self, labels: bool, embeddings: Tensor, scale: float, nothing: Tensor, x: Tensor, masks: Tensor):
        head, clip = nets.trained(TINY, labels).head, nets.tiny_clip()
        photos = clip.text([f"a photo of a {word}." for word in WORDS])
        self.clip_text = photos
        self.projected = head.text_proj(clip.text(WORDS) if labels else photos)
        self.trained = best_synonym(cosine_logits(embeddings, F.normalize(self.projected, dim=-1), scale), SYNONYMS)
        self.probes = probe(clip, x, visible_patches(masks, clip.side))
        self.clip = best_synonym(cosine_logits(self.probes, F.normalize(photos, dim=-1), clip.logit_scale), SYNONYMS)
        self.ensemble = ensemble(self.trained, self.clip, SEEN, LABEL if labels else CAPTION)
        if isinstance(head, CategoryHead):
            null = cosine_logits(embeddings, head.null(), scale)
            nothing = torch.cat((self.trained, null), -1).softmax(-1)[..., -1]
        self.logits = final_logits(self.ensemble, nothing)


def test_tokens() -> None:
    assert np.array_equal(tokenize(["a photo of a cat."]).numpy(), nets.golden("heads")["openclip_ids_photo_cat"])


@pytest.mark.parametrize(("labels", "name"), [(True, "label"), (False, "caption")])
def test_heads(labels: bool, name: str) -> None:
    golden = {k.removeprefix(f"head_{name}_"): v for k, v in nets.golden("heads").items() if name in k}
    masks = upsampled("head_masks", (1, 100, 6, 7), (64, 80), 4.0, -3.0)
    nothing = nets.draw("head_obj_logits", (1, 100, 2)).softmax(-1)[..., 1]
    x = photo(240, 300, 79)
    embeddings = nets.draw("head_mask_embed", (1, 100, 256))
    found = Classified(labels, embeddings, 30.0, nothing, x, masks)
    nets.within(found.projected, golden["text_embed"], 1e-4)
    nets.within(found.trained, golden["clip_in"], 1e-3)
    nets.within(found.clip_text, golden["clip_text"], 1e-4)
    nets.within(found.probes, golden["clip_mask_embed"], 1e-3)
    nets.within(found.clip, golden["mask_pred_open_logits"], 1e-3)
    nets.within(found.ensemble, golden["clip_out"], 1e-4)
    nets.within(found.logits[0], golden["mask_cls"], 2e-3)
    assert padded_size(240, 300) == (256, 320)
    canvas = Canvas(original=(480, 600), resized=(240, 300), padded=(256, 320))
    large = at_image_size(masks[0], canvas)
    nets.within(scores_of(large, found.logits[0])[:, ::8, ::8], golden["sem_seg_s8"], 1e-3)
    same_labels(labels_of(masks[0], found.logits[0], canvas)[::2, ::2], golden["sem_argmax_s2"])
    ids, segments = panoptic(large, found.logits[0], THINGS)
    same_labels(ids[::2, ::2], golden["panoptic_s2"])
    assert segments == []
    _, classes, quality = instances(large, found.logits[0], THINGS)
    order = quality.argsort(descending=True)
    nets.within(quality[order], golden["inst_scores_sorted"], 1e-4)
    assert classes[order].tolist() == golden["inst_classes_sorted"].tolist()


def test_null_embedding() -> None:
    head = nets.trained(TINY, True).category_head
    nets.within(head.text_proj(head.null_embed), nets.golden("heads")["head_label_null_embed"], 1e-4)


@pytest.mark.parametrize(("shares", "name"), [(LABEL, "label"), (CAPTION, "caption")])
def test_ensemble(shares: object, name: str) -> None:
    trained, clip = nets.draw("ens_logits", (1, 12, 6), 8.0), nets.draw("ens_clip_logits", (1, 12, 6), 8.0)
    nets.within(ensemble(trained, clip, SEEN, shares), nets.golden("heads")[f"ens_{name}"], 1e-4)


def test_inference() -> None:
    golden = nets.golden("inference")
    masks, logits = torch.from_numpy(discs()), nets.draw("pan_cls", (20, 7), 3.0)
    assert masks.mean().item() == pytest.approx(float(golden["inf_masks_sha_check_mean"]), abs=1e-5)
    nets.within(scores_of(masks, logits)[:, ::4, ::4], golden["inf_sem_seg_s4"], 1e-3)
    size = (masks.shape[1], masks.shape[2])
    same_labels(labels_of(masks, logits, Canvas(size, size, size)), golden["inf_sem_argmax"])
    for overlap in (0.8, 0.0):
        ids, segments = panoptic(masks, logits, THINGS, overlap)
        same_labels(ids, golden[f"inf_panoptic_ov{overlap}"])
        expected = story(golden)[f"inf_segments_ov{overlap}"]
        assert [(s.id, s.thing, s.category) for s in segments] == [
            (s["id"], s["isthing"], s["category_id"]) for s in expected
        ]
    _, classes, quality = instances(masks, logits, THINGS, top=50)
    order, target = quality.argsort(), np.argsort(golden["inf_inst_scores"])
    nets.within(quality[order], golden["inf_inst_scores"][target], 1e-4)
    assert classes[order].tolist() == golden["inf_inst_classes"][target].tolist()


@pytest.mark.slow
def test_end_to_end() -> None:
    """Four windows, half a minute."""
    golden, network, x = nets.golden("inference"), nets.tiny(), photo(544, 704, 78)
    seen = network(pad(x))
    for found, name in (
        (seen.masks[:, ::10, ::4, ::4], "e2e_pred_masks_q10_s4"),
        (seen.embeddings[:, ::4], "e2e_mask_embed_q4"),
    ):
        error = np.abs(found.numpy() - golden[name])
        assert np.median(error) <= 1e-4 and np.quantile(error, 0.99) <= 1e-3 and error.max() <= 5e-2
    scale = network.trained.sem_seg_head.predictor.logit_scale.item()
    logits = Classified(True, seen.embeddings, scale, torch.zeros(1, 100), x, seen.masks).logits[0]
    nets.within(logits, golden["e2e_mask_cls"], 2e-3)
    canvas = Canvas(original=(480, 621), resized=(544, 704), padded=(576, 704))
    large = at_image_size(seen.masks[0], canvas)
    nets.within(scores_of(large, logits)[:, ::12, ::12], golden["e2e_sem_seg_s12"], 1e-3)
    same_labels(labels_of(seen.masks[0], logits, canvas)[::2, ::2], golden["e2e_sem_argmax_s2"])
    ids, segments = panoptic(large, logits, THINGS)
    same_labels(ids[::2, ::2], golden["e2e_panoptic_s2"])
    assert [(s.id, s.thing, s.category) for s in segments] == [(1, False, 4)]


def test_criterion() -> None:
    golden = nets.golden("criterion")
    logits = nets.draw("crit_logits", (1, 100, 6), 2.0)[0]
    masks = upsampled("crit_masks", (1, 100, 8, 12), (32, 48), 3.0)[0]
    targets = torch.zeros(3, 128, 192)
    targets[0, :64, :100] = targets[1, 64:, :80] = targets[2, 30:120, 110:180] = 1
    classes = torch.tensor([0, 4, 4])
    generator = torch.Generator().manual_seed(0)
    nets.within(torch.rand(1, 12544, 2, generator=generator)[0, :4], golden["first_points"], 0)
    generator.manual_seed(0)
    matched = losses.match(logits, masks, classes, targets, generator)
    assert matched.queries.tolist() == golden["matched_queries"].tolist()
    assert matched.targets.tolist() == golden["matched_targets"].tolist()
    nets.within(losses.class_loss(logits, classes, matched), golden["loss_ce"], 1e-5)
    bce, dice = losses.mask_losses(masks, targets, matched, generator)
    nets.within(bce, golden["loss_mask"], 1e-5)
    nets.within(dice, golden["loss_dice"], 1e-5)


def test_grounding() -> None:
    loss = losses.grounding_loss(nets.draw("g_mask", (2, 100, 256)), nets.draw("g_word", (2, 8, 256)), 20.0)
    assert loss.item() == pytest.approx(story(nets.golden("heads"))["loss_mask_word"], abs=1e-4)
