"""Stand-ins that are small, exact and made by code: a base that sees colours, trees of stamps and data sets."""

from fakes.base import COLOURS, DIM, OURS, FakeBase, photo, shot
from fakes.privileges import unprivileged
from fakes.raw import (
    ade_labels,
    write_ade,
    write_coco,
    write_cub,
    write_davis,
    write_fss,
    write_objects,
    write_yolo,
)
from fakes.stamps import write_stamps

__all__ = [
    "COLOURS",
    "DIM",
    "OURS",
    "FakeBase",
    "ade_labels",
    "photo",
    "shot",
    "unprivileged",
    "write_ade",
    "write_coco",
    "write_cub",
    "write_davis",
    "write_fss",
    "write_objects",
    "write_stamps",
    "write_yolo",
]
