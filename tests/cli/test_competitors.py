"""The verb that makes a bank of competitors, on the base that sees colours."""

from __future__ import annotations

from pathlib import Path

import pytest
from end_to_end.commands import attempt, run
from fakes import FakeBase, photo
from PIL import Image
from safetensors.torch import load_file

from ovss_personal.bases.bank import MIN_PHOTOS, load_bank
from ovss_personal.config import BaseConfig

BUILD = ("competitors", "build", "photos", "--base", "fake.yaml", "--trust-base", "--out", "bank.safetensors")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`photos/` with as many photos as a bank needs, and `fake.yaml`."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(MIN_PHOTOS):
        picture = photo(("red", "green", "blue")[number % 3], left=number % 16, noise=number + 1)
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    Path("fake.yaml").write_text("base: fakes.FakeBase\n")
    return folder


def test_photos_become_a_bank() -> None:
    told = run(*BUILD).stdout
    found = load_bank(BaseConfig(bank="bank.safetensors"), "fake", FakeBase.fingerprint, FakeBase.dim)
    assert found.rows is not None and 100 < len(found.rows) < 6 * 50
    assert told == f"{len(found.rows)} embeddings of what fake sees in 50 photos, saved to bank.safetensors\n"
    facts = run(*BUILD, "--overwrite", "--json").facts
    base = {"name": "fake", "fingerprint": FakeBase.fingerprint}
    assert facts == {"base": base, "photos": 50, "embeddings": len(found.rows), "out": "bank.safetensors"}


def test_one_that_exists_is_not_replaced_unasked() -> None:
    Path("bank.safetensors").write_text("dear to somebody")
    refused = attempt(*BUILD)
    assert refused.code == 3 and "the output exists" in refused.stderr
    run(*BUILD, "--overwrite")
    assert load_file("bank.safetensors")


def test_a_broken_photo_is_told_and_too_few_are_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "00.png").write_bytes(b"no picture")
    refused = attempt(*BUILD)
    assert refused.code == 3 and not Path("bank.safetensors").exists()
    assert "00.png" in refused.stderr.splitlines()[0]
    assert "error: 49 photos are too few for a bank." in refused.stderr and "hint: Pass 50 or more" in refused.stderr
    (photos / "00.png").unlink()
    monkeypatch.setattr(FakeBase, "propose", None)  # it is told before anything is looked at
    assert attempt(*BUILD).code == 3


def test_a_bank_is_made_without_one() -> None:
    refused = attempt(*BUILD, "--bank", "other.safetensors")
    assert refused.code == 2 and "a bank is made by the base without one" in refused.stderr
