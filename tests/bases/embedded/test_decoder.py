from __future__ import annotations

import torch

from ovss_personal.bases.embedded.decoder import MAX_LOGIT, MaskDecoder, grid_points, mask_logits
from ovss_personal.bases.embedded.encoder import CHANNELS, STRIDES


def test_grid_points_are_cell_centres_row_by_row() -> None:
    points = grid_points(2)
    assert points.tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert grid_points().shape == (100, 2)


def test_mask_logits_by_hand() -> None:
    # (2, 1, -3) on the pixels (1, 0) and (5, 9): 2 - 3, and 10 + 9 - 3 = 16, clamped.
    pixels, vectors = torch.tensor([[[1.0, 5.0], [0.0, 9.0]]]), torch.tensor([[[2.0, 1.0, -3.0]]])
    assert mask_logits(pixels, vectors).tolist() == [[[-1.0, MAX_LOGIT]]]


def test_a_query_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder().eval()
    taps = [torch.randn(2, c, 96 // s, 96 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]
    points = grid_points(4)[None].repeat(2, 1, 1)
    with torch.no_grad():
        logits, quality = decoder(taps, points)
        alone, _ = decoder([t[1:] for t in taps], points[1:])
    assert logits.shape == (2, 16, 24, 24) and quality.shape == (2, 16)
    assert torch.allclose(logits[1:], alone, atol=1e-3)
