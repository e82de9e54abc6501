"""Which photo belongs to which mask, by names and annotation files: no photo is decoded here."""

from __future__ import annotations

import functools
import glob
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ovss_personal.errors import MaskError, OvssError, ShotsError
from ovss_personal.io.annotations import the_one_name
from ovss_personal.io.archives import OTHER_ARCHIVES, Unpacked, is_zip
from ovss_personal.io.files import glob_files, list_files
from ovss_personal.io.formats.class_pictures import LABEL_MAP
from ovss_personal.io.formats.table import ANNOTATION_SUFFIXES, COCO, AnnotationFile, look_at
from ovss_personal.io.images import IMAGE_SUFFIXES
from ovss_personal.io.listed import brush_pairs, brush_pictures, coco_names, listed_pairs
from ovss_personal.io.matching import Pair, Pairing, joined, look, side_by_side, two_folders
from ovss_personal.io.photo_names import MASK_FOLDERS, PHOTO_FOLDERS, SPLITS, folder_named

__all__ = ["Pair", "Pairing", "find_pairs", "named_after_zip"]

_LAYOUTS = (
    "Put photos into images/ and masks of the same names into masks/, or side by side as 1.jpg and "
    "1_mask.png, or photos beside one COCO JSON."
)
_CONCEPT_FILE = "adapter_config.json"
_BESIDE = {"annotations", "annotation", "ann", "labels"}  # where annotation files stand, beside a folder of photos
Options = ParamSpec("Options")
Result = TypeVar("Result")
_YAML = {".yaml", ".yml"}


def find_pairs(source: str | Path, category: str | None = None) -> Pairing:
    """Photos and masks that belong together, in any of these layouts, tried in this order:

    * a zip of one of the following, unpacked into a temporary folder that is removed when the pairs are;
    * one photo or a pattern of them: that of the photo's folder;
    * an annotation file named outright, its photos beside it or in a folder of photos beside it or its folder;
    * a folder with a folder of photos (`images`, `img`, `JPEGImages`, ...) and one of masks (`masks`, `labels`,
      `SegmentationClass`, ...);
    * a folder with each mask beside its photo: `1.jpg` with `1.png`, `1_mask.png`, `mask_1.png`, `1.npy`, or an
      annotation file `1.json` or `1.txt`;
    * a folder with exactly one annotation file that names its photos;
    * a folder of splits (`train`, `valid`, `test`), each one of the above.

    Which tool wrote an annotation file is told by what it holds (`io.formats.table`). Names are compared without
    suffix and without regard to case. Hidden files, `Thumbs.db` and links that lead nowhere do not count.

    Args:
        source: the folder or file.
        category: the name of the object's category where annotation files mark several.

    Raises:
        ShotsError: no such folder, or nothing in it that could be a photo or a mask.
        MaskError: an annotation file is broken, not read, or has no such category.
    """
    source = Path(source)
    if source.is_file():
        return _chosen(_of_file(source, category), category, source)
    if not source.is_dir():
        photos = set(glob_files(source)) if glob.has_magic(str(source)) else set()
        if not photos:
            raise ShotsError("there is no such folder.", path=source, hint="Check the spelling.")
        return _chosen(_only(photos, category), category, source)
    pairing = _of_folder(source, source, category)
    if not pairing.pairs and not pairing.unpaired:
        raise _nothing(source)
    return _chosen(pairing, category, source)


def named_after_zip(load: Callable[Concatenate[Pair, Options], Result]) -> Callable[Concatenate[Pair, Options], Result]:
    """Makes the errors of a function of a pair name the zip that the pair is from, not the temporary folder."""

    @functools.wraps(load)
    def named(pair: Pair, /, *args: Options.args, **options: Options.kwargs) -> Result:
        with _renamed(pair.kept) if isinstance(pair.kept, Unpacked) else nullcontext():
            return load(pair, *args, **options)

    return named


def _of_file(path: Path, category: str | None) -> Pairing:
    suffix = path.suffix.lower()
    if is_zip(path):
        return _of_zip(path, category)
    if suffix in OTHER_ARCHIVES:
        raise ShotsError(f"a {suffix} archive is not read.", path=path, hint="Unpack it, and name the folder.")
    if suffix in IMAGE_SUFFIXES:
        return _only({path}, category)
    if suffix in _YAML:
        return _of_folder(path.parent, path.parent, category)
    if suffix not in ANNOTATION_SUFFIXES:
        raise ShotsError("expected a folder, a zip or an annotation file.", path=path, hint=_LAYOUTS)
    root = path.parent.parent if path.parent.name.casefold() in _BESIDE else path.parent
    found = look_at(path, root)
    if found is None:
        raise MaskError("this is no annotation file of a format that is read.", path=path, hint="Export it as COCO.")
    if found.format.covers == "all":
        return listed_pairs(found, root, root, category)
    pairs = tuple(pair for pair in _of_folder(root, root, category).pairs if pair.mask == path)
    return Pairing(pairs, {} if pairs else {path: "no photo of this name"})


