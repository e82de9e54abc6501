"""The options of every verb that reads masks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def _label(text: str | int) -> int:
    """A number, or a colour as #RRGGBB."""
    if isinstance(text, int):
        return text
    try:
        return int(text[1:], 16) if text.startswith("#") and len(text) == 7 else int(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a whole number nor a colour such as #ff0000.") from None


Label = Annotated[
    int | None,
    typer.Option(
        parser=_label,
        metavar="INTEGER|#RRGGBB",
        help="The object's value in masks of several labels, or its colour in those of several colours.",
    ),
]
Category = Annotated[str | None, typer.Option(help="The object's category in a COCO or LabelMe JSON.")]
Ignore = Annotated[
    int | None,
    typer.Option(
        parser=_label, metavar="INTEGER|#RRGGBB", help="The mask value that is neither object nor background."
    ),
]
Invert = Annotated[bool, typer.Option("--invert", help="The masks mark what is not the object.")]
Holes = Annotated[
    Literal["filled", "even-odd"],
    typer.Option(help="even-odd: a polygon inside another of the same object is a hole."),
]
MaskOrientation = Annotated[
    Literal["upright", "raw"], typer.Option(help="raw: masks fit the photos as stored, before EXIF rotation.")
]
