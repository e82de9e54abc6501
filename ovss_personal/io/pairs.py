"""Which photo belongs to which mask, by name alone: nothing is decoded here."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ovss_personal.errors import ShotsError
from ovss_personal.io.annotations import read_json
from ovss_personal.io.coco import CocoPhoto, load_coco
from ovss_personal.io.files import list_files
from ovss_personal.io.images import IMAGE_SUFFIXES

__all__ = ["Pair", "Pairing", "find_pairs"]

_LAYOUTS = (
    "Put photos into images/ and masks of the same names into masks/, or side by side as 1.jpg and "
    "1_mask.png, or photos beside one COCO JSON."
)
_MASK_SUFFIXES = {".bmp", ".gif", ".pgm", ".png", ".tif", ".tiff"}  # beside a photo of the same stem
_DATA_SUFFIXES = {".json", ".npy"}


@dataclass(frozen=True)
class Pair:
    """A photo and where its mask is.

    Attributes:
        image: the photo.
        mask: picture, `.npy`, LabelMe JSON, or the COCO JSON of all photos.
        name: the photo's path from the folder of the shots, e.g. `images/3.jpg`.
        coco: what the COCO JSON says of the photo, if that is where its mask is.
    """

    image: Path
    mask: Path
    name: str
    coco: CocoPhoto | None = None


@dataclass(frozen=True)
class Pairing:
    """The pairs in a folder, sorted by name, and why each other photo or mask is in none."""

    pairs: tuple[Pair, ...]
    unpaired: Mapping[Path, str]


def find_pairs(source: str | Path, category: str | None = None) -> Pairing:
    """Photos and masks that belong together, in any of these layouts, tried in this order:

    * a COCO JSON named outright, its photos beside it or in `images/`;
    * a folder with `images/` and `masks/`;
    * a folder with each mask beside its photo: `1.jpg` with `1.png`, `1_mask.png`, `1.npy` or LabelMe's
      `1.json`;
    * a folder with exactly one COCO JSON.

    Names are compared without suffix and without regard to case. Hidden files, `Thumbs.db` and links that
    lead nowhere do not count.

    Args:
        source: the folder or COCO JSON.
        category: the name of the object's category in a COCO JSON that has several.

    Raises:
        ShotsError: no such folder, or nothing in it that could be a photo or a mask.
        MaskError: the COCO JSON is broken, or has no such category.
    """
    source = Path(source)
    if source.is_file():
        if source.suffix.lower() != ".json":
            raise ShotsError("expected a folder or a COCO JSON.", path=source, hint=_LAYOUTS)
        return _coco_pairs(source, category)
    if not source.is_dir():
        raise ShotsError("there is no such folder.", path=source, hint="Check the spelling.")
    files = list_files(source)
    folders = {entry.name.casefold(): entry for entry in sorted(source.iterdir()) if entry.is_dir()}
    if "images" in folders and "masks" in folders:
        pairing = _two_folders(source, folders["images"], folders["masks"])
    else:
        pairing = _side_by_side(source, files)
        if not pairing.pairs and (coco := _only_coco(source, files)):
            return _coco_pairs(coco, category)
    if not pairing.pairs and not pairing.unpaired:
        raise ShotsError("no photo and no mask found here.", path=source, hint=_LAYOUTS)
    return pairing


def _two_folders(source: Path, images: Path, masks: Path) -> Pairing:
    photos = [file for file in list_files(images) if file.suffix.lower() in IMAGE_SUFFIXES]
    stems = {_stem(photo) for photo in photos}
    drawn = [file for file in list_files(masks) if file.suffix.lower() in IMAGE_SUFFIXES | _DATA_SUFFIXES]
    return _match(source, _grouped(photos, set()), _grouped(drawn, stems))


def _side_by_side(source: Path, files: list[Path]) -> Pairing:
    pictures = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    stems = {_stem(picture) for picture in pictures}
    named_mask = [picture for picture in pictures if _stem(picture) != _photo_stem(picture, stems)]
    data = [file for file in files if file.suffix.lower() in _DATA_SUFFIXES]
    photos = _grouped([picture for picture in pictures if picture not in named_mask], set())
    masks = _grouped(named_mask + data, stems)
    for stem, group in photos.items():
        lossless = [picture for picture in group if picture.suffix.lower() in _MASK_SUFFIXES]
        if stem not in masks and len(group) == 2 and len(lossless) == 1:
            masks[stem] = lossless
            group.remove(lossless[0])
    return _match(source, photos, masks)


def _match(source: Path, photos: dict[str, list[Path]], masks: dict[str, list[Path]]) -> Pairing:
    """Pairs the groups of one stem that have one photo and one mask."""
    pairs, unpaired = [], {}
    for stem in sorted(photos.keys() | masks.keys()):
        of_photo, of_mask = photos.get(stem, []), masks.get(stem, [])
        if len(of_photo) == len(of_mask) == 1:
            image = of_photo[0]
            pairs.append(Pair(image, of_mask[0], image.relative_to(source).as_posix()))
            continue
        if not of_mask:
            reason = "no mask of this name"
        elif not of_photo:
            reason = "no photo of this name"
        else:
            kind = "photo" if len(of_photo) > 1 else "mask"
            reason = f"more than one {kind} of this name"
        unpaired.update(dict.fromkeys(of_photo + of_mask, reason))
    return Pairing(tuple(sorted(pairs, key=lambda pair: pair.name)), unpaired)


def _only_coco(source: Path, files: list[Path]) -> Path | None:
    jsons = [file for file in files if file.suffix.lower() == ".json"]
    cocos = [file for file in jsons if "images" in read_json(file)]
    if len(cocos) > 1:
        names = ", ".join(file.name for file in cocos)
        raise ShotsError(f"found several COCO files: {names}.", path=source, hint="Name one of them.")
    return cocos[0] if cocos else None


def _coco_pairs(path: Path, category: str | None) -> Pairing:
    folder = path.parent
    pairs: list[Pair] = []
    unpaired: dict[Path, str] = {}
    mentioned = set()
    for coco in load_coco(path, category):
        image = _photo_file(folder, coco.file_name)
        mentioned.add(image)
        if image is None:
            unpaired[folder / PurePosixPath(coco.file_name).name] = f"named in {path.name}, but not there"
        elif not coco.annotations:
            unpaired[image] = f"the object is not annotated in {path.name}"
        else:
            pairs.append(Pair(image, path, image.relative_to(folder).as_posix(), coco))
    for place in (folder, folder / "images"):
        for file in list_files(place) if place.is_dir() else []:
            if file.suffix.lower() in IMAGE_SUFFIXES and file not in mentioned:
                unpaired[file] = f"not named in {path.name}"
    return Pairing(tuple(sorted(pairs, key=lambda pair: pair.name)), unpaired)


def _photo_file(folder: Path, file_name: str) -> Path | None:
    """Where a COCO JSON's photo is, never outside `folder`, whatever folders of another machine it names."""
    relative = PurePosixPath(file_name)
    inside = not relative.is_absolute() and ".." not in relative.parts
    for name in (relative, relative.name) if inside else (relative.name,):
        for place in (folder, folder / "images"):
            if (place / name).is_file():
                return place / name
    return None


def _grouped(files: list[Path], photo_stems: set[str]) -> dict[str, list[Path]]:
    """Files by the stem of the photo that they are or belong to."""
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(_photo_stem(file, photo_stems), []).append(file)
    return groups


def _photo_stem(file: Path, photo_stems: set[str]) -> str:
    """`1` for `1_mask.png` if there is a `1`; the photo of a face mask may well be `face_mask.jpg`."""
    stem = _stem(file)
    shorter = stem.removesuffix("_mask")
    return shorter if shorter in photo_stems else stem


def _stem(file: Path) -> str:
    return unicodedata.normalize("NFC", file.stem).casefold()