def _of_zip(path: Path, category: str | None) -> Pairing:
    unpacked = Unpacked(path)
    with _renamed(unpacked):
        pairing = _of_folder(unpacked.folder, unpacked.folder, category)
    if not pairing.pairs and not pairing.unpaired:
        raise _nothing(path)
    return Pairing(tuple(replace(pair, kept=unpacked) for pair in pairing.pairs), pairing.unpaired)


def _only(photos: set[Path], category: str | None) -> Pairing:
    """Those pairs of the photos' folder that are of these photos."""
    folder = min(photos).parent
    root = folder.parent if folder.name.casefold() in PHOTO_FOLDERS else folder
    pairing = _of_folder(root, root, category)
    unpaired = {path: reason for path, reason in pairing.unpaired.items() if path in photos}
    return Pairing(tuple(pair for pair in pairing.pairs if pair.image in photos), unpaired)


def _of_folder(folder: Path, root: Path, category: str | None) -> Pairing:
    files = list_files(folder)
    if any(file.name == _CONCEPT_FILE for file in files):
        raise ShotsError(
            "this is a concept that was learned, not photos of one.",
            path=folder,
            hint="Pass it as segment --concept; to learn from photos, name their folder.",
        )
    photo_folders, mask_folders = folder_named(folder, PHOTO_FOLDERS), folder_named(folder, MASK_FOLDERS)
    brushes = brush_pictures([*files, *(file for place in mask_folders for file in list_files(place))])
    found: list[Pairing] = []
    if not brushes and LABEL_MAP not in {file.name for file in files}:
        found += [two_folders(root, photos, masks) for photos in photo_folders[:1] for masks in mask_folders]
        found += [side_by_side(root, folder)]
        for pairing in found:
            if pairing.pairs:
                return pairing
    whole = _only_listing(folder, [files, *(list_files(place) for place in mask_folders)], root)
    if whole is not None:
        return listed_pairs(whole, folder, root, category)
    if brushes:
        return brush_pairs(root, brushes)
    splits = _splits(folder, root, category)
    return splits if splits.pairs else joined([splits, *found])


def _only_listing(folder: Path, places: list[list[Path]], root: Path) -> AnnotationFile | None:
    """The one file that speaks of all photos. Raises ShotsError if there are several, MaskError if none is read."""
    looked = [look(file, root) for files in places for file in files]
    known = [file for file in looked if file is not None]
    whole = [file for file in known if file.format.covers == "all"]
    read = [file for file in whole if file.format is COCO or file.readable]
    if len(read) > 1:
        kinds = sorted({file.format.name for file in read})
        names = ", ".join(file.path.name for file in read)
        raise ShotsError(
            f"found several {kinds[0] if len(kinds) == 1 else 'annotation'} files: {names}.",
            path=folder,
            hint="Name one of them.",
        )
    if read:
        return read[0]
    for file in known:
        if file.content is None:
            look_at(file.path, root)  # raises what is wrong with it
        if file.format.instead:
            file.photos()  # raises that it is not read
    return None


def _splits(folder: Path, root: Path, category: str | None) -> Pairing:
    """What the splits of a data set hold together; of Supervisely's project, its data sets."""
    names: tuple[str, ...] = SPLITS
    if (folder / "meta.json").is_file():
        names += tuple(sub.name.casefold() for sub in folder.iterdir() if (sub / "ann").is_dir())
    folders = folder_named(folder, tuple(dict.fromkeys(names)))
    cocos: dict[Path, set[str]] = {}
    for split in folders:
        listing = _only_listing(split, [list_files(split)], root) if not folder_named(split, MASK_FOLDERS) else None
        if listing is not None and listing.format is COCO:
            cocos[split] = coco_names(listing.path)
    if cocos:
        category = the_one_name(set().union(*cocos.values()), category, folder)
    wanted = [split for split in folders if split not in cocos or category in cocos[split]]
    return joined([_of_folder(split, root, category) for split in wanted])


def _chosen(pairing: Pairing, category: str | None, source: Path) -> Pairing:
    """The pairing with the marks of one category only; photos that have none of it are left out."""
    marked = [pair.marked for pair in pairing.pairs if pair.marked is not None]
    names = {mark.category for photo in marked for mark in photo.marks}
    wanted = the_one_name(names, category, source) if names or (marked and category is not None) else None
    pairs, unpaired = [], dict(pairing.unpaired)
    for pair in pairing.pairs:
        if pair.marked is None:
            pairs.append(pair)
        elif wanted is not None and (of := pair.marked.of(wanted)).marks:
            pairs.append(replace(pair, marked=of))
        else:
            unpaired[pair.image] = f"the object is not annotated in {pair.mask.name}"
    return Pairing(tuple(pairs), unpaired)


def _nothing(path: Path) -> ShotsError:
    return ShotsError("no photo and no mask found here.", path=path, hint=_LAYOUTS)


@contextmanager
def _renamed(unpacked: Unpacked) -> Iterator[None]:
    try:
        yield
    except OvssError as error:
        if error.path is not None:
            error.path = error.path.replace(str(unpacked.place), str(unpacked.path.parent))
        raise
