"""The verb that learns a concept; also the console script `personalize`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ovss_personal.cli.mask_options import Category, Holes, Ignore, Invert, Label, MaskOrientation
from ovss_personal.cli.printing import at_once, note, print_json, progress_bar, say
from ovss_personal.cli.shell import (
    DEFAULT_BASE,
    BaseOptions,
    DebugFlag,
    JsonFlag,
    NoCache,
    Overwrite,
    verb,
)
from ovss_personal.config import Competitors
from ovss_personal.errors import InputError, OutputError, UsageError, counted

if TYPE_CHECKING:
    from ovss_personal.store.concept import Concept

_ARTICLES = ("my ", "our ", "the ")


def register(app: typer.Typer) -> None:
    verb(app, "personalize", example='personalize --concept "my bird" --shots 5 --images my_bird/')(personalize)


def personalize(
    *,
    concept: Annotated[str, typer.Option(help='What to call the thing, e.g. "my bird".')],
    shots: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many photos to learn from; all if left out.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of photos and masks, or a COCO JSON; ./<concept>/ if left out."),
    ] = None,
    album: Annotated[
        Path | None, typer.Option(help="Folder of photos without masks, some of which show it, to learn from as well.")
    ] = None,
    class_name: Annotated[
        str | None, typer.Option(help="Class of the object, e.g. bird; if left out, the concept without my/our/the.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save; concepts/<concept> if left out.")] = None,
    overwrite: Overwrite = False,
    label: Label = None,
    category: Category = None,
    ignore: Ignore = None,
    invert: Invert = False,
    holes: Holes = "filled",
    mask_orientation: MaskOrientation = "upright",
    preset: Annotated[
        Literal["paper"] | None, typer.Option(help="Start from the paper's own settings, not the base's.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Share of the visual embedding, 0 to 1.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the fit, above 0.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps of the fit.")] = None,
    competitors: Annotated[Competitors | None, typer.Option(help="What competes with the concept unseen.")] = None,
    unique: Annotated[
        bool | None,
        typer.Option(
            "--unique/--several",
            help="Whether a photo shows at most one of it; if left out: if every shot shows it in one piece.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the choice of shots and of the fit.")] = None,
    base: BaseOptions = DEFAULT_BASE,
    no_cache: NoCache = False,
    push_to_hub: Annotated[str | None, typer.Option(help="Then upload it to this repository, e.g. me/my-bird.")] = None,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Learn a concept from one to five photos with a mask."""
    from ovss_personal.io.shots import load_shots
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.files import locked, safe_name

    folder = Path("concepts", safe_name(concept)) if out is None else out
    if folder.exists() and not overwrite:
        raise OutputError("the output folder exists.", path=folder, hint="Pass --overwrite or choose another --out.")
    if push_to_hub is not None and base.given.get("offline"):
        raise UsageError("--push-to-hub needs a connection, and --offline opens none.", hint="Leave one of them out.")
    source = _shots_of(concept) if images is None else images
    if album is not None and album.resolve() == source.resolve():
        raise UsageError(
            "--album is the folder of the shots.", path=album, hint="Name another folder, or leave it out."
        )
    at_once(f"learning '{concept}' from {source} …")
    from ovss_personal.engine import learn  # imports torch, which takes a second

    loaded = load_shots(
        source,
        count=shots,
        seed=seed or 0,
        label=label,
        category=category,
        ignore=ignore,
        invert=invert,
        holes=holes,
        mask_orientation=mask_orientation,
    )
    segmenter = base.load()
    config = segmenter.fit_defaults if preset is None else segmenter.paper_defaults
    given: dict[str, Any] = {
        "alpha": alpha,
        "learning_rate": learning_rate,
        "iterations": iterations,
        "competitors": competitors,
        "unique": unique,
        "seed": seed,
    }
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    with locked(folder), progress_bar() as progress:
        learned = learn.personalize(
            segmenter,
            loaded,
            concept=concept,
            class_name=class_name or default_class_name(concept),
            config=config,
            progress=progress,
            cache=None if no_cache else ProposalCache(),
            album=album,
        )
        learned.save_pretrained(folder, overwrite=overwrite)
    address = None if push_to_hub is None else learned.push_to_hub(push_to_hub)
    if as_json:
        print_json({**summary(learned), "images": str(source), "out": str(folder), "uploaded": address})
        return
    _tell(learned, source, album)
    say()
    say(f"saved to {folder}")
    if address is not None:
        say(f"uploaded to {address}")
    following = ["segment", "PHOTO", "--concept", str(folder), "--words", learned.class_name, "--out", "out"]
    # A concept fits no base but the one it was learned on, with the same settings.
    following += base.repeated()
    say(f"next: ovss-personal {shlex.join(following)}")


def _tell(learned: Concept, source: Path, album: Path | None) -> None:
    """What was learned, from what, and how well each shot is found again."""
    say(f"{learned.name} ({learned.class_name}), {counted(len(learned.report.shots), 'shot')} from {source}")
    say()
    print_shots(learned)
    if learned.report.album:
        photos, used = learned.report.album.photos, learned.report.album.used
        seen_in = f"{used} of the {counted(photos, 'photo')} of {album}"
        say()
        say(f"{learned.name} was taken to be in {seen_in}, and learned from there as well")


def default_class_name(concept: str) -> str:
    """The concept without a leading my, our or the: the class of the object.

    >>> default_class_name("My bird")
    'bird'
    """
    words = " ".join(concept.split())
    for article in _ARTICLES:
        if words.lower().startswith(article):
            return words[len(article) :]
    return words


def summary(concept: Concept) -> dict[str, Any]:
    """What there is to say of a concept, for `--json`."""
    from dataclasses import asdict

    return {
        "concept": concept.name,
        "class_name": concept.class_name,
        "base": {"name": concept.base_name, "fingerprint": concept.base_fingerprint},
        "config": asdict(concept.config),
        "shots": [asdict(shot) for shot in concept.report.shots],
        "losses": dict(concept.report.losses),
        "album": None if concept.report.album is None else asdict(concept.report.album),
    }


def print_shots(concept: Concept) -> None:
    """A line for each shot: how well the concept finds it again, with it and without it in the fit."""
    shots = concept.report.shots
    width = max((len(shot.name) for shot in shots), default=4)
    say(f"{'shot':<{width}}  fit IoU  left out")
    for shot in shots:
        left_out = "-" if shot.leave_one_out is None else f"{shot.leave_one_out:.2f}"
        remark = "  outlier: look at its mask" if shot.outlier else ""
        say(f"{shot.name:<{width}}  {shot.iou:>7.2f}  {left_out:>8}{remark}")


def _shots_of(concept: str) -> Path:
    """Where the shots are when the user does not say: ./my_bird/, or the demo album of that name."""
    from ovss_personal.io.demo import demo_album, demo_albums
    from ovss_personal.store.files import safe_name

    folder = Path(safe_name(concept))
    if folder.is_dir():
        return folder
    if str(folder) in demo_albums():
        album = demo_album(str(folder))
        note(f"note: there is no folder ./{folder}; learning from the demo album that comes with the program")
        return album
    raise InputError(
        f"no photos of '{concept}': there is no folder ./{folder}.",
        hint="Pass --images FOLDER, with photos in FOLDER/images and their masks in FOLDER/masks.",
    )
