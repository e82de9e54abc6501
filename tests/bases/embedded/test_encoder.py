from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor

from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.encoder import CHANNELS, DIM, STRIDES, Encoder, normalise
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.errors import WeightsError
from ovss_personal.training.carry_weights import encoder_tensors


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return encoder_tensors()


def images(*size: int) -> Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(96, 96), (65, 97)])
def test_it_is_timm_s_network(published: dict[str, Tensor], output_stride: int, size: tuple[int, int]) -> None:
    theirs = timm.create_model("tf_efficientnet_lite2", output_stride=output_stride).eval()
    ours = Encoder(output_stride).eval()
    theirs.load_state_dict(published)
    ours.load_state_dict(published)
    with torch.no_grad():
        taps, dense = ours(images(*size))
        expected = theirs.forward_intermediates(images(*size), indices=[1, 2, 3, 4], intermediates_only=True)
        assert torch.allclose(dense, theirs.forward_features(images(*size)), atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(taps, expected, strict=True))
    assert dense.std() > 0.1


def test_it_trains_as_timm_s_network_does(published: dict[str, Tensor]) -> None:
    theirs, ours = timm.create_model("tf_efficientnet_lite2").train(), Encoder().train()
    theirs.load_state_dict(published)
    ours.load_state_dict(published)
    theirs.forward_features(images(64, 64)).square().mean().backward()
    ours(images(64, 64))[1].square().mean().backward()
    for name in ("conv_stem.weight", "blocks.3.1.bn2.weight", "conv_head.weight"):
        assert torch.allclose(ours.get_parameter(name).grad, theirs.get_parameter(name).grad, rtol=1e-3, atol=1e-6)
    assert torch.allclose(ours.get_buffer("bn1.running_var"), theirs.get_buffer("bn1.running_var"), atol=1e-6)


def test_the_shipped_weights_are_the_published_ones(published: dict[str, Tensor]) -> None:
    shipped = load_file(WEIGHTS / "encoder.safetensors")
    assert shipped.keys() == published.keys() and len(shipped) == 386
    assert all(shipped[name].dtype == t.dtype and torch.equal(shipped[name], t) for name, t in published.items())


def test_logits_are_the_classifier_on_the_dense_features(embedded: EmbeddedBase) -> None:
    pixels = normalise(torch.randint(0, 256, (1, 3, 128, 128), generator=torch.Generator().manual_seed(0)))
    theirs = timm.create_model("tf_efficientnet_lite2").eval()
    theirs.load_state_dict(embedded.encoder.state_dict())
    with torch.no_grad():
        taps, dense = embedded.encoder(pixels)
        found = dense.mean((2, 3)) @ embedded.encoder.class_rows.T + embedded.encoder.classifier.bias
        assert torch.allclose(found, theirs(pixels), atol=1e-3)
    assert [tuple(t.shape) for t in taps] == [
        (1, c, 128 // s, 128 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)
    ]
    assert dense.shape == (1, DIM, 4, 4) and embedded.encoder.class_rows.shape == (1000, DIM)


def test_the_encoder_is_frozen_and_its_input_lies_in_minus_1_to_1(embedded: EmbeddedBase) -> None:
    assert not any(p.requires_grad for p in embedded.encoder.parameters()) and not embedded.encoder.training
    assert normalise(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_weights_of_another_network(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold this base's tensors") as caught:
        Encoder.load(WEIGHTS / "decoder.safetensors")
    assert caught.value.exit_code == 4 and "--force-reinstall" in (caught.value.hint or "")
    with pytest.raises(WeightsError, match="cannot be read"):
        Encoder.load(tmp_path / "encoder.safetensors")
