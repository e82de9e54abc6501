"""A folder in which every command succeeds, and all the ways in which one thing in it can be bad."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from corpus import (
    BROKEN_PICTURES,
    MASK,
    PHOTO,
    coco_annotation,
    coco_image,
    labelme_shape,
    write_array,
    write_broken,
    write_coco,
    write_labelme,
    write_mask,
    write_photo,
)

PERSONALIZE = "personalize --concept 'my mug' --images album --out learned --iterations 1"
SEGMENT = "segment photo.png --concept mug --out out --no-cache"
MODEL, CONFIG = Path("mug/adapter_model.safetensors"), Path("mug/adapter_config.json")


class Bad(NamedTuple):
    """One bad input.

    Attributes:
        what: a few words on it.
        make: spoils the sound folder, which is the working one.
        command: what the user types after `ovss-personal`.
        code: the exit code.
        says: the fact that the error names, beside the file where there is one.
    """

    what: str
    make: Callable[[], object]
    command: str
    code: int
    says: str


def make_sound_folder() -> None:
    """`album/` of three shots and `photo.png`; a concept learned from them belongs into `mug/`."""
    for number in (1, 2, 3):
        write_photo(Path(f"album/images/{number}.png"), np.roll(PHOTO, number, axis=2))
        write_mask(Path(f"album/masks/{number}.png"))
    write_photo(Path("photo.png"))


def mask_of_array(values: Any, suffix: str = ".png") -> Callable[[], object]:
    return lambda: (Path("album/masks/1.png").unlink(), write_array(Path(f"album/masks/1{suffix}"), values))


def mask_of_labelme(*shapes: dict[str, Any]) -> Callable[[], object]:
    return lambda: (Path("album/masks/1.png").unlink(), write_labelme(Path("album/masks/1.json"), *shapes))


def coco(*annotations: dict[str, Any], **changes: Any) -> Callable[[], object]:
    """`coco/coco.json` beside the photo `coco/1.jpg`."""
    return lambda: (write_photo(Path("coco/1.jpg")), write_coco(Path("coco/coco.json"), *annotations, **changes))


def config(**changes: Any) -> Callable[[], object]:
    """The concept's JSON with other values; None leaves a key out."""

    def make() -> None:
        content = {**json.loads(CONFIG.read_text()), **changes}
        CONFIG.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return make


def tensors(**changes: Any) -> Callable[[], object]:
    """The concept's tensors with others added or put in their place; None leaves one out."""

    def make() -> None:
        from safetensors.numpy import load_file, save_file

        content = {**load_file(MODEL), **changes}
        save_file({name: value for name, value in content.items() if value is not None}, MODEL)

    return make


def write(path: str, text: str) -> Callable[[], object]:
    return lambda: Path(path).write_text(text)


def nothing() -> None:
    """What is bad is the command."""


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
        ("of several labels", mask_of_array(several), "the mask holds several labels: 1, 2"),
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


def adapters() -> Iterator[Bad]:
    def truncate() -> None:
        MODEL.write_bytes(MODEL.read_bytes()[:-100])

    rows: list[tuple[str, Callable[[], object], str]] = [
        ("truncated", truncate, f"{MODEL}: is truncated or no safetensors file"),
        ("of 0 bytes", lambda: MODEL.write_bytes(b""), f"{MODEL}: is truncated or no safetensors file"),
        ("a pickle renamed", lambda: MODEL.write_bytes(pickle.dumps({"text": 1})), f"{MODEL}: is truncated or no"),
        ("without its tensors", MODEL.unlink, "mug: no adapter_model.safetensors here"),
        ("without its JSON", CONFIG.unlink, "mug: no adapter_config.json here"),
        ("with a broken JSON", lambda: CONFIG.write_text("{"), f"{CONFIG}: cannot be read"),
        (
            "of a newer format",
            config(format_version=2),
            f"{CONFIG}: 'format_version' is 2, but this version reads up to 1",
        ),
        ("of another library", config(library="peft"), f"{CONFIG}: 'library' is not 'ovss_personal'"),
        ("of another base", config(base_fingerprint="0" * 64, base="san"), "base_fingerprint 000000000000"),
        ("of other N", config(num_proposals=99), "'num_proposals' and 'dim' of adapter_config.json say (99,)"),
        ("of other D", config(dim=640), "'num_proposals' and 'dim' of adapter_config.json say (640,)"),
        ("with a missing key", config(alpha=None), f"{CONFIG}: a field is missing or of the wrong type ('alpha')"),
        ("with an extra tensor", tensors(more=np.zeros(3, np.float32)), f"{MODEL}: has missing or extra tensors: more"),
        ("with a missing tensor", tensors(visual=None), f"{MODEL}: has missing or extra tensors: visual"),
        ("with NaN", tensors(mask_bias=np.array(np.nan, np.float32)), f"{MODEL}: 'mask_bias' holds NaN"),
    ]
    for what, make, says in rows:
        yield Bad(f"concept {what}", make, SEGMENT, 4, says)
    yield Bad(
        "no such concept", nothing, SEGMENT.replace("mug", "my/own/hat"), 4, "my/own/hat: there is no such folder"
    )
    yield Bad("concepts show of no concept", nothing, "concepts show album", 4, "album: no adapter_config.json here")


