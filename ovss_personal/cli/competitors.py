"""The verb that makes a bank of competitors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovss_personal.cli.printing import print_error, print_json, progress_bar, say
from ovss_personal.cli.shell import DEFAULT_BASE, BaseOptions, DebugFlag, JsonFlag, Overwrite, new_app, verb
from ovss_personal.errors import ImageError, OutputError, UsageError, counted

if TYPE_CHECKING:
    from ovss_personal.structures import RGBImage


def register(app: typer.Typer) -> None:
    group = new_app("What competes with a concept on a base: what a concept must beat, apart from the open words.")
    verb(
        group,
        "build",
        example="ovss-personal competitors build photos/ --base san_vit_b_16 --out bank.safetensors",
    )(build)
    app.add_typer(group, name="competitors")


def build(
    *,
    photos: Annotated[list[Path], typer.Argument(help="Folders of ordinary photos, 50 or more, without the thing.")],
    out: Annotated[Path, typer.Option(help="The file for the bank, which --bank then takes.")],
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the grouping of what was seen.")] = 0,
    base: BaseOptions = DEFAULT_BASE,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Make a bank of competitors of ordinary photos.

    What the base sees in the photos is brought down to 512 embeddings. A concept learned with --bank and
    --competitors bank or both has to be likelier than all of them. A photo that cannot be read is reported and left
    out.
    """
    from ovss_personal.bases import bank
    from ovss_personal.io.images import find_images

    if out.exists() and not overwrite:
        raise OutputError("the output exists.", path=out, hint="Pass --overwrite or choose another --out.")
    if "bank" in base.given:
        raise UsageError("a bank is made by the base without one.", hint="Leave --bank out.")
    files = find_images(photos)
    if len(files) > bank.MAX_PHOTOS:
        raise UsageError(f"{len(files)} photos are too many.", hint=f"{bank.MAX_PHOTOS:,} are enough.")
    _check_enough(len(files), bank.MIN_PHOTOS)
    segmenter = base.load()
    read: list[Path] = []
    rows = bank.build_bank(segmenter, _readable(files, read), seed=seed)
    _check_enough(len(read), bank.MIN_PHOTOS)
    bank.write_bank(out, rows, segmenter)
    if as_json:
        facts = {"name": segmenter.name, "fingerprint": segmenter.fingerprint}
        print_json({"base": facts, "photos": len(read), "embeddings": len(rows), "out": str(out)})
    else:
        seen_in = counted(len(read), "photo")
        say(f"{counted(len(rows), 'embedding')} of what {segmenter.name} sees in {seen_in}, saved to {out}")


def _readable(files: list[Path], read: list[Path]) -> Iterator[RGBImage]:
    """The photos that can be read, whose files are added to `read`; of the others it is told."""
    from ovss_personal.io.images import load_image

    with progress_bar() as progress:
        for number, file in enumerate(files):
            progress(number, len(files), "looking")
            try:
                image = load_image(file)
            except ImageError as error:
                print_error(error)
                continue
            read.append(file)
            yield image


def _check_enough(photos: int, least: int) -> None:
    if photos < least:
        raise ImageError(
            f"{photos} photos are too few for a bank.",
            hint=f"Pass {least} or more, of many ordinary things.",
        )
