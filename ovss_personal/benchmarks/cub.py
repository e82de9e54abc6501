"""CUB^per: every species of CUB-200-2011 among the others. A pixel is the bird where half the annotators saw it."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from ovss_personal.benchmarks.choice import SHOTS, absent, drawn, listed, raw_item, rng_of, shots_and_tests
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.errors import InputError
from ovss_personal.io.vocabulary import named_words

_TABLES = ("classes.txt", "images.txt", "image_class_labels.txt")


def build(root: Path, out: Path, seed: int = 0, tests: int | None = None) -> Path:
    """Write the manifest below `out`; returns its path. Same seed, same bytes.

    Args:
        root: `CUB_200_2011`, or the folder that it and `segmentations` were unpacked in.
        out: where the manifest goes.
        seed: decides which photos of a species are its shots, and which other birds its negatives.
        tests: test photos with the bird, and as many without, at most; all that are no shots by default.

    Raises:
        InputError: `root` is not CUB-200-2011 with its segmentations, or a part of it is missing or broken.
    """
    data, photos = _photos(root)
    chosen: dict[str, tuple[tuple[Item, ...], tuple[Item, ...]]] = {}
    for name, files in tqdm(sorted(photos.items()), desc="cub", disable=None):
        items = [raw_item(data, photo, mask) for photo, mask in files]
        chosen[name] = shots_and_tests(rng_of(seed, name), items, tests)
        if not chosen[name][1]:
            raise InputError(
                f"'{name}' has {len(items)} photos; {SHOTS} shots and at least one other are needed.",
                path=root,
                hint="Unpack CUB-200-2011 again.",
            )
    concepts = []
    for name, (shots, positives) in chosen.items():
        own = {item.sha256 for item in (*shots, *positives)}
        others = [item for other in chosen if other != name for item in chosen[other][1] if item.sha256 not in own]
        negatives = absent(drawn(rng_of(seed, f"{name} negatives"), others, len(positives)))
        concepts.append(ConceptSet(f"my {name}", name, shots, positives, negatives))
    return write_manifest(Manifest("cub", named_words("coco-stuff"), tuple(concepts), out), data)


def _photos(root: Path) -> tuple[Path, dict[str, list[tuple[Path, Path]]]]:
    """The folder that holds all, and species -> its photos and masks, every one of which is there."""
    home = next((folder for folder in (root, root / "CUB_200_2011") if (folder / "images.txt").is_file()), None)
    if home is None:
        raise InputError(
            "this is not CUB-200-2011: there is no images.txt here.",
            path=root,
            hint="Name the folder CUB_200_2011; see datasets/README.md.",
        )
    data = next((folder for folder in (home, home.resolve().parent) if (folder / "segmentations").is_dir()), None)
    if data is None:
        raise InputError(
            "the segmentations of CUB-200-2011 are missing.",
            path=home / "segmentations",
            hint="They are an archive of their own: unpack segmentations.tgz here.",
        )
    classes, images, labels = (_table(home / name) for name in _TABLES)
    photos: dict[str, list[tuple[Path, Path]]] = {}
    inside = "" if data == home else home.resolve().name
    missing = []
    for number, name in images.items():
        if labels.get(number) not in classes:
            raise InputError(
                f"image {number} has no class that classes.txt knows.",
                path=home / "image_class_labels.txt",
                hint="Unpack CUB-200-2011 again.",
            )
        photo, mask = data / inside / "images" / name, (data / "segmentations" / name).with_suffix(".png")
        missing += [path.relative_to(data) for path in (photo, mask) if not path.is_file()]
        photos.setdefault(_species(classes[labels[number]]), []).append((photo, mask))
    if missing:
        raise InputError(
            f"{len(missing)} of the {2 * len(images)} photos and masks of CUB-200-2011 are missing: "
            f"{listed(missing, most=3)}.",
            path=data,
            hint="Unpack it again.",
        )
    return data, photos


def _table(path: Path) -> dict[str, str]:
    """Lines of a number and a value."""
    try:
        rows = [line.split(maxsplit=1) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {number: value.strip() for number, value in rows}
    except OSError as error:
        raise InputError(
            "this file of CUB-200-2011 cannot be read.", path=path, hint="Unpack CUB-200-2011 again."
        ) from error
    except ValueError as error:
        raise InputError(
            "expected lines of a number and a value.", path=path, hint="Unpack CUB-200-2011 again."
        ) from error


def _species(name: str) -> str:
    """001.Black_footed_Albatross -> black footed albatross."""
    return name.rpartition(".")[2].replace("_", " ").lower()
