"""Every loss against the published code's value of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from parity.pss import Goldens, close
from torch import Tensor

from ovss_personal.pss import losses

GOLDENS = Goldens("losses")
LIMIT = 1e-6
MAIN, AUX, LABELS = GOLDENS["logits"], GOLDENS["logits_aux"], GOLDENS["labels"]


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("entropy_map", lambda: losses.entropy_map(MAIN)),
        ("entropy_per_image_rank_score", lambda: losses.image_entropy(MAIN)),
        ("entropy_loss", lambda: losses.entropy_loss(MAIN)),
        ("ce_2d", lambda: losses.segmentation_loss(MAIN, LABELS)),
        ("mrnet_seg_main", lambda: losses.segmentation_loss(MAIN, LABELS)),
        ("mrnet_seg_aux", lambda: losses.segmentation_loss(AUX, LABELS)),
        ("maxsquare", lambda: losses.max_square(MAIN, "compat")),
        ("mrnet_rectified_main", lambda: losses.rectified_loss(MAIN, AUX, LABELS)),
        ("mrnet_rectified_aux", lambda: losses.rectified_loss(AUX, MAIN, LABELS)),
        ("mrnet_memory_reg_kl", lambda: losses.memory_regulariser(MAIN, AUX)),
        ("bce_source0", lambda: losses.domain_loss(GOLDENS["d_logits"], losses.SOURCE)),
        ("bce_target1", lambda: losses.domain_loss(GOLDENS["d_logits"], losses.TARGET)),
        ("fda_robust_entropy_ita2", lambda: losses.robust_entropy(GOLDENS["fda_logits19"], 2.0, "compat")),
        ("fda_robust_entropy_ita1p5", lambda: losses.robust_entropy(GOLDENS["fda_logits19"], 1.5, "compat")),
    ],
)
def test_a_loss(name: str, loss: Callable[[], Tensor]) -> None:
    close(loss(), GOLDENS[name], LIMIT)


def test_image_wise_max_square_of_each_photo_and_of_a_batch() -> None:
    golden = GOLDENS["iw_maxsquare_per_image"]
    close(torch.stack([losses.image_wise_max_square(photo[None]) for photo in MAIN]), golden, LIMIT)
    close(losses.image_wise_max_square(MAIN), golden.mean(), LIMIT)


def test_the_schedule() -> None:
    for name, base in (("poly_lr_seg", 2.5e-3), ("poly_lr_d", 1e-4)):
        found = [losses.poly_rate(base, int(i)) for i in GOLDENS["poly_iters"]]
        assert found == pytest.approx(GOLDENS[name].tolist(), abs=1e-12)


@pytest.mark.parametrize("beta", [0.01, 0.05, 0.1])
def test_low_frequencies(beta: float) -> None:
    source, target = GOLDENS["fda_src"].float(), GOLDENS["fda_trg"].float()
    close(losses.swap_low_frequencies(source, target, beta), GOLDENS[f"fda_np_L{beta}"], 1e-3)
