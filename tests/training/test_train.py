from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import write_stamps

from ovss_personal.benchmarks.composites.sources import Sources
from ovss_personal.training import train as module
from ovss_personal.training.train import TrainConfig, query_points, segment_at, train

TINY = TrainConfig(steps=4, batch=1, size=64, large_size=96, large_part=0.25, warmup=2)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources(write_stamps(tmp_path / "share"))
    monkeypatch.setattr(module, "best_iou", lambda *args: 0.5)
    whole = train(TINY, tmp_path / "whole", sources, every=2)
    save = module.save_checkpoint

    def cut(path: Path, state: dict[str, object]) -> None:
        save(path, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_checkpoint", cut)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path / "cut", sources, every=2)
    monkeypatch.setattr(module, "save_checkpoint", save)
    resumed = train(TINY, tmp_path / "cut", sources, every=2)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert (tmp_path / "cut" / "log.jsonl").read_text().count("\n") == 2
    with pytest.raises(SystemExit, match="other settings"):
        train(replace(TINY, seed=1), tmp_path / "cut", sources)


def test_points_lie_in_the_picture_and_every_segment_can_be_asked_for() -> None:
    segments = torch.zeros(1, 64, 64, dtype=torch.uint8)
    segments[0, 60:, 60:] = 3
    generator = torch.Generator().manual_seed(0)
    asked = set()
    for _ in range(6):
        points = query_points(segments, generator)
        assert points.shape == (1, 100, 2) and points.min() >= 0 and points.max() <= 1
        asked |= set(segment_at(segments, points).flatten().tolist())
    assert asked == {0, 3}


def test_the_schedule() -> None:
    config = TrainConfig(steps=100, warmup=10, learning_rate=1.0, large_part=0.2)
    assert config.rate_at(0) == pytest.approx(0.1) and config.rate_at(50) == pytest.approx(0.5)
    assert config.rate_at(99) < 0.01
    assert (config.size_at(79), config.size_at(80)) == (384, 512)
