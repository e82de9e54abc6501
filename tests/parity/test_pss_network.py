"""The whole networks against the published ones, on seeded weights loaded as an official checkpoint is."""

from __future__ import annotations

import pytest
import torch
from parity.pss import Goldens, close
from parity.pss.seeded import draw, manifest, state_dict

from ovss_personal.pss.checkpoint import load_network
from ovss_personal.pss.group_context import upsample
from ovss_personal.pss.network import NetworkConfig, Segmenter, with_context

LIMIT = 1e-4
TAGS = {"resnet50": "res50", "vgg16": "vgg16"}


@pytest.fixture(scope="module", params=["resnet50", "vgg16"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    path = tmp_path_factory.mktemp("official") / "id1.pth"
    torch.save({f"module.{name}": value for name, value in state_dict(manifest(request.param)).items()}, path)
    network = load_network(path, request.param)
    path.unlink()
    return network


@torch.inference_mode()
def test_a_batch_gives_the_published_features_and_logits(network: Segmenter) -> None:
    goldens, tag = Goldens("network"), TAGS[network.config.backbone]
    images = draw("pss/net/x160", (2, 3, 160, 160))
    l3, l4, pyramid = network.encoder(images)
    aux = network.aux_decoder(l3)
    for name, features in (("l3", l3), ("l4", l4), ("psp", pyramid)):
        assert tuple(features.shape) == tuple(goldens.array(f"{tag}_{name}_shape"))
        close(features[:, ::16, ::4, ::4], goldens[f"{tag}_{name}_sub"], LIMIT)
    close(aux, goldens[f"{tag}_aux_low"], LIMIT)

    hidden = network.group_md(pyramid, aux)
    main = network.main_decoder(hidden)
    close(hidden[:, ::16, ::4, ::4], goldens[f"{tag}_aug_sub"], LIMIT)
    close(main, goldens[f"{tag}_main_low"], LIMIT)
    close(upsample(main, 8)[..., ::7, ::7], goldens[f"{tag}_pred_sub"], LIMIT)
    close(upsample(aux, 8)[..., ::7, ::7], goldens[f"{tag}_aux_sub"], LIMIT)

    # The encoder looks at each photo alone in evaluation mode, so the other settings share what it saw.
    alone = network.main_decoder(network.group_md(pyramid[:1], aux[:1]))
    close(upsample(alone, 8)[..., ::7, ::7], goldens[f"{tag}_pred_image0_alone_sub"], LIMIT)
    plain = upsample(network.main_decoder(pyramid), 8)
    close(plain[..., ::7, ::7], goldens[f"{tag}_pred_nogroup_sub"], LIMIT)
    own = with_context(network, "global").group_md(pyramid, aux)
    close(upsample(network.main_decoder(own), 8)[..., ::7, ::7], goldens[f"{tag}_pred_gpocr0_sub"], LIMIT)


@pytest.mark.parametrize("backbone", ["resnet50", "vgg16"])
def test_the_state_dict_is_the_official_one_and_odd_sizes_are_rounded_alike(backbone: str) -> None:
    with torch.device("meta"):
        network = Segmenter(NetworkConfig(backbone, rule="compat")).eval()
        output = network(torch.empty(1, 3, 161, 173))
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == manifest(backbone)
    expected = tuple(Goldens("network").array(f"{TAGS[backbone]}_odd_161x173_out_shape"))
    assert tuple(output.main.shape) == tuple(output.aux.shape) == expected


@torch.inference_mode()
def test_forward_is_its_parts() -> None:
    torch.manual_seed(0)
    network = Segmenter(NetworkConfig("lite2", "group", "compat")).eval()
    images = torch.randn(2, 3, 48, 40)
    output = network(images)
    l3, _, pyramid = network.encoder(images)
    aux = network.aux_decoder(l3)
    hidden = network.group_md(pyramid, aux)
    assert torch.equal(output.hidden, hidden)
    assert torch.equal(output.coarse, network.main_decoder(hidden))
    assert torch.equal(output.main, upsample(output.coarse, 8))
    assert torch.equal(output.aux, upsample(aux, 8))
    assert output.main.shape == (2, 21, 48, 40)
