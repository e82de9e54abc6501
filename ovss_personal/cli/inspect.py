"""The verb that draws an album as the program understands it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovss_personal.cli.mask_options import Category, Holes, Ignore, Invert, Label, MaskOrientation
from ovss_personal.cli.printing import note, print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, Overwrite, verb
from ovss_personal.errors import ImageError, InputError, OutputError, OvssWarning, counted
from ovss_personal.text import printable

if TYPE_CHECKING:
    from ovss_personal.structures import BoolMask, RGBImage, Shot

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
    invert: Invert = False,
    holes: Holes = "filled",
    mask_orientation: MaskOrientation = "upright",
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Draw what is understood of photos and masks, before learning.

    Where nothing can be used, the exit code is 3."""
    import io

    from ovss_personal.io.shots import find_pairs, load_pair, tell_of_unread
    from ovss_personal.painting.overlay import contact_sheet, shrunk
    from ovss_personal.store.files import atomic_write

    if out.exists() and not overwrite:
        raise OutputError("the output exists.", path=out, hint="Pass --overwrite or choose another --out.")
    pairing = find_pairs(source, category)
    tell_of_unread(source)
    pictures: list[tuple[RGBImage, BoolMask | None, str]] = []
    good: list[dict[str, Any]] = []
    bad: list[dict[str, str | None]] = []
    for pair in pairing.pairs:
        notes: list[str] = []
        try:
            with _noting(notes):
                shot = load_pair(
                    pair,
                    label=label,
                    category=category,
                    ignore=ignore,
                    invert=invert,
                    holes=holes,
                    mask_orientation=mask_orientation,
                )
        except InputError as error:
            bad.append({"file": pair.name, "reason": str(error), "hint": error.hint})
            pictures.append((_photo_or_blank(pair.image), None, printable(str(error))))
            continue
        row = _row(pair.name, pair.mask.name, shot)
        good.append({**row, "notes": notes})
        caption = printable(f"{pair.name} {row['width']}x{row['height']}, {_shares(row)}")
        pictures.append((*shrunk(shot.image, shot.mask, 2 * _SIDE), caption + (" (see the warning)" if notes else "")))
    for path, reason in pairing.unpaired.items():
        bad.append({"file": str(path), "reason": reason, "hint": None})
        pictures.append((_photo_or_blank(path), None, printable(f"{path.name}: {reason}")))
    buffer = io.BytesIO()
    contact_sheet(pictures, side=_SIDE).save(buffer, format="PNG")
    atomic_write(out, buffer.getvalue())
    if as_json:
        print_json({"sheet": str(out), "shots": good, "not_usable": bad})
    else:
        for row in good:
            say(f"{row['image']} with {row['mask']}: {row['width']}x{row['height']}, {_shares(row)}")
        for told in bad:
            say(f"not usable: {told['file']}: {told['reason']}")
        say(f"{counted(len(good), 'shot')}, {len(bad)} not usable; drawn in {out}")
    if not good:
        if not as_json:
            for hint in dict.fromkeys(str(told["hint"] or "Add photos with masks.") for told in bad):
                note(f"hint: {hint}")
        raise typer.Exit(InputError.exit_code)


def _row(image: str, mask: str, shot: Shot) -> dict[str, Any]:
    """What there is to say of a shot; areas are shares of the photo."""
    height, width = shot.mask.shape
    ignored = 0.0 if shot.ignore is None else float((shot.ignore & ~shot.mask).mean())
    area = float(shot.mask.mean())
    return {"image": image, "mask": mask, "width": width, "height": height, "area": area, "ignored": ignored}


def _shares(row: Mapping[str, Any]) -> str:
    ignored = f", {row['ignored']:.1%} not counted" if row["ignored"] else ""
    return f"object {row['area']:.1%}{ignored}"


@contextmanager
def _noting(notes: list[str]) -> Iterator[None]:
    """Passes warnings on, and keeps those meant for the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OvssWarning)
        yield
    for one in caught:
        warnings.warn(one.message, stacklevel=2)
        if isinstance(one.message, OvssWarning):
            notes.append(str(one.message))


def _photo_or_blank(path: Path) -> RGBImage:
    """A photo for a sheet, or a grey one where the file is no photo."""
    import numpy as np

    from ovss_personal.io.images import load_image
    from ovss_personal.painting.overlay import shrunk

    try:
        return shrunk(load_image(path), None, 2 * _SIDE)[0]
    except ImageError:
        return np.full((_SIDE, _SIDE, 3), 200, np.uint8)
