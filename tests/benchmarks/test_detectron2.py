"""Registration in detectron2's catalogs, of which a stand-in keeps the little that is used."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import write_ade, write_cub
from PIL import Image

from ovss_personal.benchmarks import ade, cub
from ovss_personal.benchmarks.detectron2 import register_detectron2
from ovss_personal.benchmarks.manifest import read_manifest
from ovss_personal.errors import UsageError


class Datasets(dict[str, Callable[[], list[dict[str, Any]]]]):
    def register(self, name: str, load: Callable[[], list[dict[str, Any]]]) -> None:
        assert callable(load) and name not in self, f"{name} is registered already"
        self[name] = load


class Metadata(dict[str, types.SimpleNamespace]):
    def get(self, name: str) -> Any:  # type: ignore[override]
        known = self.setdefault(name, types.SimpleNamespace())
        known.set = lambda **facts: known.__dict__.update(facts)
        return known


@pytest.fixture
def catalogs(monkeypatch: pytest.MonkeyPatch) -> tuple[Datasets, Metadata]:
    data: Any = types.ModuleType("detectron2.data")
    data.DatasetCatalog, data.MetadataCatalog = Datasets(), Metadata()
    package: Any = types.ModuleType("detectron2")
    package.data = data
    monkeypatch.setitem(sys.modules, "detectron2", package)
    monkeypatch.setitem(sys.modules, "detectron2.data", data)
    return data.DatasetCatalog, data.MetadataCatalog


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == "I;16"
        return np.asarray(picture)


def test_shots_and_tests_are_registered_with_labels_of_two_classes(
    catalogs: tuple[Datasets, Metadata], tmp_path: Path
) -> None:
    datasets, metadata = catalogs
    manifest = read_manifest(cub.build(write_cub(tmp_path / "raw"), tmp_path / "cub"))
    names = register_detectron2(manifest)
    assert names == list(datasets) and len(names) == 3 * 4
    assert names[:4] == [f"cub_my_black_footed_albatross_{what}" for what in ("shots1", "shots3", "shots5", "test")]
    assert not (tmp_path / "cub" / "detectron2").exists()  # nothing is written before it is asked for
    shots, tests = datasets[names[1]](), datasets[names[3]]()
    assert [len(shots), len(tests)] == [3, 6] and shots == datasets[names[2]]()[:3]
    concept = manifest.concepts[0]
    first = shots[0]
    assert first["file_name"] == str(manifest.path(concept.shots[0].image))
    assert (first["height"], first["width"], first["image_id"]) == (24, 32, concept.shots[0].sha256[:16])
    expected = manifest.mask(concept.shots[0], manifest.image(concept.shots[0]))
    np.testing.assert_array_equal(pixels(first["sem_seg_file_name"]), expected)
    assert not pixels(tests[-1]["sem_seg_file_name"]).any()
    known = metadata[names[0]]
    assert known.stuff_classes == ["background", "my black footed albatross"]
    assert (known.ignore_label, known.evaluator_type) == (65535, "sem_seg")


def test_known_words_keep_their_labels(catalogs: tuple[Datasets, Metadata], tmp_path: Path) -> None:
    datasets, metadata = catalogs
    manifest = read_manifest(ade.build(write_ade(tmp_path / "raw"), tmp_path / "ade", tests=1))
    register_detectron2(manifest)
    classes = metadata["ade_my_kettle_test"].stuff_classes
    assert len(classes) == 847 and classes[0] == "wall" and classes[-1] == "my kettle" and "kettle" not in classes
    positive, negative = (pixels(row["sem_seg_file_name"]) for row in datasets["ade_my_kettle_test"]())
    assert (positive == 846).sum() == 64 and (positive[32:] == 65535).all() and positive[0, 47] == 0
    assert not (negative == 846).any()
    (shot,) = datasets["ade_my_kettle_shots1"]()
    assert set(np.unique(pixels(shot["sem_seg_file_name"]))) == {846, 65535}


def test_without_detectron2_it_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detectron2", None)
    manifest = read_manifest(cub.build(write_cub(tmp_path / "raw"), tmp_path / "cub"))
    with pytest.raises(UsageError, match="detectron2 is not installed") as caught:
        register_detectron2(manifest)
    assert caught.value.hint


def test_importing_the_module_does_not_import_detectron2() -> None:
    code = "import sys, ovss_personal.benchmarks.detectron2; sys.exit('detectron2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
