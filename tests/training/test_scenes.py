from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import write_stamps

from ovss_personal.benchmarks.composites.sources import SHOT_BACKGROUNDS, TEST_BACKGROUNDS, Sources
from ovss_personal.training.scenes import SceneMaker


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> SceneMaker:
    return SceneMaker(Sources(write_stamps(tmp_path_factory.mktemp("share"))), 48)


def test_a_scene_comes_from_its_generator_alone(maker: SceneMaker) -> None:
    one, two = (maker.scene(np.random.default_rng([0, 1])) for _ in range(2))
    assert np.array_equal(one.image, two.image) and np.array_equal(one.segments, two.segments)
    assert one.image.shape == (48, 48, 3) and one.segments.shape == (48, 48)


@pytest.mark.parametrize("seed", range(12))
def test_regions_come_first_and_objects_after_them(maker: SceneMaker, seed: int) -> None:
    ground = maker.scene(np.random.default_rng(seed), objects=False)
    assert 1 <= ground.regions <= 4 and ground.segments.max() < ground.regions


def test_there_are_objects_in_most_scenes(maker: SceneMaker) -> None:
    scenes = [maker.scene(np.random.default_rng(seed)) for seed in range(12)]
    assert sum(scene.segments.max() >= scene.regions for scene in scenes) >= 10


def test_nothing_that_is_tested_on_is_in_a_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, read = Sources(write_stamps(tmp_path)), list[str]()
    monkeypatch.setattr(Sources, "background", lambda self, name: read.append(name) or np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(Sources, "cutout", lambda self, name, _: read.append(name) or np.zeros((8, 8, 4), np.uint8))
    SceneMaker(sources, 48)
    kept_back = {*SHOT_BACKGROUNDS, *TEST_BACKGROUNDS, *sources.stamps("birds"), *sources.stamps("distractors")}
    assert read and not set(read) & kept_back
    assert not any("dishes" in name for name in read)
