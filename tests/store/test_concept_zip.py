"""A concept in a zip, as the page saves it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from ovss_personal.config import FitConfig
from ovss_personal.errors import ConceptError
from ovss_personal.personal.head import PersonalHead
from ovss_personal.store.concept import Concept, FitReport, ShotReport


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    head = PersonalHead(
        text=torch.tensor([1.0, 0.0, 0.0]),
        visual=torch.tensor([0.6, 0.8, 0.0]),
        embedding_weights=torch.ones(4),
        mask_weights=torch.ones(4),
        mask_bias=torch.tensor(-0.25),
        alpha=0.3,
    )
    report = FitReport(shots=(ShotReport("shot 1", "a" * 64, 0.9, 0.7),), losses={"seg": 1.5})
    concept = Concept("my mug", "mug", "fake", "f" * 64, ("tree",), head, FitConfig(iterations=7), report)
    return concept.save_pretrained(tmp_path / "concepts" / "my_mug")


@pytest.mark.parametrize("root", [".", "my_mug"])
def test_a_zip_of_a_concept_is_one(folder: Path, tmp_path: Path, root: str) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "concept"), "zip", folder.parent if root == "my_mug" else folder))
    concept = Concept.from_pretrained(path)
    assert (concept.name, concept.class_name) == ("my mug", "mug")
    torch.testing.assert_close(concept.head.visual, torch.tensor([0.6, 0.8, 0.0]))


def test_errors_name_the_zip(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "concept.zip"
    path.write_bytes(b"PK\3\4")
    with pytest.raises(ConceptError, match=r"concept\.zip: this is no zip that can be read"):
        Concept.from_pretrained(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "README.md", "my_mug/README.md")
    with pytest.raises(ConceptError, match="is not a concept") as caught:
        Concept.from_pretrained(path)
    assert caught.value.path == str(path)
