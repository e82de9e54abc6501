"""What each annotation tool exports, in its own layout, is read as the mask that was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import MASK, PHOTO, write_array, write_coco, write_mask, write_photo
from corpus.annotations import coco_annotation, coco_image
from corpus.exports import (
    CORNERS,
    LABEL_MAP,
    bitmap,
    brush,
    cvat_mask,
    cvat_polygon,
    cvat_xml,
    ls_min,
    ls_polygon,
    ls_region,
    ls_task,
    percent,
    rle,
    sa1b,
    supervisely,
    via,
    via_region,
    write_class_picture,
    write_text,
    yolo_line,
)

from ovss_personal.errors import InputError, MaskError, OvssWarning, ShotsError
from ovss_personal.io.formats.label_studio import decode_brush
from ovss_personal.io.shots import find_pairs, load_shots

OTHER = ((24, 16), (36, 16), (36, 22), (24, 22))
OTHER_MASK = np.zeros_like(MASK)
OTHER_MASK[16:22, 24:36] = True
RING = MASK.copy()
RING[6:10, 8:14] = False


def only_mask(source: Path, **options: Any) -> np.ndarray:
    [shot] = load_shots(source, **options)
    np.testing.assert_array_equal(shot.image.shape, PHOTO.shape)
    return shot.mask


def problem(source: Path, **options: Any) -> str:
    """What is said, and what to do."""
    with pytest.raises(InputError) as caught:
        load_shots(source, **options)
    return f"{caught.value} {caught.value.hint}"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with the photo 1.jpg."""
    write_photo(tmp_path / "1.jpg")
    return tmp_path


# Label Studio


