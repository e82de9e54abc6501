"""What was clicked and brushed on a photo, and the mask it makes at the photo's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from pydantic import BaseModel, Field

from ovss_personal.errors import MaskError
from ovss_personal.painting.grid import mask_rows
from ovss_personal.painting.pieces import connected, grow
from ovss_personal.structures import BoolMask, Proposals
from ovss_personal.web.runs import grid_size

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
        MaskError: nothing is left in the mask, or a step names a proposal that there is not.
    """
    height, width = proposals.canvas.original
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    for step in steps:
        ink = 255 if step.add else 0
        if isinstance(step, Outline):
            if step.proposal >= len(proposals.masks):
                raise MaskError(f"there is no outline {step.proposal} in this photo.", path=name)
            mask.paste(ink, mask=Image.fromarray(piece(proposals, step.proposal, step.at)))
            continue
        radius = step.radius
        pen.line(step.points, fill=ink, width=max(1, round(2 * radius)))
        for x, y in step.points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    found = np.asarray(mask) > 0
    if not found.any():
        raise MaskError("nothing is marked in this photo.", path=name, hint="Click the thing, or leave the photo out.")
    return found


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
        bottom = min(height, top + ROWS)
        down = np.arange(top, bottom) * rows // height
        inside = (mask_rows(one, proposals.canvas, top, bottom)[0] > 0).cpu().numpy()
        found[top:bottom] = inside & near[np.ix_(down, across)]
    return found
