"""The path at the paper's size: ResNet-50, 320×320, 8 photos of each kind."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from ovss_personal.pss.adapt import NETWORK, Photos, adapt
from ovss_personal.pss.album import grouped_photos, source_photos
from ovss_personal.pss.checkpoint import load_network
from ovss_personal.pss.methods import AdaptConfig
from ovss_personal.pss.network import NetworkConfig, Segmenter
from ovss_personal.pss.runtime import accelerator_for


@pytest.mark.slow
def test_one_step_with_resnet50(source: Path, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = Photos(source_photos(source, grouped=True), grouped_photos(album))
    network = Segmenter(NetworkConfig("resnet50"))
    adapt(AdaptConfig(iterations=1), network, photos, tmp_path, accelerator=accelerator_for("cpu", "no"))
    assert load_network(tmp_path / NETWORK, "resnet50").config == network.config
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        print(f"\none step of ResNet-50 at 320x320, batch 8: peak memory {peak:.1f} GiB")
