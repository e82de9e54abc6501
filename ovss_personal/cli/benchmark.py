"""The verbs that make benchmarks and show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovss_personal.cli.printing import print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, Overwrite, new_app, verb
from ovss_personal.errors import OutputError, UsageError

if TYPE_CHECKING:
    from ovss_personal.structures import BoolMask, RGBImage

Root = Annotated[Path, typer.Option(help="The raw data (see datasets/README.md); for concat, a built benchmark.")]
Out = Annotated[Path, typer.Option(help="The folder for manifest.json and the pictures it needs.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed makes the same bytes.")]
Tests = Annotated[
    int | None,
    typer.Option(min=1, max=10**9, help="Test photos with the object, and as many without, at most; all if left out."),
]
Classes = Annotated[
    Path | None, typer.Option(help="A file of lines 'name: class word', for names that the program does not know.")
]

_RAW = {
    "fss": "Make FSS^per of FSS-1000: 30 classes, each against its look-alike.",
    "cub": "Make CUB^per of CUB-200-2011 and its segmentations: each species against the others.",
    "ade": "Make ADE^per of ADE20K full: 30 classes, every word's truth known.",
    "concat": "Put each positive of a built benchmark beside one of its negatives.",
}
_ROOTS = {"fss": "fewshot_data", "cub": "CUB_200_2011", "ade": "ADE20K_2021_17_01", "concat": "cub_per"}
MANIFEST = "manifest.json"
_SIDE = 240  # pixels
_PHOTOS = 10  # of a benchmark of instances that are drawn


def register(app: typer.Typer) -> None:
    build = new_app("Make a benchmark: a manifest of what photos show, and the pictures it needs.")
    for name, does in _RAW.items():
        example = f"ovss-personal benchmark build {name} --root {_ROOTS[name]} --out {name}_per"
        verb(build, name, example=example)(_build_of_raw_data(name, does))
    verb(
        build,
        "folder",
        example='ovss-personal benchmark build folder --root mugs --out mugs_per --concept "my mug" --class-name mug',
    )(build_folder)
    verb(build, "davis", example="ovss-personal benchmark build davis --root DAVIS --out davis_per")(build_davis)
    verb(build, "album", example="ovss-personal benchmark build album --root OBJECTS --out objects_per")(build_album)
    verb(build, "coco", example="ovss-personal benchmark build coco --root COCO --out coco_val")(build_coco)
    verb(build, "stamps", example="ovss-personal benchmark build stamps --out stamps")(build_stamps)
    group = new_app("What methods are measured on.")
    group.add_typer(build, name="build")
    verb(group, "show", example="ovss-personal benchmark show stamps/manifest.json --out sheet.png")(show)
    app.add_typer(group, name="benchmark")


def _build_of_raw_data(name: str, does: str) -> Callable[..., None]:
    def build(
        *,
        root: Root,
        out: Out,
        seed: Seed = 0,
        tests: Tests = None,
        overwrite: Overwrite = False,
        as_json: JsonFlag = False,
        debug: DebugFlag = False,
    ) -> None:
        from importlib import import_module

        _check_apart(root, out)
        builder = import_module(f"ovss_personal.benchmarks.{name}")
        _make(lambda folder: builder.build(root, folder, seed, tests), out, overwrite, as_json)

    build.__doc__ = does
    return build


def build_folder(
    *,
    root: Annotated[Path, typer.Option(help="Holds shots/, positives/ (photos with masks) and negatives/.")],
    out: Out,
    concept: Annotated[str, typer.Option(help='What you call it, e.g. "my mug".')],
    class_name: Annotated[str, typer.Option(help="What kind of thing it is, e.g. mug.")],
    words: Annotated[
        str, typer.Option(help="The words to test among, by comma; a .txt, one a line; or a named vocabulary.")
    ] = "coco-stuff",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make a benchmark of your own photos."""
    from ovss_personal.benchmarks.folder import build
    from ovss_personal.io.vocabulary import check_concepts, check_word, resolve_words

    name, kind = check_word(concept, "the concept"), check_word(class_name, "the class name")
    among = resolve_words(words)
    check_concepts([name], among)

    def make(folder: Path) -> Path:
        return build(root, folder, concept=name, class_name=kind, words=among, seed=seed)

    _make(make, out, overwrite, as_json)


