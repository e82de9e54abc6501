"""A scene as data: where things stand, who looks at them from where, and its text for POV-Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

Role = Literal["mine", "other", "prop"]
Vector = tuple[float, float, float]

SIZE = 512  # pixels, both ways
FIELD_OF_VIEW = 38.0  # degrees
FOCAL = SIZE / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))  # pixels
OTHER_STEP = 20  # the k-th other thing has green k * OTHER_STEP in the id pass


def vector(values: Sequence[float]) -> str:
    return "<" + ", ".join(f"{value:.4f}" for value in values) + ">"


@dataclass(frozen=True)
class Item:
    """One thing: `shape` is a macro call of the .inc files, `radius` the circle it needs around it."""

    shape: str
    role: Role
    radius: float
    place: Vector = (0.0, 0.0, 0.0)
    turn: float = 0.0  # degrees round the vertical
    scale: float = 1.0

    def clear_of(self, other: Item) -> bool:
        apart = math.hypot(self.place[0] - other.place[0], self.place[2] - other.place[2])
        return apart >= self.radius * self.scale + other.radius * other.scale


@dataclass(frozen=True)
class Camera:
    """Looks at `target` from `distance`; `elevation` and `azimuth` in degrees, azimuth 0 looks along +z."""

    target: Vector
    distance: float
    elevation: float
    azimuth: float

    def text(self) -> str:
        up, side = math.radians(self.elevation), math.radians(self.azimuth)
        x, y, z = self.target
        place = (
            x + self.distance * math.cos(up) * math.sin(side),
            y + self.distance * math.sin(up),
            z - self.distance * math.cos(up) * math.cos(side),
        )
        view = f"location {vector(place)} right x up y angle {FIELD_OF_VIEW} look_at {vector(self.target)}"
        return f"camera {{ {view} }}"


@dataclass(frozen=True)
class Scene:
    includes: tuple[str, ...]
    camera: Camera
    setting: tuple[str, ...]  # room or garden, lamps, sky: lines of scene description
    items: tuple[Item, ...]

    def only_mine(self) -> Scene:
        """The same view with nothing but my thing in it: what would be seen if nothing hid it."""
        return replace(self, setting=(), items=tuple(item for item in self.items if item.role == "mine"))

    def text(self) -> str:
        lines = ["#version 3.7;", *(f'#include "{name}"' for name in ("common.inc", *self.includes))]
        lines += [self.camera.text(), *self.setting]
        others = 0
        for item in self.items:
            colour: Vector = (0.0, 0.0, 0.0)
            if item.role == "mine":
                colour = (1.0, 0.0, 0.0)
            elif item.role == "other":
                others += 1
                colour = (0.0, others * OTHER_STEP / 255, 0.0)
            lines.append(
                f"#declare Id = {vector(colour)}; object {{ {item.shape} "
                f"scale {item.scale:.4f} rotate y * {item.turn:.2f} translate {vector(item.place)} }}"
            )
        return "\n".join(lines) + "\n"


def put(
    rng: Random,
    item: Item,
    taken: Sequence[Item],
    camera: Camera,
    *,
    beside: Item | None = None,
    depth: float = 1.0,
) -> Item | None:
    """`item` at a free place in the camera's view, touching `beside` if given; None if none was found.

    `depth` squeezes the places in view towards the line z = 0, which a ledge runs along.
    """
    side = math.radians(camera.azimuth)
    for _ in range(60):
        if beside is not None:
            angle = rng.uniform(0, 2 * math.pi)
            reach = 1.02 * (item.radius * item.scale + beside.radius * beside.scale)
            x, z = beside.place[0] + reach * math.cos(angle), beside.place[2] + reach * math.sin(angle)
        else:
            right = camera.distance * rng.uniform(-0.32, 0.32)
            ahead = camera.distance * rng.uniform(-0.18, 0.42)
            x = camera.target[0] + right * math.cos(side) - ahead * math.sin(side)
            z = camera.target[2] + depth * (right * math.sin(side) + ahead * math.cos(side))
        placed = replace(item, place=(x, 0.0, z))
        if all(placed.clear_of(other) for other in taken):
            return placed
    return None
