"""`ovss-personal pss …` from an album to its tables, and what it says of input that it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from end_to_end.commands import attempt, run
from PIL import Image

from ovss_personal.pss import grouping
from ovss_personal.store.tensors import read_with_metadata

SMALL = ("--backbone", "lite2", "--scratch", "--iterations", "1", "--batch", "2", "--crop", "64", "--side", "64")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def test_from_an_album_to_its_tables(source: Path, album: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "step1", tmp_path / "step2"
    arguments = ("pss", "adapt", "--source", str(source), "--album", str(album), *SMALL)
    trained = run(*arguments, "--out", str(first), "--evaluate", "--json").facts
    assert [row["iteration"] for row in trained["scores"]] == [1.0]
    again = run(*arguments, "--out", str(first), "--evaluate", "--json").facts
    assert again == trained  # there was nothing left to do
    run(*arguments, "--out", str(tmp_path / "twin"))
    one, twin = (read_with_metadata(folder / "network.safetensors")[0] for folder in (first, tmp_path / "twin"))
    assert all(torch.equal(value, twin[name]) for name, value in one.items())

    weights = ("--weights", str(first / "network.safetensors"))
    run(*arguments, "--out", str(second), "--step", "2", *weights)
    assert len((second / "entrank/easy_split.txt").read_text().splitlines()) == 3
    assert (
        read_with_metadata(second / "network.safetensors")[1]["network"]
        == read_with_metadata(first / "network.safetensors")[1]["network"]
    )

    result = tmp_path / "result.json"
    facts = run("pss", "evaluate", str(album), *weights, "--side", "64", "--out", str(result), "--json").facts
    assert facts["users"]["album"]["fiou"] == trained["scores"][0]["fiou"]
    assert (facts["method"], facts["step"], facts["groups"]) == ("group", 1, 2)
    assert "| group, step 1 | 58.79 | 47.16 |" in run("pss", "report", str(result)).stdout

    out = tmp_path / "out"
    shown = run("pss", "segment", str(album), *weights, "--side", "64", "--out", str(out), "--json").facts
    assert len(shown["photos"]) == 6
    with Image.open(out / "p3.labels.png") as labels:
        assert labels.size == (56, 48)
    assert (out / "p3.overlay.png").is_file()


def test_group_writes_a_list(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(photos: object, name: str, **_: object) -> np.ndarray:
        return np.array([[0.0], [5.0], [0.1], [5.1], [0.2], [9.0]], np.float32)

    monkeypatch.setattr(grouping, "photo_features", features)
    facts = run("pss", "group", str(album), "--groups", "3", "--json").facts
    assert facts == {"list": str(album / "train_cluster3.txt"), "photos": 6, "groups": {"0": 3, "1": 2, "2": 1}}
    assert attempt("pss", "group", str(album), "--groups", "3").code == 3
    assert "2 to" not in run("pss", "group", str(album), "--groups", "3", "--overwrite").stdout
    assert run("pss", "group", str(album), "--groups", "auto", "--overwrite", "--json").facts["photos"] == 6


def test_embedded_features_need_no_download(album: Path) -> None:
    from ovss_personal.pss.album import album_photos

    features = grouping.photo_features(album_photos(album)[:2])
    assert len(features) == 2
    assert np.linalg.norm(features, axis=1) == pytest.approx([1, 1], abs=1e-5)


def failure(code: int, *arguments: str) -> str:
    outcome = attempt("pss", *arguments)
    assert (outcome.code, outcome.stdout) == (code, ""), outcome
    assert outcome.stderr.startswith("error: ")
    return outcome.stderr


def test_bad_input_ends_in_one_line(source: Path, album: Path, tmp_path: Path) -> None:
    adapt = ("adapt", "--source", str(source), "--album", str(album), "--out", str(tmp_path / "run"), *SMALL)
    assert "there are 6 photos, fewer than the 80 groups" in failure(3, "group", str(album))
    assert "--groups 'many' is neither" in failure(2, "group", str(album), "--groups", "many")
    assert "step 2 needs step 1's network" in failure(2, *adapt, "--step", "2")
    assert "--method must be one of no-da" in failure(2, *adapt, "--method", "magic")
    assert "no such checkpoint" in failure(4, *adapt, "--weights", str(tmp_path / "gone.pth"))

    other = tmp_path / "id1.pth"
    torch.save({"module.encoder.layer4.24.weight": torch.zeros(1)}, other)
    told = failure(4, "evaluate", str(album), "--weights", str(other), "--backbone", "resnet50")
    assert "a checkpoint of a vgg16 network, not of the expected resnet50" in told

    mask = source / "SegmentationClass/p1.png"
    for value, message in ((33, "labels must be 0 to 20 or 255, found 33"), (255, "the mask is empty")):
        Image.fromarray(np.full((48, 56), value, np.uint8)).save(mask)
        assert message in failure(3, *adapt, "--method", "no-da", "--batch", "8")
    mask.unlink()
    assert "p1.jpg has no mask" in failure(3, *adapt)
    (album / "train_cluster2.txt").write_text("/JPEGImages/gone.jpg /SegmentationClass/gone.png 0\n")
    assert "line 1: there is no photo" in failure(3, "segment", str(album), "--weights", str(other), "--out", "out")
    (album / "train_cluster2.txt").unlink()
    assert "the album has no groups" in failure(2, *adapt)


def test_results_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([1]))
    assert "no result of `pss evaluate --out`" in failure(3, "report", str(tmp_path / "r.json"))
