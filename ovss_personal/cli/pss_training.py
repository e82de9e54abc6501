"""The verbs that train and measure the networks of the group-context backend."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ovss_personal.cli.printing import print_json, progress_bar, say, say_lines
from ovss_personal.cli.shell import DebugFlag, JsonFlag, Overwrite
from ovss_personal.errors import OutputError, OvssWarning, UsageError

if TYPE_CHECKING:
    from ovss_personal.pss.album import Photo
    from ovss_personal.pss.network import Segmenter

Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="What to compute on.")]
Backbone = Annotated[
    Literal["resnet50", "vgg16", "lite2"] | None, typer.Option(help="What the weights are expected to be of.")
]
Groups = Annotated[
    int | None,
    typer.Option(min=1, max=10**6, help="Which of the album's lists of groups; may be left out where there is one."),
]
Side = Annotated[
    int, typer.Option(min=64, max=8192, help="The shorter side that photos are looked at with, in pixels.")
]


def adapt(
    *,
    source: Annotated[Path, typer.Option(help="The labelled source: VOC 2012, or a folder laid out as an album.")],
    album: Annotated[Path, typer.Option(help="The user's photos, grouped by `pss group`.")],
    out: Annotated[Path, typer.Option(help="The folder of the training; the same command goes on in it.")],
    method: Annotated[
        str,
        typer.Option(
            help="no-da, adaptseg, maxsquare, maxsquare-iw, fda, minent, advent, mrnet, coseg, global or group."
        ),
    ] = "group",
    step: Annotated[int, typer.Option(min=1, max=2, help="1 adapts, 2 refines with pseudo labels.")] = 1,
    rule: Annotated[
        Literal["intended", "compat"], typer.Option(help="The paper's equations, or the published code's.")
    ] = "intended",
    backbone: Annotated[
        Literal["resnet50", "vgg16", "lite2"], typer.Option(help="lite2 needs no download.")
    ] = "resnet50",
    weights: Annotated[Path | None, typer.Option(help="A network to start from; step 2 needs step 1's.")] = None,
    groups: Groups = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, max=10**8, help="Steps of the optimisers; 120000 if left out.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=2, max=4096, help="Photos of each kind a step; 8 if left out.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(min=1, max=8192, help="Side of a training picture in pixels; 320 if left out.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="2.5e-4 if left out; with compat 2.5e-3.")] = None,
    keep: Annotated[float | None, typer.Option(help="Share of pseudo labels used; 0.5, with compat 0.6.")] = None,
    per_pixel: Annotated[bool, typer.Option("--per-pixel", help="Choose pixels of every photo, not photos.")] = False,
    save_every: Annotated[
        int | None, typer.Option(min=1, max=10**8, help="Iterations between two states; 2000.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="The same seed trains the same; 1234.")] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Score the album's annotated photos at every save, and log it.")
    ] = False,
    side: Side = 480,
    scratch: Annotated[bool, typer.Option("--scratch", help="Start from random weights, not ImageNet's.")] = False,
    precision: Annotated[Literal["no", "bf16", "fp16"], typer.Option(help="Mixed precision.")] = "no",
    workers: Annotated[
        int, typer.Option(min=0, max=1024, help="Processes that read photos, for each kind of batch.")
    ] = 0,
    device: Device = "cpu",
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Adapt a network to an album: writes network.safetensors, and the state to go on from, below --out.

    On several GPUs: accelerate launch --no_python ovss-personal pss adapt …
    """
    from ovss_personal.pss import run
    from ovss_personal.pss.methods import AdaptConfig

    changes = {
        "iterations": iterations,
        "batch": batch,
        "crop": crop,
        "learning_rate": learning_rate,
        "keep": keep,
        "save_every": save_every,
        "seed": seed,
    }
    config = AdaptConfig.preset(
        rule,
        method=method,
        step=step,
        backbone=backbone,
        per_pixel=per_pixel,
        **{name: value for name, value in changes.items() if value is not None},
    )
    task = run.Task(config, source, album, out, weights=weights, groups=groups, side=side, imagenet=not scratch)
    with progress_bar() as progress:
        history = run.adapt_album(
            task, device=device, precision=precision, workers=workers, evaluates=evaluate, progress=progress
        )
    network = out / "network.safetensors"
    if as_json:
        print_json({"network": str(network), "scores": history})
    else:
        for row in history:
            say(f"iteration {row['iteration']:.0f}: FIoU {row['fiou']:.2%}, MIoU {row['miou']:.2%}")
        say(f"next: ovss-personal pss evaluate {album} --weights {network}")


