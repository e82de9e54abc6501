"""Region pooling, group attention, pyramid and discriminator against the published ones."""

from __future__ import annotations

import pytest
import torch
from parity.pss import Goldens, close
from parity.pss.seeded import draw, fill

from ovss_personal.pss.group_context import GroupContext, RegionAttention, gather_regions, group_matrix
from ovss_personal.pss.losses import entropy_map
from ovss_personal.pss.network import Discriminator, Pyramid

LIMIT = 1e-4
GOLDENS = Goldens("modules")
pytestmark = pytest.mark.usefixtures("no_gradient")


@pytest.fixture
def no_gradient() -> object:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize(("rule", "name"), [("compat", "gather_out"), ("intended", "own_gather_paper_out")])
def test_regions(rule: str, name: str) -> None:
    regions = gather_regions(GOLDENS["gather_feats"], GOLDENS["gather_logits"], rule)
    close(regions.transpose(1, 2).unsqueeze(3), GOLDENS[name], LIMIT)


def attended(rule: str, context: str) -> torch.Tensor:
    block = fill(RegionAttention(32, 16, rule, context), "pss/attn_small/")
    return block(GOLDENS["attn_x"], GOLDENS["attn_proxy"].squeeze(3).transpose(1, 2))


def test_attention_to_the_group_and_to_the_own_photo() -> None:
    close(attended("compat", "group"), GOLDENS["attn_out_gpocr1"], LIMIT)
    close(attended("compat", "global"), GOLDENS["attn_out_gpocr0"], LIMIT)


def test_the_intended_attention_is_the_transposed_one() -> None:
    found = attended("intended", "group")
    close(found[:, 16:], GOLDENS["own_attn_group_half_unscrambled"], LIMIT)
    close(found[:, :16], GOLDENS["attn_out_gpocr1"][:, :16], LIMIT)
    assert (found - GOLDENS["attn_out_gpocr1"])[:, 16:].square().mean().sqrt() > 1


def test_the_group_s_matrix() -> None:
    values = GOLDENS["attn_value_bkc"]  # (B, K, C)
    close(group_matrix(values, "compat"), GOLDENS["attn_group_mat_scrambled"], 0)
    intended = group_matrix(values, "intended")
    assert torch.equal(intended[:, 5 * 3 + 2], values[2, 5])  # region 5 of photo 2 of 3


@pytest.mark.parametrize(
    ("context", "residual", "name"),
    [("group", False, "group_b2_out"), ("group", True, "group_b2_out_res"), ("global", False, "group_b2_out_gpocr0")],
)
def test_the_group_module(context: str, residual: bool, name: str) -> None:
    module = fill(GroupContext(512, 256, "compat", context, residual), "group_md.")
    features = draw("pss/group/x", (2, 512, 4, 5)).relu() * 2
    golden = GOLDENS[name]
    found = module(features, draw("pss/group/aux", (2, 21, 4, 5), 3))
    close(found[:, : golden.shape[1]], golden, LIMIT)


def test_the_pyramid() -> None:
    close(fill(Pyramid(32, 8), "pss/psp_small/")(GOLDENS["psp_small_x"]), GOLDENS["psp_small_out"], LIMIT)
    vgg = fill(Pyramid(512, 512), "encoder.psp.")
    close(vgg(draw("pss/psp_vgg/x", (1, 512, 5, 7))), GOLDENS["psp_vgg16_out"], LIMIT)


@pytest.mark.slow
def test_the_pyramid_of_resnet50() -> None:
    resnet = fill(Pyramid(2048, 512), "encoder.psp.")
    close(resnet(draw("pss/psp_full/x", (1, 2048, 5, 7)).relu()), GOLDENS["psp_res50_out"], LIMIT)


def test_the_discriminator() -> None:
    discriminator = fill(Discriminator(), "pss/disc/")
    logits = draw("pss/disc/logits", (2, 21, 72, 64), 2)
    maps = {"on_logits": logits, "on_entropy": entropy_map(logits), "on_prob": logits.softmax(1)}
    for name, given in maps.items():
        close(discriminator(given), GOLDENS[f"disc_out_{name}"], 1e-6)
