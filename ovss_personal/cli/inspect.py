"""The verb that draws an album as the program understands it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovss_personal.cli.printing import note, print_json, say
from ovss_personal.cli.shell import Category, DebugFlag, Ignore, JsonFlag, Label, MaskOrientation, Overwrite, verb
from ovss_personal.errors import ImageError, InputError, OutputError
from ovss_personal.text import printable

if TYPE_CHECKING:
    from ovss_personal.structures import BoolMask, RGBImage

_SIDE = 240  # pixels


def register(app: typer.Typer) -> None:
    verb(app, "inspect", example="ovss-personal inspect my_bird/ --out sheet.png")(inspect)


def inspect(
    *,
    source: Annotated[Path, typer.Argument(help="Folder of photos and masks, or a COCO JSON.")],
    out: Annotated[Path, typer.Option(help="The picture to draw.")] = Path("sheet.png"),
    overwrite: Overwrite = False,
    label: Label = None,
    category: Category = None,
    ignore: Ignore = None,
    mask_orientation: MaskOrientation = "upright",
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Draw what is understood of photos and masks, before learning.

    Where nothing can be used, the exit code is 3."""
    import io

    from ovss_personal.io.shots import find_pairs, load_pair
    from ovss_personal.painting.overlay import contact_sheet, shrunk
    from ovss_personal.store.files import atomic_write

    if out.exists() and not overwrite:
        raise OutputError("the output exists.", path=out, hint="Pass --overwrite or choose another --out.")
    pairing = find_pairs(source, category)
    pictures: list[tuple[RGBImage, BoolMask | None, str]] = []
    good: list[dict[str, Any]] = []
    bad: list[dict[str, str | None]] = []
    for pair in pairing.pairs:
        try:
            shot = load_pair(pair, label=label, category=category, ignore=ignore, mask_orientation=mask_orientation)
        except InputError as error:
            bad.append({"file": pair.name, "reason": str(error), "hint": error.hint})
            pictures.append((_photo_or_blank(pair.image), None, printable(str(error))))
            continue
        height, width = shot.mask.shape
        area = float(shot.mask.mean())
        good.append({"image": pair.name, "mask": pair.mask.name, "width": width, "height": height, "area": area})
        pictures.append(
            (*shrunk(shot.image, shot.mask, 2 * _SIDE), printable(f"{pair.name} {width}x{height}, object {area:.1%}"))
        )
    for path, reason in pairing.unpaired.items():
        bad.append({"file": str(path), "reason": reason, "hint": None})
        pictures.append((_photo_or_blank(path), None, printable(f"{path.name}: {reason}")))
    buffer = io.BytesIO()
    contact_sheet(pictures, side=_SIDE).save(buffer, format="PNG")
    atomic_write(out, buffer.getvalue())
    if as_json:
        print_json({"sheet": str(out), "shots": good, "not_usable": bad})
        raise typer.Exit(0 if good else InputError.exit_code)
    for row in good:
        say(f"{row['image']} with {row['mask']}: {row['width']}x{row['height']}, object {row['area']:.1%}")
    for row in bad:
        say(f"not usable: {row['file']}: {row['reason']}")
    say(f"{len(good)} shots, {len(bad)} not usable; drawn in {out}")
    if not good:
        for hint in dict.fromkeys(str(row["hint"] or "Add photos with masks.") for row in bad):
            note(f"hint: {hint}")
        raise typer.Exit(InputError.exit_code)


def _photo_or_blank(path: Path) -> RGBImage:
    """A photo for a sheet, or a grey one where the file is no photo."""
    import numpy as np

    from ovss_personal.io.images import load_image
    from ovss_personal.painting.overlay import shrunk

    try:
        return shrunk(load_image(path), None, 2 * _SIDE)[0]
    except ImageError:
        return np.full((_SIDE, _SIDE, 3), 200, np.uint8)
