from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import write_stamps
from PIL import Image
from safetensors.torch import save_file

from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.encoder import UPPER, Encoder
from ovss_personal.benchmarks.composites.sources import Sources
from ovss_personal.config import BaseConfig
from ovss_personal.training import train as module
from ovss_personal.training.train import ENCODER, Data, TrainConfig, begin, main, train, train_on_cores

TINY = TrainConfig(steps=4, batch=2, size=64, large_size=96, large_part=0.25, warmup=2)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Cut-outs, and a set of photographs: an orange square on noise."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "photos" / "squares" / kind).mkdir(parents=True)
    for number in range(30):
        image, mask = rng.integers(0, 120, (60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
        top, left = rng.integers(2, 20, 2)
        mask[top : top + 30, left : left + 30] = 1
        image[mask > 0] = (250, 150, 20)
        Image.fromarray(image).save(tmp_path / "photos" / "squares" / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(tmp_path / "photos" / "squares" / "masks" / f"{number}.png")
    return Data(Sources(write_stamps(tmp_path / "share")), tmp_path / "photos")


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TINY, tmp_path / "whole", data, every=2)
    save = module.save_checkpoint

    def cut(path: Path, state: dict[str, object]) -> None:
        save(path, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_checkpoint", cut)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path / "cut", data, every=2)
    monkeypatch.setattr(module, "save_checkpoint", save)
    resumed = train(TINY, tmp_path / "cut", data, every=2)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    rows = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4] and all(0 <= row["large"] <= 1 for row in rows)
    with pytest.raises(SystemExit, match="other settings"):
        train(replace(TINY, seed=1), tmp_path / "cut", data)


def test_a_process_on_each_core_trains_one_decoder(tmp_path: Path, data: Data) -> None:
    began = begin(Encoder.load(ENCODER), None).state_dict()
    trained = train_on_cores(replace(TINY, steps=2), tmp_path / "out", data, None).state_dict()
    assert any(not torch.equal(tensor, began[name]) for name, tensor in trained.items() if name.startswith("stages"))
    assert all(torch.equal(tensor, began[name]) for name, tensor in trained.items() if name.endswith("running_mean"))


def test_a_decoder_begins_with_the_encoder_s_stages_and_what_a_file_holds(tmp_path: Path) -> None:
    encoder = Encoder.load(ENCODER)
    assert torch.equal(next(begin(encoder, None).stages.parameters()), next(encoder.blocks[UPPER:].parameters()))
    wanted = torch.full((128,), 7.0)
    save_file({"norm.bias": wanted}, tmp_path / "start.safetensors")
    assert torch.equal(begin(encoder, tmp_path / "start.safetensors").norm.bias, wanted)
    save_file({"bias": wanted}, tmp_path / "other.safetensors")
    with pytest.raises(SystemExit, match="no decoder's file: it holds bias"):
        begin(encoder, tmp_path / "other.safetensors")


def test_the_schedule() -> None:
    config = TrainConfig(steps=100, minutes=10, warmup=10, learning_rate=1.0, large_part=0.2)
    assert config.progress(50, 0) == 0.5 and config.progress(50, 60 * 9) == 0.9 and config.progress(50, 1e9) == 1
    assert config.rate_at(0, 0.0) == pytest.approx(0.1) and config.rate_at(50, 0.5) == pytest.approx(0.5)
    assert config.rate_at(99, 0.99) < 0.01
    assert (config.size_at(0.79), config.size_at(0.81)) == (384, 512)


@pytest.mark.parametrize("photos", [True, False])
def test_a_smoke_run_ends_in_weights_that_a_base_loads(tmp_path: Path, data: Data, photos: bool) -> None:
    out = tmp_path / "out"
    options = ["--smoke", "--stamps", str(data.cutouts.root), "--out", str(out)]
    main([*options, "--photos", str(data.photos)] if photos else options)
    row = json.loads((out / "log.jsonl").read_text())
    assert row["step"] == 4 and ("large" in row) == photos
    figures = json.loads((out / "weights" / "figures.json").read_text())
    assert 0 <= figures["thing_auc"] <= 1
    base = EmbeddedBase(BaseConfig(weights=str(out / "weights")))
    (seen,) = base.propose([np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)])
    assert seen.masks.isfinite().all() and seen.embeddings.isfinite().all()
    assert base.word_scores(seen, base.encode(["tench", "a thing"])).isfinite().all()


@pytest.mark.parametrize("option", ["--steps", "--minutes"])
def test_a_smoke_run_has_its_own_length(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--smoke", "--out", "out", option, "3"])
    assert "--smoke has its own --steps and --minutes" in capsys.readouterr().err
