"""Pixel decoder and transformer decoder against the published implementation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import odise_networks as nets
from reference.odise_losses import Match, mask_losses
from torch import Tensor

from ovss_personal.bases.odise.decoder import pool
from ovss_personal.bases.odise.sizes import TINY

LABEL, CAPTION = True, False


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


def close(found: Tensor, expected: np.ndarray) -> None:
    """As close as networks with hard thresholds inside can be: a cell at a threshold may fall on the other side."""
    assert found.shape == expected.shape
    error = np.abs(found.numpy() - expected)
    assert np.median(error) <= 1e-4 and np.quantile(error, 0.99) <= 1e-3 and error.max() <= 5e-2


def pyramid() -> list[Tensor]:
    return [nets.draw(f"s{i + 2}", (1, 512, 32 >> i, 48 >> i)) for i in range(4)]


def memory() -> tuple[list[Tensor], Tensor]:
    features = nets.draw("mask_features", (1, 256, 8, 12))
    return (
        [nets.draw(f"ms{i}", (1, 256, 4 << i, 6 << i)) for i in range(3)],
        F.interpolate(features, (32, 48), mode="bilinear", align_corners=False),
    )


def test_pixel_decoder() -> None:
    golden = nets.golden("heads")
    levels, features = nets.trained(TINY, LABEL).sem_seg_head.pixel_decoder(pyramid())
    nets.within(features[:, ::4], golden["pd_mask_features_c4"], 1e-4)
    for i, level in enumerate(levels):
        nets.within(level[:, ::2], golden[f"pd_ms{i}_c2"], 1e-4)


@pytest.mark.parametrize(("labels", "name"), [(LABEL, "label"), (CAPTION, "caption")])
def test_decoder(labels: bool, name: str) -> None:
    golden, decoder = nets.golden("heads"), nets.trained(TINY, labels).sem_seg_head.predictor
    levels, features = memory()
    outputs = list(decoder.outputs(levels, features))
    assert len(outputs) == 10
    for i in (0, 1, 4):
        queries, masks = outputs[i]
        close(masks[:, ::10, ::2, ::2], golden[f"dec_{name}_aux{i}_pred_masks_q10_s2"])
        close(decoder.embed(queries, masks, features)[:, ::10], golden[f"dec_{name}_aux{i}_mask_embed_q10"])
    queries, masks = decoder(levels, features)
    close(masks[:, :, ::2, ::2], golden[f"dec_{name}_pred_masks_s2"])
    close(decoder.embed(queries, masks, features), golden[f"dec_{name}_mask_embed"])
    described = queries + decoder.post_mask_embed.pool_proj(pool(features, masks))
    close(described[:, ::5], golden[f"dec_{name}_mask_pooled_features_q5"])
    nets.within(decoder.logit_scale, golden[f"dec_{name}_logit_scale"], 1e-4)
    if labels:
        assert decoder.class_embed is None
    else:
        close(decoder.class_embed(queries), golden[f"dec_{name}_pred_logits_first2"])


def test_pixel_decoder_then_decoder() -> None:
    golden, head = nets.golden("heads"), nets.trained(TINY, LABEL).sem_seg_head
    levels, features = head.pixel_decoder(pyramid())
    queries, masks = head.predictor(levels, features)
    close(masks[:, ::5, ::2, ::2], golden["chain_label_pred_masks_q5_s2"])
    close(head.predictor.embed(queries, masks, features)[:, ::4], golden["chain_label_mask_embed"])


def test_mask_losses_of_the_two_decoders() -> None:
    """The matching is the golden's own: it needs the original's list of synonyms, which is not here."""
    golden, head = json.loads(nets.golden("heads")["info_json"].tobytes()), nets.trained(TINY, LABEL).sem_seg_head
    _, masks = head.predictor(*head.pixel_decoder(pyramid()))
    targets = torch.zeros(3, 128, 192)
    targets[0, :64, :100] = targets[1, 64:, :80] = targets[2, 30:120, 110:180] = 1
    matched = Match(*(torch.tensor(side) for side in golden["match_final"]))
    generator = torch.Generator().manual_seed(0)
    torch.rand(1, 12544, 2, generator=generator)  # the matcher's points
    bce, dice = mask_losses(masks[0], targets, matched, generator)
    expected = golden["losses_label_unweighted"]
    assert bce.item() == pytest.approx(expected["loss_mask"], abs=1e-3)
    assert dice.item() == pytest.approx(expected["loss_dice"], abs=1e-3)
