"""Raw data sets in miniature: the names, modes and encodings of the real ones, a few tiny pictures of each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ovss_personal.benchmarks.ade import words as ade_words
from ovss_personal.benchmarks.choice import class_lines

CUB_SPECIES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")
CUB_PHOTOS = 8  # of each


def noise(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """(H, W, 3) uint8 that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_fss(root: Path) -> Path:
    """`fewshot_data/fewshot_data/<class>/<n>.jpg|png`, masks of three equal channels; returns `root`.

    Like the real one, it has a stray file (banana_boat/1.jpeg) and a mask of its own size (rocking_chair/9.png).
    """
    mask = np.zeros((24, 32, 3), np.uint8)
    mask[6:18, 8:24] = 255
    names = [name for line in class_lines("fss_per") for name in line.split()]
    for index, name in enumerate(names):
        for number in range(1, 11):
            stem = root / "fewshot_data" / "fewshot_data" / name / str(number)
            save(stem.with_suffix(".jpg"), noise(100 * index + number))
            save(stem.with_suffix(".png"), mask)
    home = root / "fewshot_data" / "fewshot_data"
    save(home / "banana_boat" / "1.jpeg", noise(1))
    save(home / "rocking_chair" / "9.png", mask.repeat(3, axis=0).repeat(2, axis=1))
    return root


def write_cub(root: Path, segmentations: str = "segmentations") -> Path:
    """`CUB_200_2011` below `root` and `segmentations` beside it; the first photo of all is grey. Returns `root`.

    Annotations are counts of five annotators: 255 in the middle, 153 and 102 on its sides, 0 elsewhere.
    """
    home = root / "CUB_200_2011"
    votes = np.zeros((24, 32), np.uint8)
    votes[6:18, 8:24] = (*[102] * 4, *[255] * 8, *[153] * 4)
    tables: dict[str, list[str]] = {"classes.txt": [], "images.txt": [], "image_class_labels.txt": []}
    for label, species in enumerate(CUB_SPECIES, start=1):
        tables["classes.txt"].append(f"{label} {species}")
        for number in range(1, CUB_PHOTOS + 1):
            index = len(tables["images.txt"]) + 1
            name = f"{species}/{species[4:]}_{number:04d}_{796000 + index}"
            tables["images.txt"].append(f"{index} {name}.jpg")
            tables["image_class_labels.txt"].append(f"{index} {label}")
            pixels = noise(index)
            save(home / "images" / f"{name}.jpg", pixels[..., 0] if index == 1 else pixels)
            save(root / segmentations / f"{name}.png", votes)
    for file, lines in tables.items():
        (home / file).write_text("\n".join(lines) + "\n")
    return root


