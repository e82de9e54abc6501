from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovss_personal.errors import WeightsError
from ovss_personal.pss.checkpoint import load_network, save_network, training_of
from ovss_personal.pss.network import OFFICIAL, Backbone, NetworkConfig, Segmenter


def state(backbone: Backbone) -> dict[str, torch.Tensor]:
    """A state dict of zeros that share their memory, so that a file of them is small."""
    with torch.device("meta"):
        network = Segmenter(NetworkConfig(backbone))
    return {name: torch.zeros((), dtype=v.dtype).expand(v.shape) for name, v in network.state_dict().items()}


def saved(path: Path, values: object) -> Path:
    torch.save(values, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_official_file_is_the_published_network(tmp_path: Path, prefix: str) -> None:
    path = saved(tmp_path / "id1.pth", {prefix + name: value for name, value in state("vgg16").items()})
    network = load_network(path)
    assert network.config == NetworkConfig("vgg16", "group", "compat") and OFFICIAL.rule == "compat"
    assert not network.training
    assert training_of(path) == {}


def test_our_own_file_knows_what_it_is(tmp_path: Path) -> None:
    network = Segmenter(NetworkConfig("lite2", "global"))
    save_network(tmp_path / "network.safetensors", network, '{"method": "global"}')
    loaded = load_network(tmp_path / "network.safetensors", "lite2")
    assert loaded.config == network.config
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())
    assert training_of(tmp_path / "network.safetensors") == {"method": "global"}


def test_the_other_backbone_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "id1.pth", state("vgg16"))
    with pytest.raises(WeightsError, match="a checkpoint of a vgg16 network, not of the expected resnet50") as caught:
        load_network(path, "resnet50")
    assert caught.value.hint is not None and "--backbone vgg16" in caught.value.hint


def test_entries_must_be_all_and_only_the_network_s(tmp_path: Path) -> None:
    values = state("vgg16")
    del values["main_decoder.conv1x1.weight"]
    with pytest.raises(WeightsError, match=r"1 missing, such as main_decoder\.conv1x1\.weight"):
        load_network(saved(tmp_path / "a.pth", values))
    values["main_decoder.conv1x1.weight"] = torch.zeros(20, 512, 1, 1)
    with pytest.raises(WeightsError, match=r"is shaped \(20, 512, 1, 1\), not \(21, 512, 1, 1\)"):
        load_network(saved(tmp_path / "a.pth", values))
    values["main_decoder.conv1x1.weight"] = torch.full((21, 512, 1, 1), torch.inf)
    with pytest.raises(WeightsError, match="holds a value that is not finite"):
        load_network(saved(tmp_path / "a.pth", values))
    values["surplus"] = torch.zeros(1)
    with pytest.raises(WeightsError, match="1 unknown, such as surplus"):
        load_network(saved(tmp_path / "a.pth", values))


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def test_broken_hostile_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"wants '\S*exec' to be run, which tensors do not need; it was not loaded"):
        load_network(saved(tmp_path / "hostile.pth", {"x": Hostile()}))
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_network(saved(tmp_path / "list.pth", [torch.zeros(1)]))
    with pytest.raises(WeightsError, match="this is no PSS network"):
        load_network(saved(tmp_path / "other.pth", {"x": torch.zeros(1)}))
    for suffix, message in (("pth", "is cut off, or is no PyTorch checkpoint"), ("safetensors", "cannot be read")):
        (tmp_path / f"noise.{suffix}").write_bytes(b"noise")
        with pytest.raises(WeightsError, match=message):
            load_network(tmp_path / f"noise.{suffix}")
        with pytest.raises(WeightsError, match="no such checkpoint"):
            load_network(tmp_path / f"gone.{suffix}")
