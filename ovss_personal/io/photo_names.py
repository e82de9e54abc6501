"""Which file is the photo that an annotation file names, and which photo a mask's name belongs to."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from ovss_personal.errors import InputError
from ovss_personal.io.files import list_files
from ovss_personal.io.images import IMAGE_SUFFIXES

__all__ = ["MASK_FOLDERS", "PHOTO_FOLDERS", "SPLITS", "PhotoIndex", "folder_named", "photo_stem", "stem_of"]

PHOTO_FOLDERS = ("images", "image", "imgs", "img", "photos", "jpegimages")
MASK_FOLDERS = (
    *("masks", "mask", "segmentationclasspng", "segmentationclass", "segmentations", "segmentation"),
    *("labels", "label", "gt", "ground_truth", "groundtruth", "annotations", "ann", "segmentationobject"),
)
SPLITS = ("train", "valid", "val", "validation", "test", "obj_train_data")

_AFFIX = "mask|masks|seg|segm|segmentation|label|labels|gt|matte"
_MASK_SUFFIX = re.compile(rf"(.+)[_\-. ](?:{_AFFIX})")
_MASK_PREFIX = re.compile(rf"(?:{_AFFIX})[_\-. ](.+)")
_UPLOAD = re.compile(r"(?:^|/)upload/(?:\d+/)?[0-9a-f]{1,8}-([^/]+)$")  # Label Studio's copy of a photo
_HASHED = re.compile(r"(?:^|/)[0-9a-f]{8}-([^/]+)$")


class PhotoIndex:
    """The photos in a folder and its usual subfolders, by the names that annotation files give them.

    Args:
        root: the folder; nothing outside it is ever found.
    """

    def __init__(self, root: Path):
        self._listed: dict[Path, dict[str, list[Path]]] = {}
        subfolders = _subfolders(root)
        photos = [folder for folder in subfolders if folder.name.casefold() in PHOTO_FOLDERS]
        splits = [folder for folder in subfolders if folder.name.casefold() in SPLITS]
        self.places = [root, *photos]
        self._subsets = [*(sub for folder in photos for sub in _subfolders(folder)), *splits]
        for split in splits:
            self._subsets += [sub for sub in _subfolders(split) if sub.name.casefold() in PHOTO_FOLDERS]

    def find(self, name: str) -> Path | None:
        """The file that a name, a path of any machine or an address means; None if there is none, or are several.

        Tried as it is, then with %20 and the like decoded, then by its last part.
        """
        for readings in _readings(name):
            names = [PurePosixPath(text) for text in readings if PurePosixPath(text).name]
            for relative in names:
                if relative.is_absolute() or ".." in relative.parts:
                    continue
                for place in self.places:
                    if found := self._exact(place / relative.parent, relative.name):
                        return found
            for relative in names:
                for place in self.places:
                    if found := self._exact(place, relative.name):
                        return found
                several = [found for place in self._subsets if (found := self._exact(place, relative.name))]
                if several:
                    return several[0] if len(several) == 1 else None
        return None

    def find_stem(self, stem: str) -> Path | None:
        """The only photo of that name without its suffix."""
        wanted = _folded(stem)
        found = {path for place in self._everywhere() for path in self._files(place).get(wanted, [])}
        return found.pop() if len(found) == 1 else None

    def photos(self) -> list[Path]:
        """All that are there, sorted."""
        return sorted(
            {
                path
                for place in self._everywhere()
                for paths in self._files(place).values()
                for path in paths
                if path.suffix.lower() in IMAGE_SUFFIXES
            }
        )

    def _everywhere(self) -> list[Path]:
        return [*self.places, *self._subsets]

    def _exact(self, folder: Path, name: str) -> Path | None:
        """The file of that name, in the same case if there is one."""
        same = self._files(folder).get(_folded(name), [])
        return next((path for path in same if path.name == name), same[0] if len(same) == 1 else None)

    def _files(self, folder: Path) -> dict[str, list[Path]]:
        """The files of a folder by name, and photos by stem as well."""
        if folder not in self._listed:
            listed: dict[str, list[Path]] = {}
            try:
                files = list_files(folder)
            except (InputError, OSError, ValueError):  # such a folder cannot even be named
                files = []
            for path in files:
                listed.setdefault(_folded(path.name), []).append(path)
            for path in files:
                if path.suffix.lower() in IMAGE_SUFFIXES and (stem := _folded(path.stem)) not in listed:
                    listed[stem] = [other for other in files if _folded(other.stem) == stem]
            self._listed[folder] = listed
        return self._listed[folder]


def stem_of(file: Path) -> str:
    """A file's name without suffix, as names are compared: in one spelling of umlauts, without regard to case."""
    return _folded(file.stem)


def photo_stem(file: Path, photo_stems: set[str]) -> str:
    """`1` for `1_mask.png`, `mask_1.png` or `1.jpg.png` if there is a `1`; else the file's own stem."""
    stem = stem_of(file)
    if PurePosixPath(stem).suffix in IMAGE_SUFFIXES and PurePosixPath(stem).stem in photo_stems:
        return PurePosixPath(stem).stem
    for pattern in (_MASK_SUFFIX, _MASK_PREFIX):
        match = pattern.fullmatch(stem)
        if match and match[1] in photo_stems:
            return match[1]
    return stem


def folder_named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Those of a folder's subfolders that are called so, in the order of the names."""
    found = {sub.name.casefold(): sub for sub in _subfolders(folder)}
    return [found[name] for name in names if name in found]


def _readings(name: str) -> Iterator[list[str]]:
    """What a name may mean, the most literal first; last of all without what Label Studio puts before it."""
    plain = name.replace("\\", "/")
    readings = [plain, unquote(plain)]
    with contextlib.suppress(ValueError):  # no address
        address = urlsplit(plain)
        readings += [unquote(address.path)] if address.scheme or address.query else []
        readings += parse_qs(address.query).get("d", [])  # Label Studio's local files
    readings = list(dict.fromkeys(readings))
    yield readings
    yield [match[1] for pattern in (_UPLOAD, _HASHED) for text in readings if (match := pattern.search(text))]


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
