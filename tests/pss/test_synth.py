from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes.stamps import write_stamps
from PIL import Image

from ovss_personal.benchmarks.composites.sources import Sources
from ovss_personal.pss.album import album_photos, annotated, load_labels, source_photos
from ovss_personal.pss.classes import CLASSES
from ovss_personal.pss.synth import build


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    root = write_stamps(tmp_path_factory.mktemp("share"))
    dog = root / "tuxpaint/stamps/animals/dog.png"
    folder = root / "tuxpaint/stamps/animals/mammals/dogs"
    folder.mkdir(parents=True)
    dog.rename(folder / "dog.png")
    return Sources(root)


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_source_and_an_album_of_occasions(sources: Sources, tmp_path: Path) -> None:
    source, album = build(tmp_path / "a", sources, source_photos=4, occasions=2, photos=3)
    assert len(source_photos(source, grouped=False)) == 4
    truth = annotated(album)
    assert len(album_photos(album)) == len(truth) == 6
    shown = set()
    for photo in truth:
        image = np.asarray(Image.open(photo.image))
        assert image.shape == (320, 320, 3)
        shown |= set(np.unique(load_labels(photo.mask, image.shape[:2])).tolist())
    assert shown == {0, CLASSES.index("bird"), CLASSES.index("dog")}
    build(tmp_path / "b", sources, source_photos=4, occasions=2, photos=3)
    assert bytes_below(tmp_path / "a") == bytes_below(tmp_path / "b")
    build(tmp_path / "c", sources, source_photos=4, occasions=2, photos=3, seed=1)
    assert bytes_below(tmp_path / "a") != bytes_below(tmp_path / "c")