def words() -> Iterator[Bad]:
    named = "personalize --images album --out learned --iterations 1 --concept"
    rows = [
        ("concept empty", f"{named} ' '", 3, "the concept's name is empty"),
        ("concept with a line break", f"{named} 'my\nmug'", 3, "the concept's name must be one line"),
        ("concept of 400 characters", f"{named} {'a' * 400}", 3, "one line of at most 300 characters"),
        ("class name of 299 tokens", f"{named} mug --class-name {'?' * 299}", 3, "has more than 256 tokens"),
        ("concept that equals a word", f"{SEGMENT} --words 'tree, my mug'", 3, "'my mug' has the same name as a word"),
        ("concept that equals the base's own word", f"{SEGMENT} --as other", 3, "'other' has the same name as a word"),
        ("two concepts of one name", f"{SEGMENT} --concept mug", 3, "'my mug' has the same name as another concept"),
        ("one --as for two concepts", f"{SEGMENT} --concept mug --as a", 2, "--as is given 1 times and --concept 2"),
        ("an empty word", f"{SEGMENT} --words tree,,grass", 3, "a word is empty"),
        ("no such file of words", f"{SEGMENT} --words words.txt", 3, "words.txt: cannot be read"),
        ("neither words nor concepts", "segment photo.png --out out", 2, "there is nothing to look for"),
    ]
    for what, command, code, says in rows:
        yield Bad(what, nothing, command, code, says)


def outputs() -> Iterator[Bad]:
    yield Bad(
        "the concept's folder exists",
        lambda: Path("learned").mkdir(),
        PERSONALIZE,
        3,
        "learned: the output folder exists",
    )
    yield Bad(
        "--overwrite of a folder that is no concept's",
        lambda: write_photo(Path("learned/holiday.png")),
        f"{PERSONALIZE} --overwrite",
        3,
        "learned: the folder holds other files",
    )
    yield Bad(
        "the pictures' folder exists", lambda: write_photo(Path("out/a.png")), SEGMENT, 3, "out: the output exists"
    )
    yield Bad(
        "the sheet exists", lambda: write_photo(Path("sheet.png")), "inspect album", 3, "sheet.png: the output exists"
    )
    yield Bad("a file where the folder should be", lambda: Path("out").touch(), f"{SEGMENT} --overwrite", 3, "out")
    yield Bad(
        "a file where a parent should be",
        lambda: Path("there").touch(),
        PERSONALIZE.replace("learned", "there/learned"),
        3,
        "there/learned: cannot be written",
    )


def settings() -> Iterator[Bad]:
    yaml = f"{PERSONALIZE} --base my.yaml"
    rows: list[tuple[str, Callable[[], object], str, int, str]] = [
        (
            "a device that is not there",
            nothing,
            f"{SEGMENT} --device cuda:99",
            2,
            "the device 'cuda:99' is not on this machine",
        ),
        ("no device at all", nothing, f"{SEGMENT} --device gpu", 2, "'gpu' is not a device"),
        ("an unknown base", nothing, f"{SEGMENT} --base embeded", 2, "there is no base 'embeded'"),
        (
            "a base that cannot be imported",
            write("my.yaml", "base: no.such.Base\n"),
            yaml,
            2,
            "'no.such.Base' cannot be imported",
        ),
        ("no such YAML", nothing, yaml, 3, "my.yaml: no such configuration file"),
        ("an unknown setting", write("my.yaml", "alpa: 0.1\n"), yaml, 3, "my.yaml: line 1: 'alpa' is not a setting"),
        (
            "a setting of the wrong type",
            write("my.yaml", "tiles: many\n"),
            yaml,
            3,
            "my.yaml: line 1: tiles must be a whole number",
        ),
        (
            "weights that are not there",
            write("my.yaml", "weights: nowhere\n"),
            yaml,
            4,
            "nowhere/decoder.safetensors: cannot be read",
        ),
        ("a setting out of range", nothing, f"{PERSONALIZE} --alpha 2", 3, "alpha must be in [0, 1], not 2.0"),
        ("an unknown option", nothing, f"{PERSONALIZE} --shot 5", 2, "No such option"),
        ("an unknown demo album", nothing, "demo --album my_hat --out out", 2, "there is no demo album 'my_hat'"),
        ("no such manifest", nothing, "evaluate nowhere.json", 3, "nowhere.json: is no manifest"),
        ("a manifest that is none", write("m.json", "{}"), "evaluate m.json", 3, "m.json: is no manifest"),
        (
            "no cut-outs",
            nothing,
            "benchmark build stamps --out out --stamps album",
            2,
            "album: no 'tuxpaint/stamps' folder",
        ),
    ]
    for row in rows:
        yield Bad(*row)


BAD = [*images(), *masks(), *annotations(), *shots(), *adapters(), *words(), *outputs(), *settings()]


class Odd(NamedTuple):
    """An input that is used all the same, with a warning."""

    what: str
    make: Callable[[], object]
    command: str
    says: str


def turned_square() -> None:
    write_photo(Path("album/images/1.png"), PHOTO[:, :24], orientation=6)
    write_mask(Path("album/masks/1.png"), MASK[:, :24])


ODD = [
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
        "1.jpg: a JPEG blurs the edges of a mask; brighter than 127 was taken.",
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
    Odd(
        "words twice",
        nothing,
        f"{SEGMENT} --words tree,grass,tree",
        "the word 'tree' is given twice; the second is dropped",
    ),
    Odd(
        "concept with an unknown key",
        config(colour="red"),
        SEGMENT,
        "has keys that this version does not know, left out: colour",
    ),
]