def test_a_brush_is_unpacked() -> None:
    values = np.random.default_rng(0).random((7, 9)) > 0.5
    unpacked = decode_brush(bytes(brush(values)), 7 * 9 * 4)
    np.testing.assert_array_equal(unpacked.reshape(7, 9, 4)[..., 3], values * np.uint8(255))
    # By hand: 3 values of 8 bits, sizes of 1, 1, 1 and 1 bits; 7 twice, then 9 as it is.
    bits = f"{3:032b}{7:05b}" + "0000" * 4 + "1" + "00" + "1" + f"{7:08b}" + "0" + "00" + "0" + f"{9:08b}"
    data = int(bits.ljust(80, "0"), 2).to_bytes(10)
    assert decode_brush(data, 3).tolist() == [7, 7, 9]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends too early"),
        (bytes(brush())[:40], "ends too early"),
        (bytes(4 * [255]) + bytes(9), "4294967295 values"),
        (bytes(brush(MASK[:, :9])), "values of 8 bits, but the photo"),
    ],
)
def test_a_broken_brush(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode_brush(data, MASK.size * 4)


@pytest.mark.parametrize("region", [ls_region(), ls_polygon()], ids=["brush", "polygon"])
@pytest.mark.parametrize("image", ["/data/upload/1/0a1b2c3d-1.jpg", "https://some.where/x/1.jpg?X-Sign=a/b.c", "1.jpg"])
def test_label_studio_json_and_json_min(album: Path, region: dict[str, Any], image: str) -> None:
    for content in ([ls_task(region, image=image)], [ls_min(region, image=image)]):
        write_text(album / "project-1-at-2024.json", content)
        np.testing.assert_array_equal(only_mask(album), MASK)
        np.testing.assert_array_equal(only_mask(album / "project-1-at-2024.json"), MASK)


def test_label_studio_labels_are_categories(album: Path) -> None:
    write_text(album / "a.json", [ls_task(ls_polygon(), ls_polygon("cat", OTHER), ls_polygon("mug", OTHER))])
    assert "expected one category, found cat, mug. Choose one with --category." in problem(album)
    np.testing.assert_array_equal(only_mask(album, category="cat"), OTHER_MASK)
    np.testing.assert_array_equal(only_mask(album, category="mug"), MASK | OTHER_MASK)


def test_label_studio_ellipse_and_box(album: Path) -> None:
    ellipse = ls_region("ellipselabels", x=50, y=50, radiusX=25, radiusY=25, rotation=0)
    write_text(album / "a.json", [ls_task(ellipse)])
    assert only_mask(album).sum() == pytest.approx(np.pi * 10 * 6, rel=0.03)
    [x, y], _, [right, bottom], _ = percent()
    box = ls_region("rectanglelabels", x=x, y=y, width=right - x, height=bottom - y, rotation=0)
    write_text(album / "a.json", [ls_task(box)])
    with pytest.warns(OvssWarning, match="task 1, region 1 is a box, no mask"):
        np.testing.assert_array_equal(only_mask(album), MASK)


def test_label_studio_photos_of_local_files_and_other_names(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "my bird.jpg")
    for image in ("/data/local-files/?d=set/my%20bird.jpg", "images\\my%20bird.jpg", "s3://bucket/my bird.jpg"):
        write_text(tmp_path / "a.json", [ls_task(ls_polygon(), image=image)])
        np.testing.assert_array_equal(only_mask(tmp_path), MASK)


def test_label_studio_annotations_of_several_people_are_a_problem(album: Path) -> None:
    task = ls_task(ls_polygon())
    task["annotations"].append({"id": 2, "result": [ls_polygon(corners=OTHER)]})
    write_text(album / "a.json", [task])
    assert "task 1 holds 2 annotations" in problem(album)
    task["annotations"][1]["ground_truth"] = True
    write_text(album / "a.json", [task])
    np.testing.assert_array_equal(only_mask(album), OTHER_MASK)
    task["annotations"][1] |= {"ground_truth": False, "was_cancelled": True}
    write_text(album / "a.json", [task])
    np.testing.assert_array_equal(only_mask(album), MASK)


def test_label_studio_brush_masks_as_png(album: Path) -> None:
    write_mask(album / "task-9-annotation-7-by-me@some.where-tag-mug-0.png")
    write_mask(album / "task-9-annotation-7-by-me@some.where-tag-mug-1.png", OTHER_MASK)
    write_mask(album / "task-9-annotation-7-by-me@some.where-tag-cat-0.png", ~MASK)
    np.testing.assert_array_equal(only_mask(album, category="mug"), MASK | OTHER_MASK)
    write_photo(album / "2.jpg", PHOTO + np.uint8(1))
    assert "named after tasks of Label Studio (9), not after their photos" in problem(album, category="mug")
    write_text(album / "a.json", [ls_task(ls_polygon()), ls_task(number=2, image="2.jpg")])
    with pytest.warns(OvssWarning, match=r"2\.jpg \(the object is not annotated in a\.json\)"):
        np.testing.assert_array_equal(only_mask(album), MASK)


# YOLO


def yolo_folder(root: Path, names: str | None = None) -> Path:
    write_photo(root / "1.jpg")
    write_text(root / "1.txt", f"{yolo_line()}\n{yolo_line(OTHER, 1)}\n{yolo_line(OTHER, 0)}\n")
    if names is not None:
        write_text(root / "data.yaml", names)
    return root


def test_yolo_beside_the_photo(album: Path) -> None:
    write_text(album / "1.txt", yolo_line() + "\n\n")
    np.testing.assert_array_equal(only_mask(album), MASK)


def test_yolo_classes_are_categories_by_id_or_name(tmp_path: Path) -> None:
    yolo_folder(tmp_path)
    assert "found 0, 1" in problem(tmp_path)
    np.testing.assert_array_equal(only_mask(tmp_path, category="1"), OTHER_MASK)
    for names in ("names: [mug, cat]", "nc: 2\nnames:\n  0: mug\n  1: cat\n"):
        yolo_folder(tmp_path, names)
        assert "found cat, mug" in problem(tmp_path)
        np.testing.assert_array_equal(only_mask(tmp_path, category="mug"), MASK | OTHER_MASK)
        np.testing.assert_array_equal(only_mask(tmp_path / "data.yaml", category="cat"), OTHER_MASK)
    yolo_folder(tmp_path, "names: [mug]")
    assert "1.txt: class 1 has no name in data.yaml" in problem(tmp_path)
    yolo_folder(tmp_path, "names: [mug")
    assert "data.yaml: this is not valid YAML" in problem(tmp_path)


@pytest.mark.parametrize(
    ("photos", "labels"),
    [
        ("images", "labels"),
        ("images/train", "labels/train"),
        ("train/images", "train/labels"),
        ("valid/images", "valid/labels"),
    ],
)
def test_yolo_data_sets(tmp_path: Path, photos: str, labels: str) -> None:
    write_photo(tmp_path / photos / "1.jpg")
    write_photo(tmp_path / photos / "2.jpg", PHOTO + np.uint8(1))
    write_text(tmp_path / labels / "1.txt", yolo_line(number=1))
    write_text(tmp_path / labels / "2.txt", "")  # a photo without objects
    write_text(tmp_path / "data.yaml", "train: ../train/images\nnames: [cat, mug]\n")
    with pytest.warns(OvssWarning, match=r"2\.jpg \(the object is not annotated in 2\.txt\)"):
        [shot] = load_shots(tmp_path, category="mug")
    assert shot.name == f"{photos}/1.jpg"
    np.testing.assert_array_equal(shot.mask, MASK)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.2 0.2", "line 1 is a box (class x y width height), no mask. Export YOLO segmentation"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.93", "line 1 has 7 numbers after the class"),
        ("0 10 10 30 10 30 20", "line 1: expected shares of the width and height from 0 to 1, found 30"),
        ("0 0.1 0.1 nan 0.1 0.5 0.5", "all finite numbers"),
    ],
)
def test_yolo_lines_that_are_no_polygon(album: Path, line: str, says: str) -> None:
    write_text(album / "1.txt", line)
    assert says in problem(album)


