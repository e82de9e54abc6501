from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from ovss_personal.bases.odise.clip import build_clip
from ovss_personal.bases.odise.diffusion import build_text_encoder, build_unet, build_vae
from ovss_personal.bases.odise.ldm_names import TEXT, UNET, VAE, from_ldm, text_tensors, vae_tensors
from ovss_personal.bases.odise.sizes import FULL

MANIFESTS = Path(__file__).parents[3] / "third_party" / "odise"


def table(name: str) -> list[dict[str, str]]:
    with open(MANIFESTS / name, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("manifest", ["ldm_to_diffusers.tsv", "odise_tiny_ldm.keys.tsv"])
def test_every_tensor_of_the_manifest_gets_its_name(manifest: str) -> None:
    rows = table(manifest)
    state = {row["key"]: torch.empty([int(v) for v in row["shape"].split("x")], device="meta") for row in rows}
    assert all(key.startswith((UNET, VAE, TEXT)) for key in state)
    found = dict(zip(("unet", "vae", "text"), from_ldm(state), strict=True))
    for part, tensors in found.items():
        expected = [row["diffusers_key"].removeprefix("text_model.") for row in rows if row["part"] == part]
        assert list(tensors) == expected
    for row in rows:
        if row["note"]:
            size = row["note"].removeprefix("reshape to ")
            assert "x".join(map(str, found["vae"][row["diffusers_key"]].shape)) == size


def test_what_is_no_network_is_left_out() -> None:
    state = {name: torch.zeros(1) for name in ("betas", "model_ema.decay", f"{TEXT}embeddings.position_ids")}
    assert from_ldm(state) == ({}, {}, {})


def test_old_names_of_diffusers_are_understood() -> None:
    old = {f"decoder.mid_block.attentions.0.{name}.weight": torch.ones(2, 2) for name in ("query", "proj_attn")}
    assert list(vae_tensors(old)) == [f"decoder.mid_block.attentions.0.{new}.weight" for new in ("to_q", "to_out.0")]
    new = {"encoder.mid_block.attentions.0.to_k.bias": torch.ones(2), "decoder.up_blocks.0.resnets.2.conv1.bias": 1}
    assert list(vae_tensors(new)) == list(new)


def test_both_generations_of_transformers_are_understood() -> None:
    both = {"text_model.final_layer_norm.bias": torch.ones(1), "encoder.layers.0.mlp.fc1.bias": torch.ones(1)}
    assert list(text_tensors(both)) == ["final_layer_norm.bias", "encoder.layers.0.mlp.fc1.bias"]


def test_the_full_networks_are_those_of_the_manifest() -> None:
    pytest.importorskip("diffusers")
    pytest.importorskip("open_clip")
    with torch.device("meta"):
        networks = {"unet": build_unet(FULL), "vae": build_vae(FULL), "text": build_text_encoder(FULL)}
        clip = build_clip(FULL)
    rows = table("ldm_to_diffusers.tsv")
    state = {row["key"]: torch.empty([int(v) for v in row["shape"].split("x")], device="meta") for row in rows}
    for network, tensors in zip(networks.values(), from_ldm(state), strict=True):
        found = {name: tensor.shape for name, tensor in network.state_dict().items()}
        assert found == {name: tensor.shape for name, tensor in tensors.items()}
    counts = [sum(p.numel() for p in network.parameters()) for network in (*networks.values(), clip)]
    assert counts == [859_520_964, 83_653_863, 123_060_480, 427_944_193]
