"""SAN in place of the embedded base: the same commands, another YAML, and weights in a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from end_to_end.commands import attempt, run
from fakes.san import TinySan, tiny_spec, tiny_tensors
from parity.seeded_weights import read_manifest, seeded_state_dict

from ovss_personal.bases import bank, competitors
from ovss_personal.bases.weights import WEIGHTS

PAPER = "alpha: 0.1\nlearning_rate: 5.0e-4\ncompetitors: none\nnegative: true\nviews: 1\niterations: 20\n"
MANIFESTS = Path(__file__).parents[2] / "third_party" / "san"


def personalise_and_segment(album: Path, base: str, weights: Path) -> None:
    """From two shots to labels, on `base` with a checkpoint; then what must not go: the concept on another base."""
    settings = ("--base", base, "--trust-base", "--weights", str(weights), "--offline")
    what = ("--concept", "my ball", "--class-name", "ball", "--images", str(album / "ball"))
    learned = run("personalize", *what, *settings, "--iterations", "20", "--json").facts
    assert len(learned["shots"]) == 2 and all(0 <= shot["iou"] <= 1 for shot in learned["shots"])
    photo, words = str(album / "photos" / "both.png"), ("--words", "ball, grass", "--out")
    found = run("segment", photo, "--concept", learned["out"], *words, "out", *settings, "--json").facts
    names = {word["word"] for word in found["photos"][0]["words"]}
    assert names == {"ball", "grass", "my ball"}
    again = run("segment", photo, "--concept", learned["out"], *words, "again", *settings, "--json").facts
    assert again["photos"][0]["words"] == found["photos"][0]["words"]
    refused = attempt("segment", photo, "--concept", learned["out"], *words, "refused")
    assert refused.code == 4 and "embedded" in refused.stderr and not Path("refused").exists()


def test_a_base_of_weights_in_a_file(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tensors = tiny_tensors()
    monkeypatch.setitem(WEIGHTS, TinySan.name, tiny_spec(tmp_path, tensors))
    torch.save({"model": tensors, "iteration": 60000}, "tiny.pth")
    Path("tiny.yaml").write_text(f"base: fakes.san.TinySan\n{PAPER}")
    personalise_and_segment(album, "tiny.yaml", tmp_path / "tiny.pth")


def test_a_concept_that_beats_siblings_and_a_bank_of_ordinary_photos(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bank, "MIN_PHOTOS", 3)
    monkeypatch.setattr(competitors, "sibling_names", lambda name, count: ("orange", "lemon"))
    monkeypatch.setitem(WEIGHTS, TinySan.name, tiny_spec(tmp_path, tiny_tensors()))
    torch.save({"model": tiny_tensors()}, "tiny.pth")
    Path("tiny.yaml").write_text(f"base: fakes.san.TinySan\nweights: {tmp_path}/tiny.pth\n{PAPER}")
    learn = ("personalize", "--concept", "my ball", "--class-name", "ball", "--images", str(album / "ball"))
    learn = (*learn, "--base", "tiny.yaml", "--trust-base", "--out", "ball", "--competitors", "both")
    refused = attempt(*learn)
    assert refused.code == 2 and "competitors build PHOTOS --base tiny_san" in refused.stderr
    made = (
        "competitors",
        "build",
        str(album / "photos"),
        "--base",
        "tiny.yaml",
        "--trust-base",
        "--out",
        "bank.safetensors",
    )
    assert "saved to bank.safetensors" in run(*made).stdout
    learned = run(*learn, "--bank", "bank.safetensors").stdout
    following = learned.splitlines()[-1].removeprefix("next: ovss-personal ").replace("PHOTO", str(album / "photos"))
    assert following.endswith("--base tiny.yaml --bank bank.safetensors --trust-base")
    assert "3 of 3 photos done" in run(*following.split()).stdout
    without = attempt(*following.replace(" --bank bank.safetensors", "").replace("--out out", "--out b").split())
    assert without.code == 4, "its competitors would be others"


@pytest.mark.slow
def test_the_published_size(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "san_vit_b_16.pth"
    torch.save({"model": seeded_state_dict(read_manifest(MANIFESTS / "san_vit_b_16.keys.tsv"))}, checkpoint)
    before = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    personalise_and_segment(album, "san_vit_b_16", checkpoint)
    wrong = attempt("segment", str(album / "photos" / "ball.png"), "--words", "ball", "--out", "wrong",
                    "--base", "san_vit_large_14", "--weights", str(checkpoint))  # fmt: skip
    assert wrong.code == 4 and "this is san_vit_b_16, not san_vit_large_14" in wrong.stderr
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() == before