def build_davis(
    *,
    root: Annotated[Path, typer.Option(help="DAVIS 2016 or 2017, or a folder of one folder a sequence.")],
    out: Out,
    frames: Annotated[
        int, typer.Option(min=2, max=10**6, help="Of each sequence, spread evenly over it, at most.")
    ] = 8,
    image_set: Annotated[
        str | None, typer.Option(help="The list below ImageSets/ of the sequences to take, e.g. 2017/val.")
    ] = None,
    classes: Classes = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make DAVIS^per of DAVIS 2016 or 2017: what a video shows, learned from its first frames."""
    from ovss_personal.benchmarks.davis import build

    _check_apart(root, out)
    _make(lambda folder: build(root, folder, frames, image_set, classes), out, overwrite, as_json)


def build_album(
    *,
    root: Annotated[Path, typer.Option(help="Holds learn/, photos with masks, and look_alikes/, photos alone.")],
    out: Out,
    classes: Classes = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make a benchmark of several things, each learned from one of its photos and sought in the others."""
    from ovss_personal.benchmarks.album import build

    _check_apart(root, out)
    _make(lambda folder: build(root, folder, classes), out, overwrite, as_json)


def build_coco(
    *,
    root: Annotated[Path, typer.Option(help="Holds annotations/ and val2017/ (COCO), or images/ and labels/ (YOLO).")],
    out: Out,
    photos: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="How many photos, at most; all if left out.")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make a benchmark of COCO's instances: how good a base's proposals and words are."""
    from ovss_personal.benchmarks.coco import build

    _check_apart(root, out)
    _make(lambda folder: build(root, folder, photos, seed), out, overwrite, as_json)


def build_stamps(
    *,
    out: Out,
    birds: Annotated[int, typer.Option(min=1, max=10_000, help="How many concepts.")] = 24,
    look_alikes: Annotated[
        int, typer.Option(min=0, max=5, help="Other birds in the same picture as mine; 0 is one bird a picture.")
    ] = 0,
    album: Annotated[
        int,
        typer.Option(min=0, max=1000, help="Unlabelled photos beside the shots of each concept, half of them of it."),
    ] = 0,
    seed: Seed = 0,
    stamps: Annotated[
        Path | None, typer.Option(help="Where the Debian packages are unpacked; fetched if left out.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make "my bird" among other birds, from photographic cut-outs on photographs."""
    from ovss_personal.benchmarks.composites.sources import Sources, fetch
    from ovss_personal.benchmarks.stamps import build

    _check_new(out, overwrite)
    sources = fetch() if stamps is None else Sources(stamps)
    _make(lambda folder: build(folder, sources, birds, seed, look_alikes, album), out, overwrite, as_json)


def _make(build: Callable[[Path], Path], out: Path, overwrite: bool, as_json: bool) -> None:
    """Build whole or not at all, one process at a time, and say where it is."""
    from ovss_personal.store.files import atomic_folder, locked

    _check_new(out, overwrite)
    with locked(out), atomic_folder(out, overwrite, owned_by=MANIFEST) as folder:
        build(folder)
    if as_json:
        print_json({"manifest": str(out / MANIFEST)})
    else:
        say(f"next: ovss-personal evaluate {out / MANIFEST}")


def _check_apart(root: Path, out: Path) -> None:
    if root.resolve() == out.resolve():
        raise UsageError("--root and --out are one folder.", path=out, hint="Choose another --out.")


def _check_new(out: Path, overwrite: bool) -> None:
    manifest = out / MANIFEST
    if manifest.exists() and not overwrite:
        raise OutputError("the benchmark exists.", path=manifest, hint="Pass --overwrite or choose another --out.")


def show(
    *,
    manifest: Annotated[Path, typer.Argument(help="The manifest.json of a benchmark.")],
    concept: Annotated[str | None, typer.Option(help="Which concept to draw; the first if left out.")] = None,
    out: Annotated[Path, typer.Option(help="The picture to draw.")] = Path("sheet.png"),
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Draw a concept's shots and test photos with their masks."""
    from ovss_personal.benchmarks.instances import is_instances
    from ovss_personal.benchmarks.manifest import KINDS, read_manifest
    from ovss_personal.painting.overlay import shrunk

    if out.exists() and not overwrite:
        raise OutputError("the output exists.", path=out, hint="Pass --overwrite or choose another --out.")
    if is_instances(manifest):
        if concept is not None:
            raise UsageError("a benchmark of instances has no concepts.", path=manifest, hint="Leave --concept out.")
        return _show_instances(manifest, out, as_json)
    benchmark = read_manifest(manifest)
    by_name = {one.name: one for one in benchmark.concepts}
    if not by_name or (concept is not None and concept not in by_name):
        raise UsageError(
            f"the benchmark has no concept '{concept or ''}'.",
            path=manifest,
            hint=f"Its concepts are: {', '.join(by_name)}.",
        )
    chosen = by_name[concept or next(iter(by_name))]
    pictures = []
    for kind in KINDS:
        for number, item in enumerate(getattr(chosen, kind), start=1):
            image = benchmark.image(item)
            mask = benchmark.mask(item, image)
            caption = f"{kind.removesuffix('s')} {number}: {Path(item.image).name}"
            if mask.any():
                caption += f", object {mask.mean():.1%}"
            pictures.append((*shrunk(image, mask, 2 * _SIDE), caption))
    _draw(pictures, out)
    counts = {kind: len(getattr(chosen, kind)) for kind in KINDS}
    if as_json:
        print_json(
            {
                "sheet": str(out),
                "concept": chosen.name,
                "class_name": chosen.class_name,
                **counts,
                "concepts": list(by_name),
            }
        )
    else:
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        say(f"{chosen.name} ({chosen.class_name}): {told}; drawn in {out}")


def _show_instances(manifest: Path, out: Path, as_json: bool) -> None:
    """The first photos of a benchmark of instances, with all of these marked."""
    import numpy as np

    from ovss_personal.benchmarks.instances import read_instances
    from ovss_personal.painting.overlay import shrunk

    benchmark = read_instances(manifest)
    pictures = []
    for photo in benchmark.photos[:_PHOTOS]:
        words = dict.fromkeys(benchmark.words[instance.word] for instance in photo.instances)
        marked = np.any([*photo.masks(), np.zeros(photo.size, bool)], axis=0)
        caption = f"{Path(photo.image).name}: {len(photo.instances)}, {', '.join(words)}"
        pictures.append((*shrunk(benchmark.image(photo), marked, 2 * _SIDE), caption))
    _draw(pictures, out)
    instances = sum(len(photo.instances) for photo in benchmark.photos)
    counts = {"photos": len(benchmark.photos), "instances": instances, "words": len(benchmark.words)}
    if as_json:
        print_json({"sheet": str(out), **counts})
    else:
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        say(f"{benchmark.name}: {told}; the first {len(pictures)} photos are drawn in {out}")


def _draw(pictures: Sequence[tuple[RGBImage, BoolMask | None, str]], out: Path) -> None:
    import io

    from ovss_personal.painting.overlay import contact_sheet
    from ovss_personal.store.files import atomic_write

    buffer = io.BytesIO()
    contact_sheet(pictures, columns=5, side=_SIDE).save(buffer, format="PNG")
    atomic_write(out, buffer.getvalue())
