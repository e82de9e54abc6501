"""Photos, masks, annotations and albums that cannot be used, and those that can with a warning."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from corpus import (
    BROKEN_PICTURES,
    MASK,
    PHOTO,
    coco_annotation,
    coco_image,
    labelme_shape,
    write_broken,
    write_labelme,
    write_mask,
    write_photo,
)
from end_to_end.sound import (
    PERSONALIZE,
    SEGMENT,
    Bad,
    Odd,
    coco,
    mask_of_array,
    mask_of_labelme,
    nothing,
)


def images() -> Iterator[Bad]:
    for name, (_, says) in BROKEN_PICTURES.items():
        yield Bad(
            f"photo: {name}",
            lambda name=name: write_broken(Path(), name),
            f"segment {name} --words mug --out out --no-cache",
            3,
            says.partition(" .*")[0],
        )
    yield Bad(
        "a broken photo among the shots",
        lambda: Path("album/images/2.png").write_bytes(b"x"),
        PERSONALIZE,
        3,
        "album/images/2.png: this is not a picture",
    )
    for what, shape in (("10 pixels high", (10, 40, 3)), ("60 times as wide as high", (16, 960, 3))):
        yield Bad(
            f"photo {what}",
            lambda shape=shape: write_photo(Path("photo.png"), np.zeros(shape, np.uint8)),
            SEGMENT,
            3,
            f"photo.png: the photo is {shape[1]}x{shape[0]} pixels",
        )
    yield Bad(
        "no such photo", nothing, "segment garden.jpg --words mug --out out", 3, "garden.jpg: there is no such file"
    )
    yield Bad("a folder without photos", nothing, "segment mug --words mug --out out", 3, "mug: no photo found here")
    yield Bad("a pattern of nothing", nothing, "segment 'trip/*.jpg' --words mug --out out", 3, "trip/*.jpg: no photo")


def masks() -> Iterator[Bad]:
    mask = Path("album/masks/1.png")
    several = np.where(MASK, 2, 1).astype(np.uint8)
    rows = [
        ("of another size", lambda: write_mask(mask, MASK[:, :20]), "the mask is 20x24 but the photo is 40x24"),
        (
            "of the photo as stored, before its EXIF rotation",
            lambda: write_photo(Path("album/images/1.png"), orientation=6),
            "fits the photo as stored (40x24) but not upright (24x40, EXIF orientation 6)",
        ),
        ("empty", lambda: write_mask(mask, MASK & False), "the mask is empty"),
        (
            "of several labels",
            mask_of_array(several),
            "several labels: 1 (81.2%), 2 (18.8%); which is",
        ),
        ("RGBA, a cut-out photo", lambda: cut_out(mask), "both the colour and the transparency vary"),
        ("RGB of many colours", mask_of_array(PHOTO), "expected black and one colour, found 960 colours"),
        (".npy over 1", mask_of_array(MASK * 1.5, ".npy"), "1.npy: expected labels or shares in 0..1"),
        (".npy with NaN", mask_of_array(np.full(MASK.shape, np.nan), ".npy"), "1.npy: the mask holds NaN"),
        (
            ".npy that is a pickle",
            lambda: (mask.unlink(), mask.with_suffix(".npy").write_bytes(pickle.dumps([1]))),
            "1.npy: this is not a readable .npy array",
        ),
        ("truncated", lambda: mask.write_bytes(mask.read_bytes()[:-30]), "1.png: the picture is broken"),
        ("LabelMe, a line", mask_of_labelme(labelme_shape(kind="line")), "1.json: shape 1 (mug) is of type 'line'"),
        (
            "LabelMe, no JSON",
            lambda: (mask.unlink(), mask.with_suffix(".json").write_text("{")),
            "1.json: this is not valid JSON",
        ),
    ]
    for what, make, says in rows:
        yield Bad(f"mask {what}", make, PERSONALIZE, 3, says)
    yield Bad("a label that is not in the mask", nothing, f"{PERSONALIZE} --label 7", 3, "label 7 is not in the mask")
    yield Bad("a category, but masks are pictures", nothing, f"{PERSONALIZE} --category mug", 2, "a category is chosen")


def cut_out(path: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(PHOTO)
    picture.putalpha(Image.fromarray(MASK))
    picture.save(path)


def annotations() -> Iterator[Bad]:
    command = PERSONALIZE.replace("album", "coco/coco.json")
    runs = {"size": [24, 40], "counts": [10, 20]}
    rows = [
        (
            "run lengths that do not add up",
            coco(coco_annotation(runs)),
            "annotation 7 (1.jpg): the run lengths add up to 30",
        ),
        ("run lengths by rows", coco(coco_annotation({**runs, "size": [40, 24]})), "annotation 7 (1.jpg): the size"),
        (
            "run lengths as CVAT has them",
            coco(coco_annotation([10, 20, 930])),
            "annotation 7 (1.jpg): expected polygons",
        ),
        (
            "polygon with an odd number",
            coco(coco_annotation([[1, 2, 3, 4, 5, 6, 7]])),
            "annotation 7 (1.jpg): a polygon",
        ),
        ("polygon with NaN", coco(coco_annotation([[1, 2, 3, 4, 5, float("nan")]])), "annotation 7 (1.jpg): a polygon"),
        ("image id absent", coco(coco_annotation(image_id=9)), "annotation 7 is of image 9, which is not in the file"),
        ("category id absent", coco(coco_annotation(category_id=9)), "annotation 7 is of category 9"),
        (
            "photo absent",
            coco(coco_annotation(), images=[coco_image(file_name="no.jpg")]),
            "no.jpg (named in coco.json",
        ),
        (
            "two categories",
            coco(coco_annotation(), coco_annotation(category_id=2), categories=("cup", "mug")),
            "expected one category, found cup, mug",
        ),
    ]
    for what, make, says in rows:
        yield Bad(f"COCO, {what}", make, command, 3, says)
    yield Bad(
        "COCO, category unknown",
        coco(coco_annotation()),
        f"{command} --category hat",
        3,
        "category 'hat' is not there; found mug",
    )


def shots() -> Iterator[Bad]:
    yield Bad(
        "--shots 5 with 3 found", nothing, f"{PERSONALIZE} --shots 5", 3, "album: expected 5 photos with masks, found 3"
    )
    yield Bad(
        "a photo without a mask",
        lambda: Path("album/masks/2.png").rename("album/masks/two.png"),
        f"{PERSONALIZE} --shots 3",
        3,
        "Not: 2.png (no mask of this name), two.png (no photo of this name)",
    )
    yield Bad(
        "an empty folder",
        lambda: Path("empty").mkdir(),
        PERSONALIZE.replace("album", "empty"),
        3,
        "empty: no photo and no mask",
    )
    yield Bad("no such folder", nothing, PERSONALIZE.replace("album", "nowhere"), 3, "nowhere: there is no such folder")
    yield Bad(
        "no folder of the concept's name", nothing, "personalize --concept 'my hat'", 3, "there is no folder ./my_hat"
    )


def albums() -> Iterator[Bad]:
    command = f"{PERSONALIZE} --album holiday"
    rows = [
        ("missing", nothing, 3, "holiday: there is no such file"),
        ("empty", lambda: Path("holiday").mkdir(), 3, "holiday: no photo found here"),
        ("of broken photos", lambda: write_broken(made("holiday"), "half.jpg"), 3, "half.jpg: no photo of the album"),
        ("of shots only", lambda: shutil.copytree("album/images", "holiday"), 3, "holiday: every photo of the album"),
        ("of 1001 photos", lambda: [touched(f"holiday/{n}.jpg") for n in range(1001)], 3, "album holds 1001 photos"),
    ]
    for what, make, code, says in rows:
        yield Bad(f"album {what}", make, command, code, says)
    yield Bad("album: the folder of the shots", nothing, f"{PERSONALIZE} --album album", 2, "album: --album is the")


def made(folder: str) -> Path:
    Path(folder).mkdir()
    return Path(folder)


def touched(path: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_bytes(b"x")


BAD_FILES = [*images(), *masks(), *annotations(), *shots(), *albums()]


def turned_square() -> None:
    write_photo(Path("album/images/1.png"), PHOTO[:, :24], orientation=6)
    write_mask(Path("album/masks/1.png"), MASK[:, :24])


def album_with_a_broken_photo() -> None:
    write_photo(Path("holiday/1.png"), PHOTO[:, ::-1])
    write_broken(Path("holiday"), "half.jpg")


ODD_FILES = [
    Odd(
        "album with a broken photo",
        album_with_a_broken_photo,
        f"{PERSONALIZE} --album holiday",
        "holiday/half.jpg: the picture is broken",
    ),
    Odd(
        "mask of half the photo's size",
        lambda: write_mask(Path("album/masks/1.png"), MASK[::2, ::2]),
        "inspect album",
        "album/masks/1.png: the mask is 20x12 but the photo 40x24; it was resized.",
    ),
    Odd("mask of a square photo that is stored turned", turned_square, "inspect album", "its size cannot tell whether"),
    Odd(
        "mask of everything",
        lambda: write_mask(Path("album/masks/1.png"), MASK | True),
        "inspect album",
        "covers the whole photo",
    ),
    Odd(
        "mask of a few pixels",
        mask_of_array(np.eye(24, 40, dtype=np.uint8) * (np.arange(40) < 9)),
        "inspect album",
        "covers only 9 of 960",
    ),
    Odd(
        "mask as JPEG",
        lambda: (Path("album/masks/1.png").unlink(), write_mask(Path("album/masks/1.jpg"))),
        "inspect album",
        "1.jpg: a JPEG blurs the edges of a mask; what is brighter than half was taken.",
    ),
    Odd("soft mask", mask_of_array(MASK * 0.7, ".npy"), "inspect album", "a soft mask; values over 0.5 were taken"),
    Odd(
        "LabelMe of another size",
        lambda: (
            Path("album/masks/1.png").unlink(),
            write_labelme(Path("album/masks/1.json"), labelme_shape(), imageWidth=80),
        ),
        "inspect album",
        "says that the photo is 80x24, but it is 40x24",
    ),
    Odd(
        "the same photo twice",
        lambda: Path("album/images/2.png").write_bytes(Path("album/images/1.png").read_bytes()),
        f"{PERSONALIZE} --shots 3",
        "images/2.png is the same photo as images/1.png",
    ),
    Odd(
        "photo without a mask, no --shots",
        Path("album/masks/3.png").unlink,
        PERSONALIZE,
        "left out 3.png (no mask of this name)",
    ),
]
