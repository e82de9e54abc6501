from __future__ import annotations

import torch

from ovss_personal.bases.embedded.decoder import MAX_LOGIT, MaskDecoder, grid_points, mask_logits, spots
from ovss_personal.bases.embedded.encoder import CHANNELS, STRIDES


def test_grid_points_are_cell_centres_row_by_row() -> None:
    points = grid_points(2)
    assert points.tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert grid_points().shape == (100, 2)


def test_mask_logits_by_hand() -> None:
    # (2, 1, -3) on the pixels (1, 0) and (5, 9): 2 - 3, and 10 + 9 - 3 = 16, clamped.
    pixels, vectors = torch.tensor([[[1.0, 5.0], [0.0, 9.0]]]), torch.tensor([[[2.0, 1.0, -3.0]]])
    assert mask_logits(pixels, vectors).tolist() == [[[-1.0, MAX_LOGIT]]]


def test_a_query_looks_at_the_hottest_spot_of_its_cell_or_at_its_middle() -> None:
    heat = torch.zeros(1, 1, 64, 64)
    heat[0, 0, 2, 3] = 0.9  # cell 0 has the rows and columns 0 to 6
    found = spots(heat)[0]
    assert found.shape == (100, 2)
    assert torch.allclose(found[0], torch.tensor([3.5 / 64, 2.5 / 64]), atol=1 / 160)
    assert torch.allclose(found[1:], grid_points()[1:])


def test_a_query_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder().eval()
    taps = [torch.randn(2, c, 96 // s, 96 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]
    with torch.no_grad():
        logits, quality = decoder(taps)
        alone, _ = decoder([t[1:] for t in taps])
    assert logits.shape == (2, 100, 24, 24) and quality.shape == (2, 100)
    assert torch.allclose(logits[1:], alone, atol=1e-3)


def test_the_decoder_s_own_stages_keep_their_batch_statistics() -> None:
    decoder = MaskDecoder().train()
    assert decoder.fuse8.training and not any(module.training for module in decoder.stages.modules())