def ade_labels(number: int) -> np.ndarray:
    """(40, 48) uint16: the even photos hold the first 15 of the 30 classes, the odd ones the others; a wall, a void.

    Each has a square of 8 x 8 pixels.
    """
    labels = np.zeros((40, 48), np.uint16)
    labels[32:] = 65535
    for cell, name in enumerate(class_lines("ade_per")[15 * (number % 2) :][:15]):
        row, column = 8 * (cell // 5), 8 * (cell % 5)
        labels[row : row + 8, column : column + 8] = ade_words().index(name)
    return labels


def write_ade(root: Path, *, prepared: bool = True) -> Path:
    """`ADE20K_2021_17_01` below `root`, as unpacked or as MaskFormer's script prepares it; returns `root`.

    Ten training photos, so five of each class; six to validate, three with a class and three without.
    """
    home = root / "ADE20K_2021_17_01"
    numbers = [int(line.partition("\t")[0]) for line in class_lines("ade20k_847")]
    for split, short, count in (("training", "train", 10), ("validation", "val", 6)):
        for number in range(count):
            name = f"ADE_{short}_{number + 1:08d}"
            pixels, labels = noise(1000 * len(split) + number, 40, 48), ade_labels(number)
            if prepared:
                save(home / "images_detectron2" / split / f"{name}.jpg", pixels)
                save(home / "annotations_detectron2" / split / f"{name}.tif", labels)
                continue
            folder = home / "images" / "ADE" / split / "urban" / "street"
            save(folder / f"{name}.jpg", pixels)
            # 17 is a class of ADE20K that is none of the 847, and so void.
            own = np.where(labels == 65535, 17, np.array(numbers)[labels % 847])
            save(
                folder / f"{name}_seg.png", np.stack([own // 256 * 10 + 3, own % 256, 0 * own + 9], 2).astype(np.uint8)
            )
    return root


DAVIS_FRAMES = {"cows": 20, "dog": 8, "libby": 3, "car-turn": 10}  # of each sequence; libby is a dog too


def write_davis(root: Path, layout: str) -> Path:
    """Four sequences as DAVIS `2016`, `2017` or `plain` folders have them; returns `root`.

    The thing is a bar that moves down a row a frame; in 2017 its right half is a second object.
    """
    photos, masks = (root, root) if layout == "plain" else (root / "JPEGImages" / "480p", root / "Annotations" / "480p")
    lines = []
    for seed, (name, count) in enumerate(DAVIS_FRAMES.items()):
        for frame in range(count):
            save(photos / name / f"{frame:05d}.jpg", noise(1000 * seed + frame))
            labels = np.zeros((24, 32), np.uint8)
            labels[frame : frame + 4, 4:16], labels[frame : frame + 4, 16:28] = 1, 2
            picture = Image.fromarray(np.where(labels, 255, 0).astype(np.uint8) if layout != "2017" else labels)
            if layout == "2017":
                picture = picture.convert("P")
                picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
                picture.putdata(labels.ravel().tolist())
            path = masks / name / f"{frame:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            lines.append(f"/JPEGImages/480p/{name}/{frame:05d}.jpg /Annotations/480p/{name}/{frame:05d}.png ")
    if layout != "plain":
        listed = root / "ImageSets" / ("480p" if layout == "2016" else "2017") / "val.txt"
        listed.parent.mkdir(parents=True)
        listed.write_text("\n".join(lines if layout == "2016" else DAVIS_FRAMES) + "\n")
    return root


def write_coco(root: Path) -> Path:
    """`annotations/instances_val2017.json` and `val2017/`: two photos of 32 x 24, and one in which nothing is marked.

    The first has a cat (polygon), a dog beside it (compressed run lengths) and a crowd of dogs (plain run lengths).
    """
    for number in range(3):
        save(root / "val2017" / f"{number:012d}.jpg", noise(number))
    crowd = {"size": [24, 32], "counts": [24 * 30, 24 * 2]}  # the last two columns
    dog = {"size": [24, 32], "counts": "P<P3P9"}  # columns 16 to 19
    content = {
        "images": [{"id": n, "file_name": f"{n:012d}.jpg", "height": 24, "width": 32} for n in range(3)],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
        "annotations": [
            annotation(1, 0, 17, [[4, 4, 12, 4, 12, 12, 4, 12]]),
            annotation(2, 0, 18, dog),
            annotation(3, 0, 18, crowd, iscrowd=1),
            annotation(4, 1, 18, [[0, 0, 8, 0, 8, 8], [20, 20, 24, 20, 24, 24]]),
            annotation(5, 1, 17, [[4, 4, 4, 4, 4, 4]]),  # no pixel
        ],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return root


def annotation(number: int, image: int, category: int, segmentation: object, **more: int) -> dict[str, object]:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **more}


def write_yolo(root: Path, inside: str = "train2017") -> Path:
    """`images/train2017/` and `labels/train2017/` of coco128-seg: a cat; a dog and a person; a photo alone."""
    lines = {
        0: "15 0.125 0.125 0.375 0.125 0.375 0.5 0.125 0.5",
        1: "16 0 0 1 0 1 0.5 0 0.5\n\n0 0.5 0.5 0.75 0.5 0.75 1",
    }
    for number in range(3):
        save(root / "images" / inside / f"{number:012d}.jpg", noise(number))
    (root / "labels" / inside).mkdir(parents=True)
    for number, text in lines.items():
        (root / "labels" / inside / f"{number:012d}.txt").write_text(text + "\n")
    return root


def write_objects(root: Path) -> Path:
    """`learn/` with three photos of a cat and of a toy duck, and two of another cat; `look_alikes/` of two kinds."""
    mask = np.zeros((24, 32), np.uint8)
    mask[4:20, 8:24] = 255
    for seed, (name, count) in enumerate({"cat": 3, "duck_toy": 3, "black_cat": 2}.items()):
        for number in range(count):
            save(root / "learn" / f"{name}_{number:02d}.jpg", noise(100 * seed + number))
            save(root / "learn" / f"{name}_{number:02d}.png", mask)
    for seed, name in enumerate(("cat2", "robot_toy")):
        for number in range(2):
            save(root / "look_alikes" / name / f"{number:02d}.jpg", noise(1000 + 100 * seed + number))
    return root