def test_yolo_of_boxes_as_cvat_has_it(tmp_path: Path) -> None:
    write_photo(tmp_path / "obj_train_data" / "1.jpg")
    write_text(tmp_path / "obj_train_data" / "1.txt", "0 0.5 0.5 0.2 0.2\n")
    write_text(tmp_path / "obj.names", "mug\n")
    assert "obj_train_data/1.txt: line 1 is a box" in problem(tmp_path)


def test_a_caption_is_no_mask(album: Path) -> None:
    write_text(album / "1.txt", "a photo of my mug\n")
    assert "1.jpg (no mask of this name; 1.txt is not read as a mask). Export masks as PNG" in problem(album)
    write_mask(album / "1_mask.png")
    np.testing.assert_array_equal(only_mask(album), MASK)


# CVAT


@pytest.mark.parametrize("photos", [".", "images", "images/default"])
@pytest.mark.parametrize("shape", [cvat_polygon(), cvat_mask()], ids=["polygon", "mask"])
def test_cvat_for_images(tmp_path: Path, photos: str, shape: str) -> None:
    write_photo(tmp_path / photos / "1.jpg")
    write_text(tmp_path / "annotations.xml", cvat_xml(shape, '<tag label="x" source="manual"></tag>'))
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)
    np.testing.assert_array_equal(only_mask(tmp_path / "annotations.xml"), MASK)


def test_cvat_holes_ellipses_boxes_and_labels(album: Path) -> None:
    def read(*shapes: str, **options: Any) -> np.ndarray:
        write_text(album / "annotations.xml", cvat_xml(*shapes))
        return only_mask(album, **options)

    np.testing.assert_array_equal(read(cvat_mask(mask=RING)), RING)
    np.testing.assert_array_equal(read(cvat_polygon(), cvat_polygon("cat", OTHER), category="cat"), OTHER_MASK)
    ellipse = read('<ellipse label="mug" cx="20" cy="12" rx="10" ry="4" rotation="90"></ellipse>')
    assert ellipse[3, 20] and not ellipse[12, 29] and ellipse.sum() == pytest.approx(np.pi * 40, rel=0.03)
    with pytest.warns(OvssWarning, match=r"box 1 of 1\.jpg is a box, no mask"):
        np.testing.assert_array_equal(read('<box label="mug" xtl="5" ytl="3" xbr="20" ybr="15"></box>'), MASK)
    with pytest.warns(OvssWarning, match="is a box"):  # turned about its middle, (12, 9)
        turned = read('<box label="mug" xtl="6" ytl="6" xbr="18" ybr="12" rotation="90"></box>')
    assert turned[3:15, 9:15].all() and turned.sum() == 72


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ('<mask label="mug" rle="1, 2, 3" left="1" top="1" width="2" height="9"></mask>', "add up to 6 pixels"),
        ('<mask label="mug" rle="0, 8" left="39" top="1" width="2" height="4"></mask>', "is not within the photo"),
        ('<mask label="mug" rle="a" left="39" top="1" width="2" height="4"></mask>', "1 of 1.jpg: the run lengths"),
        ('<polygon label="mug" points="1,2;3,4"></polygon>', "polygon 1 of 1.jpg: a polygon needs three points"),
        ('<box label="mug" xtl="5" ytl="3" xbr="x" ybr="15"></box>', "box 1 of 1.jpg: expected finite numbers"),
    ],
)
def test_broken_cvat_shapes(album: Path, shape: str, says: str) -> None:
    write_text(album / "annotations.xml", cvat_xml(shape))
    assert says in problem(album)


