"""COCO's instances on both of its trees in miniature, and the file that they are kept in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import write_coco, write_yolo
from fakes.raw import noise, save

from ovss_personal.benchmarks import coco
from ovss_personal.benchmarks.instances import InstanceSet, is_instances, read_instances, run_lengths
from ovss_personal.benchmarks.manifest import read_manifest
from ovss_personal.errors import ConfigError, ImageError, InputError, MaskError

JSON = "annotations/instances_val2017.json"


def built(root: Path, out: Path, **options: int) -> InstanceSet:
    return read_instances(coco.build(root, out, **options))


def test_polygons_and_run_lengths_are_instances_and_crowds_are_void(tmp_path: Path) -> None:
    benchmark = built(write_coco(tmp_path / "raw"), tmp_path / "out")
    assert benchmark.name == "coco" and benchmark.words == ("cat", "dog") and len(benchmark.photos) == 2
    first, second = benchmark.photos
    assert (first.image, first.size) == ("data:val2017/000000000000.jpg", (24, 32))
    assert [instance.word for instance in first.instances] == [0, 1]
    cat, dog = first.masks()
    expected = np.zeros((24, 32), bool)
    expected[4:12, 4:12] = True
    assert (cat == expected).all() and dog[:, 16:20].all() and dog.sum() == 24 * 4
    assert first.void_mask()[:, 30:].all() and first.void_mask().sum() == 24 * 2
    (parts,) = second.masks()  # the one without a pixel is left out
    assert parts[1, 6] and parts[21, 23] and not parts[12, 12] and not second.void_mask().any()
    assert benchmark.image(first).shape == (24, 32, 3)


def test_polygons_of_yolo_are_shares_of_width_and_height(tmp_path: Path) -> None:
    for inside in ("train2017", "."):
        benchmark = built(write_yolo(tmp_path / inside / "raw", inside), tmp_path / inside / "out")
        assert len(benchmark.words) == 80 and len(benchmark.photos) == 2
        first, second = benchmark.photos
        assert [benchmark.words[one.word] for one in (*first.instances, *second.instances)] == ["cat", "dog", "person"]
        expected = np.zeros((24, 32), bool)
        expected[3:12, 4:12] = True
        assert (first.masks()[0] == expected).all() and second.masks()[0].sum() == 12 * 32


def test_the_same_seed_gives_the_same_photos(tmp_path: Path) -> None:
    write_coco(tmp_path / "raw")
    paths = [coco.build(tmp_path / "raw", tmp_path / str(n), photos=1, seed=n % 2) for n in range(4)]
    one, two, three, four = (path.read_bytes() for path in paths)
    assert one == three and two == four and len(read_instances(paths[0]).photos) == 1


def test_a_photo_that_changed_or_is_of_another_size_is_refused(tmp_path: Path) -> None:
    benchmark = built(write_coco(tmp_path / "raw"), tmp_path / "out")
    save(tmp_path / "raw" / "val2017" / "000000000000.jpg", noise(9))
    with pytest.raises(InputError, match="has changed since the manifest was made"):
        benchmark.image(benchmark.photos[0])
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    content["photos"][1].update(size=[32, 24])
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(content))
    turned = read_instances(tmp_path / "out" / "manifest.json")
    with pytest.raises(InputError, match="is not of the size that its masks are"):
        turned.image(turned.photos[1])


def change(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = root / JSON
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


BROKEN: dict[str, tuple[Callable[[Path], object], type[InputError], str]] = {
    "no json": (
        lambda root: (root / JSON).write_text("{"),
        MaskError,
        "not valid JSON",
    ),
    "no annotations": (lambda root: change(root, lambda c: c.pop("annotations")), MaskError, "under 'annotations'"),
    "a category that is not there": (
        lambda root: change(root, lambda c: c["annotations"][0].update(category_id=3)),
        MaskError,
        "annotation 1 is of category 3, which is not in the file",
    ),
    "no polygon": (
        lambda root: change(root, lambda c: c["annotations"][0].update(segmentation=[[1, 2]])),
        MaskError,
        r"annotation 1 \(000000000000.jpg\): a polygon needs three points",
    ),
    "another size": (
        lambda root: change(root, lambda c: c["images"][0].update(width=24, height=32)),
        MaskError,
        "is 32x24, but its photo is 24x32",
    ),
    "nothing marked": (
        lambda root: change(root, lambda c: c.update(annotations=[])),
        InputError,
        "no photo with an inst",
    ),
    "no photo": (lambda root: (root / "val2017" / "000000000000.jpg").unlink(), ImageError, "there is no such file"),
    "another json": (
        lambda root: shutil.move(root / JSON, root / "annotations" / "captions.json"),
        InputError,
        r"there is no instances_val2017\.json here, but no instances_\*\.json at all",
    ),
    "no folder": (lambda root: shutil.rmtree(root / "annotations"), InputError, "this is not COCO"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_coco_is_one_sentence(tmp_path: Path, case: str) -> None:
    root = write_coco(tmp_path / "raw")
    break_it, error, says = BROKEN[case]
    break_it(root)
    with pytest.raises(error, match=says):
        coco.build(root, tmp_path / "out")


@pytest.mark.parametrize(
    "line",
    ["0 0.5 0.5 0.2 0.2", "80 0 0 1 0 1 1", "-1 0 0 1 0 1 1", "0 0 0 1 0 1 x", "0 0 0 1 0 1 nan", "0 0 0 1 0 1 1 1"],
)
def test_a_line_of_yolo_that_is_no_polygon_is_named(tmp_path: Path, line: str) -> None:
    root = write_yolo(tmp_path / "raw")
    label = root / "labels" / "train2017" / "000000000000.txt"
    label.write_text("0 0 0 1 0 1 1\n" + line)
    with pytest.raises(MaskError, match="line 2: expected a class from 0 to 79 and x y of three points") as caught:
        coco.build(root, tmp_path / "out")
    assert caught.value.path == str(label)


def test_a_label_without_its_photo_is_named(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "raw")
    (root / "images" / "train2017" / "000000000001.jpg").unlink()
    with pytest.raises(InputError, match=r"there is no photo of labels/train2017/000000000001\.txt here"):
        coco.build(root, tmp_path / "out")
    shutil.rmtree(root / "labels" / "train2017")
    with pytest.raises(InputError, match=r"there is no \.txt with polygons here"):
        coco.build(root, tmp_path / "out")


def test_run_lengths_are_read_as_they_were_written() -> None:
    mask = np.random.default_rng(0).random((7, 9)) > 0.5
    from ovss_personal.io.annotations import decompress_counts, fill_runs

    assert (fill_runs(decompress_counts(run_lengths(mask)) or [], (7, 9)) == mask).all()


SPOILED: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda m: m.update(format_version=2),
    "a word too many": lambda m: m["photos"][0]["instances"][0].update(word=2),
    "run lengths that are too short": lambda m: m["photos"][0]["instances"][0].update(counts="0"),
    "run lengths that are none": lambda m: m["photos"][0].update(void="~~"),
    "a path to a parent": lambda m: m["photos"][0].update(image="data:../secret.jpg"),
    "no words": lambda m: m.pop("words"),
    "photos that are a number": lambda m: m.update(photos=3),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_benchmark_is_one_error(tmp_path: Path, case: str) -> None:
    path = coco.build(write_coco(tmp_path / "raw"), tmp_path / "out")
    content = json.loads(path.read_text())
    SPOILED[case](content)
    path.write_text(json.dumps(content))
    assert is_instances(path)
    with pytest.raises(ConfigError, match="is no benchmark of instances"):
        read_instances(path)


def test_what_is_not_a_benchmark_of_instances_is_told_apart(tmp_path: Path) -> None:
    path = coco.build(write_coco(tmp_path / "raw"), tmp_path / "out")
    with pytest.raises(ConfigError, match="it is one of 'instances', which has no concepts"):
        read_manifest(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "photos": []}))
    with pytest.raises(ConfigError, match="has no instance"):
        read_instances(path)
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        assert not is_instances(path)
    path.unlink()
    assert not is_instances(path)
    with pytest.raises(ConfigError, match="the benchmark cannot be read: no such file"):
        read_instances(path)
