"""The verbs of the group-context backend: one person's unlabelled album."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ovss_personal.cli.printing import print_json, progress_bar, say
from ovss_personal.cli.pss_training import Backbone, Device, Groups, Side, adapt, evaluate, load, report, require_free
from ovss_personal.cli.shell import DebugFlag, JsonFlag, NoCache, Overwrite, new_app, verb
from ovss_personal.errors import OutputError, UsageError, counted


def register(app: typer.Typer) -> None:
    pss = new_app("Adapt a segmenter of VOC's 20 classes to one person's unlabelled album.")
    verb(pss, "group", example="ovss-personal pss group album/ --groups 80")(group)
    verb(
        pss,
        "adapt",
        example="ovss-personal pss adapt --source VOCdevkit/VOC2012 --album album/ --method group --step 1 --out run1",
    )(adapt)
    verb(pss, "segment", example="ovss-personal pss segment album/ --weights run1/network.safetensors --out out")(
        segment
    )
    verb(pss, "evaluate", example="ovss-personal pss evaluate album/ --weights run1/network.safetensors")(evaluate)
    verb(pss, "report", example="ovss-personal pss report results/*.json")(report)
    verb(pss, "synth", example="ovss-personal pss synth data/")(synth)
    app.add_typer(pss, name="pss")


def group(
    *,
    album: Annotated[Path, typer.Argument(help="A folder of photos, or one with JPEGImages/ in it.")],
    groups: Annotated[str, typer.Option(help='How many, or "auto" for the number with the best silhouette.')] = "80",
    features: Annotated[
        Literal["embedded", "resnet50", "resnet101"],
        typer.Option(help="What likeness is judged by; embedded needs no download."),
    ] = "embedded",
    rule: Annotated[
        Literal["intended", "compat"], typer.Option(help="compat: a ResNet's batch norms stay in training mode.")
    ] = "intended",
    photo_list: Annotated[
        Path | None, typer.Option("--list", help="Group the photos of this list, as VOC's list/train_aug.txt.")
    ] = None,
    device: Device = "cpu",
    no_cache: NoCache = False,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Find the photos that look alike; writes train_cluster<GROUPS>.txt into the album, or beside --list."""
    from ovss_personal.engine.groups import best_group_count
    from ovss_personal.pss.album import album_photos, read_list, write_list
    from ovss_personal.pss.grouping import check_group_count, group_photos, photo_features
    from ovss_personal.store.cache import ProposalCache

    wanted = None if groups == "auto" else _count(groups)
    photos = read_list(photo_list, album) if photo_list else album_photos(album)
    folder = photo_list.parent if photo_list else album
    if wanted is not None:
        check_group_count(len(photos), wanted)
        require_free(folder / f"train_cluster{wanted}.txt", overwrite)
    with progress_bar() as progress:
        rows = photo_features(
            photos,
            features,
            device=device,
            as_published=rule == "compat",
            cache=None if no_cache else ProposalCache(),
            progress=progress,
        )
    count = wanted if wanted is not None else best_group_count(rows)
    path = folder / f"train_cluster{count}.txt"
    require_free(path, overwrite)
    grouped = group_photos(photos, rows, count)
    write_list(path, grouped, album)
    sizes: dict[str, int] = {}
    for photo in grouped:
        sizes[photo.group] = sizes.get(photo.group, 0) + 1
    if as_json:
        print_json({"list": str(path), "photos": len(grouped), "groups": sizes})
    else:
        told = f"{counted(len(grouped), 'photo')} in {counted(len(sizes), 'group')}"
        say(f"{told} of {min(sizes.values())} to {max(sizes.values())} -> {path}")


def segment(
    *,
    album: Annotated[Path, typer.Argument(help="The album.")],
    weights: Annotated[Path, typer.Option(help="network.safetensors of `pss adapt`, or an official .pth.")],
    out: Annotated[Path, typer.Option(help="The folder for NAME.labels.png and NAME.overlay.png.")],
    backbone: Backbone = None,
    groups: Groups = None,
    side: Side = 480,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Label every pixel of an album's photos with VOC's classes, each photo in its group's context."""
    import io

    from ovss_personal.io.images import load_image
    from ovss_personal.painting.overlay import draw_overlay, index_png
    from ovss_personal.pss.album import grouped_photos
    from ovss_personal.pss.classes import CLASSES
    from ovss_personal.pss.evaluate import logits_of, predict_album
    from ovss_personal.store.files import atomic_write, locked

    if not overwrite and out.exists() and any(out.iterdir()):
        raise OutputError("the output exists.", path=out, hint="Pass --overwrite or choose another --out.")
    photos = grouped_photos(album, groups)
    network = load(weights, backbone, device, photos)
    done = []
    with locked(out), progress_bar() as progress:
        for found in predict_album(logits_of(network), photos, side=side, device=device, progress=progress):
            labels = found.labels(found.size)
            stream = io.BytesIO()
            draw_overlay(load_image(found.photo.image), labels, CLASSES).save(stream, "PNG")
            atomic_write(out / f"{found.photo.name}.overlay.png", stream.getvalue())
            atomic_write(out / f"{found.photo.name}.labels.png", index_png(labels))
            shown = [CLASSES[int(index)] for index in sorted(set(labels.ravel().tolist()))]
            done.append({"photo": str(found.photo.image), "group": found.photo.group, "classes": shown})
    if as_json:
        print_json({"out": str(out), "photos": done})
    else:
        say(f"{counted(len(done), 'photo')} -> {out}")


def synth(
    *,
    out: Annotated[Path, typer.Argument(help="The folder for source/ and album/.")],
    photos: Annotated[int, typer.Option(min=8, max=10**6, help="How many the source has.")] = 240,
    occasions: Annotated[int, typer.Option(min=1, max=10**6, help="How many the user photographs.")] = 10,
    each: Annotated[int, typer.Option(min=1, max=10**6, help="Photos of each occasion.")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed makes the same bytes.")] = 0,
    stamps: Annotated[
        Path | None, typer.Option(help="Where the Debian packages are unpacked; fetched if left out.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make a labelled source and one made-up user's album, from cut-outs on photographs."""
    from ovss_personal.benchmarks.composites.sources import Sources, fetch
    from ovss_personal.pss.synth import ALBUM, build
    from ovss_personal.store.files import locked

    require_free(out / ALBUM, overwrite)
    sources = fetch() if stamps is None else Sources(stamps)
    with locked(out):
        source, album = build(out, sources, source_photos=photos, occasions=occasions, photos=each, seed=seed)
    if as_json:
        print_json({"source": str(source), "album": str(album)})
    else:
        say(f"next: ovss-personal pss group {album} --groups {occasions}")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--groups '{text}' is neither a number from 1 on nor auto.")
    return int(text)
