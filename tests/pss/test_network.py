from __future__ import annotations

import sys

import pytest
import torch

from ovss_personal.errors import UsageError
from ovss_personal.pss.grouping import photo_features
from ovss_personal.pss.network import NetworkConfig, Segmenter


def test_lite2_starts_from_the_encoder_that_the_embedded_base_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    torch.manual_seed(0)
    scratch, trained = Segmenter(NetworkConfig("lite2")), Segmenter(NetworkConfig("lite2"), imagenet=True)
    name = "encoder.base.1.weight"
    assert not torch.equal(scratch.state_dict()[name], trained.state_dict()[name])
    assert all(parameter.requires_grad for parameter in trained.parameters())
    images = torch.zeros(1, 3, 64, 80)
    assert trained.eval()(images).coarse.shape == (1, 21, 8, 10)


@pytest.mark.parametrize("backbone", ["resnet50", "vgg16"])
def test_without_timm_a_published_network_says_what_to_install(monkeypatch: pytest.MonkeyPatch, backbone: str) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="need timm") as caught:
        Segmenter(NetworkConfig(backbone))
    assert "ovss-personal[pss]" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="need timm"):
        photo_features([], "resnet50")
