"""What was clicked and brushed on a photo, and the mask it makes at the photo's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from pydantic import BaseModel, Field

from ovss_personal.errors import MaskError
from ovss_personal.painting.grid import mask_rows
from ovss_personal.painting.pieces import connected, grow
from ovss_personal.structures import BoolMask, Proposals
from ovss_personal.web.runs import grid_size
from ovss_personal.web.worker import check

MAX_WORK = 20e9  # pixels that are drawn for one photo: two seconds or so
ROW_WORK = 300  # pixels that are drawn in the time that one row takes, however short it is
POINT_WORK = 3e4  # and in the time that Python takes for a point
OUTLINE_WORK = 20  # pixels that are drawn in the time that one of an outline takes
CHECK_WORK = 5e8  # pixels between two checks whether anybody wants them

ROWS = 512  # made at a time, so that a large photo needs no float copy of its mask
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]


class Outline(BaseModel):
    """The piece of a proposal that is connected at a place, in shares of width and height; added or taken out."""

    kind: Literal["outline"]
    add: bool
    proposal: int = Field(ge=0)
    at: tuple[Share, Share]


class Stroke(BaseModel):
    """A stroke of the brush, or of the eraser; in pixels of the photo."""

    kind: Literal["stroke"]
    add: bool
    radius: Annotated[float, Field(gt=0, le=5000, allow_inf_nan=False)]
    points: list[tuple[Coordinate, Coordinate]] = Field(min_length=1, max_length=5000)


Step = Annotated[Outline | Stroke, Field(discriminator="kind")]
Steps = Annotated[list[Step], Field(max_length=500)]


def draw(steps: Sequence[Outline | Stroke], proposals: Proposals, name: str) -> BoolMask:
    """(H, W) bool at the photo's own size: the steps, one after the other.

    Raises:
        MaskError: nothing is left in the mask, a step names a proposal that there is not, or there is too much to draw.
    """
    height, width = proposals.canvas.original
    outlines = sum(isinstance(step, Outline) for step in steps)
    strokes = [_stroke_work(step, height, width) for step in steps if isinstance(step, Stroke)]
    if outlines * OUTLINE_WORK * height * width + sum(work.sum() for work in strokes) > MAX_WORK:
        raise MaskError(
            "too much is marked in this photo.", path=name, hint="Clear it, and mark it with fewer strokes."
        )
    mask = Image.new("L", (width, height))
    for step in steps:
        check()
        if isinstance(step, Outline):
            if step.proposal >= len(proposals.masks):
                raise MaskError(f"there is no outline {step.proposal} in this photo.", path=name)
            found = Image.fromarray(piece(proposals, step.proposal, step.at))
            mask.paste(255 if step.add else 0, mask=found)
        else:
            _paint(mask, step)
    drawn = np.asarray(mask) > 0
    if not drawn.any():
        raise MaskError("nothing is marked in this photo.", path=name, hint="Click the thing, or leave the photo out.")
    return drawn


def _stroke_work(stroke: Stroke, height: int, width: int) -> npt.NDArray[np.float64]:
    """(points,) about how many pixels are drawn for a point of a stroke and the line to it."""
    points = np.array(stroke.points)
    dx, dy = np.abs(np.diff(points, axis=0, prepend=points[:1])).T
    thick = 2 * stroke.radius + 1
    pixels = np.minimum(dy + thick, height) * np.minimum(dx + thick, width)
    # Pillow goes through all rows of a circle, those outside the photo too.
    work: npt.NDArray[np.float64] = 2 * pixels + ROW_WORK * (thick + np.minimum(dy + thick, height)) + POINT_WORK
    return work


def _paint(mask: Image.Image, stroke: Stroke) -> None:
    """Draw a stroke, in parts so small that it can be stopped."""
    pen, ink, radius = ImageDraw.Draw(mask), 255 if stroke.add else 0, stroke.radius
    part = _stroke_work(stroke, mask.height, mask.width).cumsum() // CHECK_WORK
    for number, (x, y) in enumerate(stroke.points):
        if number and part[number] != part[number - 1]:
            check()
        if number:
            pen.line([stroke.points[number - 1], (x, y)], fill=ink, width=max(1, round(2 * radius)))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


@torch.no_grad()
def piece(proposals: Proposals, number: int, at: tuple[float, float]) -> BoolMask:
    """(H, W) bool at the photo's own size: the part of a proposal that is connected at (x, y) on the page's grid."""
    height, width = proposals.canvas.original
    rows, columns = grid_size(height, width)
    one = proposals.masks[number : number + 1]
    small = mask_rows(one, replace(proposals.canvas, original=(rows, columns)), 0, rows)[0] > 0
    near = grow(connected(small.cpu().numpy(), int(at[1] * rows), int(at[0] * columns)), 1)
    across = np.arange(width) * columns // width
    found = np.empty((height, width), bool)
    for top in range(0, height, ROWS):
        check()
        bottom = min(height, top + ROWS)
        down = np.arange(top, bottom) * rows // height
        inside = (mask_rows(one, proposals.canvas, top, bottom)[0] > 0).cpu().numpy()
        found[top:bottom] = inside & near[np.ix_(down, across)]
    return found