def test_xml_that_hides_a_bomb_or_is_broken(album: Path) -> None:
    write_text(album / "a.xml", '<!DOCTYPE a [<!ENTITY b "cc">]><annotations><image>&b;</image></annotations>')
    assert "a.xml: XML with a document type is not read" in problem(album)
    write_text(album / "a.xml", "<annotations><image>")
    assert "a.xml: this is not valid XML" in problem(album)


@pytest.mark.parametrize("photos", ["images", "images/default"])
def test_cvat_coco_1_0(tmp_path: Path, photos: str) -> None:
    write_photo(tmp_path / photos / "1.jpg")
    (tmp_path / "annotations").mkdir()
    path = write_coco(tmp_path / "annotations" / "instances_default.json", coco_annotation(rle()))
    for source in (tmp_path, path):
        [shot] = load_shots(source)
        assert shot.name == f"{photos}/1.jpg"
        np.testing.assert_array_equal(shot.mask, MASK)


@pytest.mark.parametrize("photos", [".", "images", "JPEGImages"])
def test_cvat_segmentation_mask(tmp_path: Path, photos: str) -> None:
    write_photo(tmp_path / photos / "1.jpg")
    write_text(tmp_path / "labelmap.txt", LABEL_MAP)
    write_text(tmp_path / "ImageSets" / "Segmentation" / "default.txt", "1\n")
    write_class_picture(tmp_path / "SegmentationClass" / "1.png")
    write_class_picture(tmp_path / "SegmentationObject" / "1.png", colour=(128, 0, 0))
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)
    write_array(tmp_path / "SegmentationClass" / "1.png", MASK * np.uint8(2))  # places in the list of labels
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)
    write_class_picture(tmp_path / "SegmentationClass" / "1.png", colour=(1, 2, 3))
    assert "SegmentationClass/1.png: the colour 1,2,3 is not in labelmap.txt" in problem(tmp_path)


def test_pascal_voc_without_names(tmp_path: Path) -> None:
    write_photo(tmp_path / "JPEGImages" / "1.jpg")
    write_mask(tmp_path / "SegmentationClass" / "1.png", mode="P")
    write_mask(tmp_path / "SegmentationObject" / "1.png", ~MASK, mode="P")
    write_text(tmp_path / "Annotations" / "1.xml", "<annotation><object><bndbox></bndbox></object></annotation>")
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)


# the rest


def test_via(album: Path) -> None:
    write_text(album / "via.json", via(via_region(), via_region("cat", name="circle", cx=30, cy=12, r=5)))
    assert "found cat, mug" in problem(album)
    np.testing.assert_array_equal(only_mask(album, category="mug"), MASK)
    assert only_mask(album, category="cat").sum() == pytest.approx(np.pi * 25, rel=0.05)
    project = {"_via_settings": {}, "_via_img_metadata": via(via_region(None)), "_via_attributes": {}}
    write_text(album / "via.json", project)
    np.testing.assert_array_equal(only_mask(album), MASK)
    first = via(via_region())
    first["1.jpg1234"]["regions"] = {"0": via_region()}  # as VIA 1 has them
    write_text(album / "via.json", first)
    np.testing.assert_array_equal(only_mask(album), MASK)


@pytest.mark.parametrize("mode", ["RGBA", "L", "1"])
@pytest.mark.parametrize("places", [("1.jpg", "1.json"), ("1.jpg", "1.jpg.json"), ("img/1.jpg", "ann/1.jpg.json")])
def test_supervisely_bitmap(tmp_path: Path, places: tuple[str, str], mode: str) -> None:
    write_photo(tmp_path / places[0])
    write_text(tmp_path / places[1], supervisely(bitmap(mode=mode)))
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)


def test_supervisely_project_with_polygons(tmp_path: Path) -> None:
    hole = [[8, 6], [14, 6], [14, 10], [8, 10]]
    polygon = {"classTitle": "mug", "geometryType": "polygon", "points": {"exterior": CORNERS, "interior": [hole]}}
    write_photo(tmp_path / "ds0" / "img" / "1.jpg")
    write_text(tmp_path / "ds0" / "ann" / "1.jpg.json", supervisely(polygon, bitmap(OTHER_MASK, "cat")))
    write_text(tmp_path / "meta.json", {"classes": [], "tags": []})
    np.testing.assert_array_equal(only_mask(tmp_path, category="mug"), RING)
    np.testing.assert_array_equal(only_mask(tmp_path / "ds0", category="cat"), OTHER_MASK)


