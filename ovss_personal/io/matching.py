"""Photos and masks that belong together by their names: in two folders, or side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ovss_personal.errors import MaskError
from ovss_personal.io.coco import CocoPhoto
from ovss_personal.io.files import list_files
from ovss_personal.io.formats.marks import MarkedPhoto
from ovss_personal.io.formats.table import ANNOTATION_SUFFIXES, LABELME, AnnotationFile, look_at
from ovss_personal.io.images import IMAGE_SUFFIXES
from ovss_personal.io.photo_names import SPLITS, folder_named, photo_stem, stem_of

__all__ = ["NOT_READ", "Pair", "Pairing", "joined", "look", "side_by_side", "two_folders"]

NOT_READ = "is not read as a mask"

_MASK_SUFFIXES = {".bmp", ".gif", ".pgm", ".png", ".tif", ".tiff"}  # beside a photo of the same stem
_ARRAY_SUFFIXES = {".npy", ".npz"}


@dataclass(frozen=True)
class Pair:
    """A photo and where its mask is.

    Attributes:
        image: the photo.
        mask: picture, `.npy`, `.npz`, or annotation file.
        name: the photo's path from the folder of the shots, e.g. `images/3.jpg`.
        coco: what the COCO JSON says of the photo, if that is where its mask is.
        marked: what any other annotation file but LabelMe's says of it, likewise.
        kept: what keeps the files there as long as the pair is, if they are unpacked from a zip.
    """

    image: Path
    mask: Path
    name: str
    coco: CocoPhoto | None = None
    marked: MarkedPhoto | None = None
    kept: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Pairing:
    """The pairs in a folder, sorted by name, and why each other photo or mask is in none."""

    pairs: tuple[Pair, ...]
    unpaired: Mapping[Path, str]


def joined(pairings: Sequence[Pairing]) -> Pairing:
    """All pairs of several pairings as one."""
    pairs = sorted((pair for pairing in pairings for pair in pairing.pairs), key=lambda pair: pair.name)
    unpaired: dict[Path, str] = {}
    for pairing in pairings:
        unpaired.update(pairing.unpaired)
    return Pairing(tuple(pairs), unpaired)


def two_folders(root: Path, photos: Path, masks: Path) -> Pairing:
    """Photos in one folder and masks in another; or both in subfolders of the same names, as `train` and `val`."""
    pairings = [_two_folders(root, photos, masks)]
    subfolders = {folder.name.casefold(): folder for folder in folder_named(masks, (*SPLITS, "default"))}
    for folder in folder_named(photos, tuple(subfolders)):
        pairings.append(_two_folders(root, folder, subfolders[folder.name.casefold()]))
    return joined(pairings)


def _two_folders(root: Path, photos: Path, masks: Path) -> Pairing:
    pictures = [file for file in list_files(photos) if file.suffix.lower() in IMAGE_SUFFIXES]
    stems = {stem_of(picture) for picture in pictures}
    drawn = [file for file in list_files(masks) if file.suffix.lower() in IMAGE_SUFFIXES]
    looked = _Looked(root, list_files(masks), stems)
    return _match(root, _grouped(pictures, set()), _grouped(drawn + looked.masks, stems), looked)


def side_by_side(root: Path, folder: Path) -> Pairing:
    """Masks beside their photos."""
    files = list_files(folder)
    pictures = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    stems = {stem_of(picture) for picture in pictures}
    named_mask = [picture for picture in pictures if stem_of(picture) != photo_stem(picture, stems)]
    looked = _Looked(root, files, stems)
    photos = _grouped([picture for picture in pictures if picture not in named_mask], set())
    masks = _grouped(named_mask + looked.masks, stems)
    for stem, group in photos.items():
        lossless = [picture for picture in group if picture.suffix.lower() in _MASK_SUFFIXES]
        if stem not in masks and len(group) == 2 and len(lossless) == 1:
            masks[stem] = lossless
            group.remove(lossless[0])
    return _match(root, photos, masks, looked)


def look(path: Path, root: Path) -> AnnotationFile | None:
    """As `look_at`, but a broken file is taken for LabelMe's, whose reader tells what is wrong when it is wanted."""
    try:
        return look_at(path, root)
    except MaskError:
        return AnnotationFile(path, LABELME, None, root)


class _Looked:
    """The files of a folder that are no pictures.

    Attributes:
        masks: arrays and annotation files that may belong to one photo each.
        marks: of those of `masks` that are read by `io.formats`, what they say.
        others: by the stem of the photo, a file of its name that is not read.
    """

    def __init__(self, root: Path, files: Sequence[Path], photo_stems: set[str]):
        self.masks: list[Path] = []
        self.marks: dict[Path, AnnotationFile] = {}
        self.others: dict[str, str] = {}
        for file in files:
            suffix, stem = file.suffix.lower(), photo_stem(file, photo_stems)
            if suffix in _ARRAY_SUFFIXES:
                self.masks.append(file)
            elif suffix not in ANNOTATION_SUFFIXES and suffix not in IMAGE_SUFFIXES:
                self.others[stem] = f"{file.name} {NOT_READ}"
            elif suffix in ANNOTATION_SUFFIXES:
                self._sort(file, stem, look(file, root), known=stem in photo_stems)

    def _sort(self, file: Path, stem: str, found: AnnotationFile | None, known: bool) -> None:
        if found is not None and found.format.covers == "one":
            if found.format is LABELME:
                self.masks.append(file)
            elif found.readable and (known or found.content):  # an empty text is YOLO's only beside a photo
                self.masks.append(file)
                self.marks[file] = found
            elif not found.readable:
                self.others[stem] = f"{file.name} is {found.format.name}, which is not read"
        elif file.suffix.lower() == ".json" and not known:
            self.masks.append(file)
        elif found is None:
            self.others[stem] = f"{file.name} {NOT_READ}"


def _match(root: Path, photos: dict[str, list[Path]], masks: dict[str, list[Path]], looked: _Looked) -> Pairing:
    """Pairs the groups of one stem that have one photo and one mask."""
    pairs, unpaired = [], {}
    for stem in sorted(photos.keys() | masks.keys()):
        of_photo, of_mask = photos.get(stem, []), masks.get(stem, [])
        if len(of_photo) == len(of_mask) == 1:
            [image], [mask] = of_photo, of_mask
            marked = looked.marks[mask].photos()[0] if mask in looked.marks else None
            pairs.append(Pair(image, mask, image.relative_to(root).as_posix(), marked=marked))
            continue
        if not of_mask:
            reason = "no mask of this name" + (f"; {looked.others[stem]}" if stem in looked.others else "")
        elif not of_photo:
            reason = "no photo of this name"
        else:
            kind = "photo" if len(of_photo) > 1 else "mask"
            reason = f"more than one {kind} of this name"
        unpaired.update(dict.fromkeys(of_photo + of_mask, reason))
    return Pairing(tuple(sorted(pairs, key=lambda pair: pair.name)), unpaired)


def _grouped(files: list[Path], photo_stems: set[str]) -> dict[str, list[Path]]:
    """Files by the stem of the photo that they are or belong to."""
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(photo_stem(file, photo_stems), []).append(file)
    return groups