def evaluate(
    *,
    albums: Annotated[list[Path], typer.Argument(help="The albums of one or more users, with masks.")],
    weights: Annotated[
        list[Path], typer.Option(help="A network; once for all albums, or once for each in the same order.")
    ],
    backbone: Backbone = None,
    groups: Groups = None,
    side: Side = 480,
    method: Annotated[
        str | None, typer.Option(help="The row of the tables that it goes into; what the weights say if left out.")
    ] = None,
    step: Annotated[int | None, typer.Option(min=1, max=2, help="Likewise.")] = None,
    data: Annotated[
        Literal["personal", "mix-sample", "mix-all"], typer.Option(help="Whose photos it was adapted to.")
    ] = "personal",
    out: Annotated[Path | None, typer.Option(help="Keep the result as JSON, for `pss report`.")] = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Score a network on albums: FIoU and MIoU as the published code has them, and cleaned up, in percent."""
    import json

    from ovss_personal.pss.album import annotated, grouped_photos
    from ovss_personal.pss.checkpoint import training_of
    from ovss_personal.pss.evaluate import evaluate_album, logits_of
    from ovss_personal.pss.tables import Result, user_row, user_table
    from ovss_personal.store.files import atomic_write, unused_name

    if len(weights) not in (1, len(albums)):
        raise UsageError(
            f"--weights is given {len(weights)} times for {len(albums)} albums.", hint="Once, or for each."
        )
    if out is not None:
        require_free(out, overwrite)
    users: dict[str, dict[str, float | None]] = {}
    for album, path in zip(albums, weights if len(weights) > 1 else weights * len(albums), strict=True):
        photos, truth = grouped_photos(album, groups), annotated(album)
        network = load(path, backbone, device, photos)
        with progress_bar() as progress:
            scores = evaluate_album(logits_of(network), photos, truth, side=side, device=device, progress=progress)
        users[unused_name(album.resolve().name, users)] = user_row(scores)
    settings = training_of(weights[0])
    result = Result(
        method=method or settings.get("method", "group"),
        step=step or settings.get("step", 2),  # the official weights are of step 2
        backbone=network.config.backbone,
        context=network.config.context,
        groups=len({photo.group for photo in photos}),
        data=data,
        users=users,
    )
    if out is not None:
        atomic_write(out, json.dumps(result.to_json(), indent=1).encode())
    if as_json:
        print_json(result.to_json())
    else:
        say_lines(user_table(result))


def report(
    *,
    results: Annotated[list[Path], typer.Argument(help="What `pss evaluate --out` wrote.")],
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Print the paper's tables 1 to 5 with our numbers beside its own, as Markdown."""
    from ovss_personal.pss.tables import paper_tables, read_result

    found = [read_result(path) for path in results]
    if as_json:
        print_json([result.to_json() for result in found])
    else:
        say_lines(paper_tables(found))


def require_free(path: Path, overwrite: bool) -> None:
    """Raises OutputError if there is something at `path` and it may not be replaced."""
    if path.exists() and not overwrite:
        raise OutputError("the output exists.", path=path, hint="Pass --overwrite or choose another output.")


def load(weights: Path, backbone: str | None, device: str, photos: list[Photo]) -> Segmenter:
    """The network, on the device; told to the reader where it would miss the groups that it was trained with."""
    from ovss_personal.pss.checkpoint import load_network
    from ovss_personal.pss.runtime import check_device

    check_device(device)
    network = load_network(weights, backbone, device)
    if network.config.context == "group" and len({photo.group for photo in photos}) == 1:
        warnings.warn(
            "the album has one group only; `pss group` finds the photos that look alike.", OvssWarning, stacklevel=2
        )
    return network