def test_segment_anything(album: Path) -> None:
    write_text(album / "1.json", sa1b(MASK))
    np.testing.assert_array_equal(only_mask(album), MASK)
    write_text(album / "1.json", sa1b(MASK, OTHER_MASK))
    assert "expected one category, found 5, 6" in problem(album)
    np.testing.assert_array_equal(only_mask(album, category="6"), OTHER_MASK)
    write_text(album / "1.json", sa1b(MASK)["annotations"])  # what the mask generator returns
    np.testing.assert_array_equal(only_mask(album), MASK)


def test_npz(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "1.jpg")
    path = tmp_path / "masks" / "1.npz"
    path.parent.mkdir()
    for arrays in ({"arr_0": MASK}, {"masks": MASK[None], "scores": np.ones(1)}, {"mask": MASK * 255}):
        np.savez_compressed(path, **arrays)
        np.testing.assert_array_equal(only_mask(tmp_path), MASK)
    np.savez(path, a=MASK, b=MASK)
    assert "expected one array, or one called mask, masks, segmentation; found a, b" in problem(tmp_path)
    np.savez(path, masks=np.stack([MASK, MASK]))
    assert "expected one mask shaped (H, W), found (2, 24, 40)" in problem(tmp_path)
    np.savez(path, np.array([MASK, "x"], dtype=object))
    assert "this is not a readable .npz file" in problem(tmp_path)
    path.write_bytes(b"PK\3\4 and no more")
    assert "this is not a readable .npz file" in problem(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", {"project": {}, "metadata": {}, "view": {}}, "this is VIA 3's project, which is not read. In VIA 3"),
        ("a.json", {"items": [], "categories": {}}, "this is Datumaro's JSON, which is not read. In CVAT, export COCO"),
        ("a.json", [{"data_row": {}}], "this is Labelbox's JSON, which is not read"),
        ("a.json", [{"image": "1.jpg", "annotations": []}], "CreateML's JSON of boxes, which is not read"),
        ("a.xml", '<annotations><track id="0"></track></annotations>', "CVAT for video 1.1, which is not read"),
        (
            "1.xml",
            "<annotation><object><polygon></polygon></object></annotation>",
            "LabelMe's XML, which is not read. In",
        ),
        ("a.csv", "#filename,file_size,region_shape_attributes", "VIA's CSV, which is not read. In VIA, export JSON"),
        ("a.csv", "filename,width,height,class,xmin,ymin,xmax,ymax", "a CSV of boxes, which is not read"),
        ("a.ndjson", '{"data_row": {"id": 1}}', "Labelbox's lines of JSON, which is not read"),
        ("1.xml", "<annotation><object></object></annotation>", "Pascal VOC's XML of boxes, which is not read"),
    ],
)
def test_what_is_seen_but_not_read_is_named_with_the_export_to_take(
    album: Path, name: str, content: Any, says: str
) -> None:
    write_text(album / name, content)
    assert f"{name}: " in problem(album) and says in problem(album)
    assert says in problem(album / name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_in_other_encodings(album: Path, encoding: str) -> None:
    write_text(album / "a.json", [ls_task(ls_polygon("Täßchen"))], encoding)
    np.testing.assert_array_equal(only_mask(album, category="Täßchen"), MASK)


def test_json_in_an_encoding_that_is_not_read(album: Path) -> None:
    (album / "a.json").write_bytes('[{"image": "Täßchen"}]'.encode("latin-1"))
    assert "a.json: the text is neither UTF-8 nor UTF-16 (byte 14). Save it as UTF-8." in problem(album)


def test_percent_encoded_names_in_coco(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "90fb-my bird.jpg")
    images = [coco_image(file_name="images/90fb-my%20bird.jpg")]
    write_coco(tmp_path / "result.json", coco_annotation(), images=images)
    np.testing.assert_array_equal(only_mask(tmp_path), MASK)


def test_several_annotation_files(album: Path) -> None:
    write_text(album / "a.json", [ls_task(ls_polygon())])
    write_text(album / "annotations.xml", cvat_xml(cvat_polygon()))
    with pytest.raises(ShotsError, match=r"several annotation files: a\.json, annotations\.xml"):
        find_pairs(album)
    np.testing.assert_array_equal(only_mask(album / "annotations.xml"), MASK)
    with pytest.raises(MaskError, match="category 'hat' is not there; found mug"):
        find_pairs(album / "a.json", "hat")
