"""FSS^per: 30 classes of FSS-1000 in 15 pairs of look-alikes; the negatives of one are the positives of the other."""

from __future__ import annotations

import warnings
from pathlib import Path

from tqdm import tqdm

from ovss_personal.benchmarks.choice import (
    absent,
    class_lines,
    drawn,
    listed,
    name_key,
    raw_item,
    raw_path,
    rng_of,
    shots_and_tests,
)
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.benchmarks.pictures import read_mask, save_mask
from ovss_personal.errors import InputError, OvssWarning
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import load_image
from ovss_personal.io.mask_checks import nearest
from ovss_personal.io.vocabulary import named_words

PHOTOS = 10  # of every class
_INSIDE = ("", "fewshot_data", "fewshot_data/fewshot_data")


def build(root: Path, out: Path, seed: int = 0, tests: int | None = None) -> Path:
    """Write the manifest below `out`; returns its path. Same seed, same bytes. Warns of masks that do not fit.

    Args:
        root: what the archive unpacks to, or the folder of the class folders in it.
        out: where the manifest goes, and masks that had to be stretched.
        seed: decides which five photos of a class are the shots; the other five are the tests.
        tests: test photos with the object, and as many without, at most.

    Raises:
        InputError: `root` is not FSS-1000, or a part of it is missing or broken.
    """
    pairs = [line.split() for line in class_lines("fss_per")]
    folders = _class_folders(root, [name for pair in pairs for name in pair])
    chosen: dict[str, tuple[tuple[Item, ...], tuple[Item, ...]]] = {}
    for name in tqdm(sorted(folders), desc="fss", disable=None):
        chosen[name] = shots_and_tests(rng_of(seed, name), _photos(root, folders[name], out), tests)
    partners = {one: other for pair in pairs for one, other in (pair, reversed(pair))}
    concepts = []
    for name in sorted(folders):
        shots, positives = chosen[name]
        own = {item.sha256 for item in (*shots, *positives)}
        # A twin of a shot must not be tested on, even where the data set files it under the partner.
        others = [item for item in chosen[partners[name]][1] if item.sha256 not in own]
        negatives = absent(drawn(rng_of(seed, f"{name} negatives"), others, len(positives)))
        words = name.rstrip("0123456789").replace("_", " ")
        concepts.append(ConceptSet(f"my {words}", words, shots, positives, negatives))
    return write_manifest(Manifest("fss", named_words("coco-stuff"), tuple(concepts), out), data=root)


def _class_folders(root: Path, names: list[str]) -> dict[str, Path]:
    """Class name -> its folder, whose name may be spelled a little differently."""
    for inside in _INSIDE:
        folder = root / inside
        there = {name_key(path.name): path for path in sorted(folder.glob("*")) if path.is_dir()}
        found = {name: there[name_key(name)] for name in names if name_key(name) in there}
        if len(found) == len(names):
            return found
        if found:
            missing = [name for name in names if name not in found]
            raise InputError(
                f"{len(missing)} of the {len(names)} classes of FSS^per have no folder here: {listed(missing)}.",
                path=folder,
                hint="Unpack FSS-1000 again; datasets/README.md says where it is to be had.",
            )
    raise InputError(
        "this is not FSS-1000: no class of it has a folder here.",
        path=root,
        hint="Name the folder that holds abacus/, ab_wheel/ and 998 more; see datasets/README.md.",
    )


def _photos(root: Path, folder: Path, out: Path) -> list[Item]:
    pairs = [(folder / f"{number}.jpg", folder / f"{number}.png") for number in range(1, PHOTOS + 1)]
    missing = [path.name for pair in pairs for path in pair if not path.is_file()]
    if missing:
        raise InputError(
            f"expected 1.jpg to {PHOTOS}.jpg and a .png beside each, but {listed(missing)} is not there.",
            path=folder,
            hint="Unpack FSS-1000 again.",
        )
    return [_item(root, photo, mask, out) for photo, mask in pairs]


def _item(root: Path, photo: Path, mask: Path, out: Path) -> Item:
    """Some masks were not scaled along with their photos (rocking_chair/9.png): those are stretched, below `out`."""
    size = load_image(photo).shape[:2]
    drawn = read_mask(mask)
    if drawn.shape == size:
        return raw_item(root, photo, mask)
    warnings.warn(
        f"{mask}: the mask is {drawn.shape[1]}x{drawn.shape[0]} but its photo {size[1]}x{size[0]}; it was stretched.",
        OvssWarning,
        stacklevel=2,
    )
    stretched = save_mask(out, f"{mask.parent.name}_{mask.stem}", nearest(drawn, size))
    return Item(raw_path(root, photo), stretched, sha256_file(photo))
