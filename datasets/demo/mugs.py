"""Album "my mug": mine among other mugs on the tables of several rooms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from scenes import FOCAL, Camera, Item, Role, Scene, put, vector

MINE = "MyMug"
OTHERS = ("PlainTealMug", "DottedMug", "StripedMug", "CheckedMug", "NavyMug", "BandedMug", "OrangeMug")
MUG_RADIUS = 0.58  # as far as a handle may reach without entering a neighbour
PROPS = (
    Item("OrangeFruit()", "prop", 0.36),
    Item("Apple()", "prop", 0.36),
    Item("Book(<0.30, 0.03, 0.05>, 0.16)", "prop", 0.85),
    Item("Book(<0.05, 0.16, 0.10>, 0.24)", "prop", 0.85),
    Item("Plate(<0.80, 0.78, 0.72>, <0.08, 0.15, 0.40>)", "prop", 0.80),
    Item("Ball(<0.75, 0.08, 0.05>, <0.85, 0.80, 0.70>)", "prop", 0.46),
    Item("Ball(<0.04, 0.30, 0.32>, <0.85, 0.55, 0.05>)", "prop", 0.46),
    Item("Vase(<0.10, 0.18, 0.42>, <0.75, 0.75, 0.70>)", "prop", 0.42),
    Item("TableLamp(<0.90, 0.75, 0.50>)", "prop", 0.62),
)
TABLES = (
    "WoodTop(T_Wood10, 1.2, 88)",
    "WoodTop(T_Wood20, 2.0, 70)",
    "WoodTop(T_Wood35, 1.5, 95)",
    "PlankTop",
    "MarbleTop(<0.72, 0.70, 0.66>, <0.25, 0.26, 0.28>)",
    "Cloth(<0.75, 0.74, 0.70>, <0.42, 0.06, 0.07>, 0.55)",
    "Cloth(<0.66, 0.68, 0.66>, <0.58, 0.61, 0.60>, 0.12)",
    "Matt(rgb <0.62, 0.60, 0.55>)",
)
WALLS = (
    "Mottled(<0.70, 0.66, 0.56>, <0.62, 0.58, 0.50>, 0.25)",
    "Mottled(<0.30, 0.42, 0.38>, <0.26, 0.38, 0.35>, 0.20)",
    "Tiles(<0.72, 0.74, 0.72>, <0.62, 0.67, 0.68>, <0.35, 0.34, 0.32>, 0.9)",
    "Tiles(<0.10, 0.28, 0.32>, <0.06, 0.22, 0.28>, <0.60, 0.58, 0.52>, 0.7)",
    "Boards(<0.45, 0.30, 0.16>, <0.34, 0.20, 0.10>, 0.8)",
    "Bricks(<0.42, 0.14, 0.08>, <0.30, 0.10, 0.07>, <0.55, 0.52, 0.47>)",
    "Curtain(<0.52, 0.40, 0.20>, <0.66, 0.55, 0.34>)",
    "Wallpaper(<0.60, 0.52, 0.48>, <0.68, 0.62, 0.56>, 0.5)",
)
LIGHTS = (  # key lamp, fill
    ((1.05, 1.00, 0.92), (0.16, 0.18, 0.22)),  # day through a window
    ((1.20, 0.92, 0.62), (0.16, 0.14, 0.12)),  # bulb
    ((0.85, 0.98, 1.15), (0.18, 0.17, 0.14)),  # overcast
    ((1.15, 0.85, 0.70), (0.10, 0.13, 0.20)),  # evening
)


def _room(rng: Random, number: int, items: Sequence[Item]) -> tuple[str, ...]:
    # The strides walk through tables, walls and lights so that no two photos share all three.
    table, wall = TABLES[(3 * number) % len(TABLES)], WALLS[(5 * number + 2 + number // 8) % len(WALLS)]
    key, fill = LIGHTS[number % len(LIGHTS)]
    edge = max(item.place[2] + item.radius * item.scale for item in items) + rng.uniform(0.1, 1.5)
    gap = rng.choice((0.0, 0.0, 2.5))
    left = rng.choice((-1, 1))
    lamp = (left * rng.uniform(3, 8), rng.uniform(6, 10), rng.uniform(-8, -1))
    return (
        f"Room({table}, {edge:.3f}, {edge + gap:.3f}, {wall})",
        f"Lamp({vector(lamp)}, {vector(key)}, {rng.uniform(1.5, 4):.3f})",
        f"Fill({vector((-left * 6, 5, -6))}, {vector(fill)})",
    )


def still_life(rng: Random, number: int, *, mine: bool, shot: bool) -> Scene:
    """Table number `number`, with my mug if `mine`; shots are a little closer and less crowded."""
    height = rng.uniform(120, 178) if shot else rng.uniform(85, 165)  # pixels
    elevation = rng.uniform(12, 38)
    tall = math.cos(math.radians(elevation)) + 0.84 * math.sin(math.radians(elevation))  # side and rim
    camera = Camera((0.0, 0.45, 0.2), FOCAL * tall / height, elevation, rng.uniform(-28, 28))

    def mug(name: str) -> Item:
        shape = f"{name}({int(rng.random() < 0.4)})"
        role: Role = "mine" if name == MINE else "other"
        scale = 1.0 if name == MINE else rng.uniform(0.9, 1.1)
        return Item(shape, role, MUG_RADIUS, turn=rng.uniform(0, 360), scale=scale)

    names = rng.sample(OTHERS, rng.randint(1, 2) if shot else rng.randint(3, 4))
    first = mug(MINE if mine else names.pop())
    spot = camera.distance * 0.12
    items = [replace(first, place=(rng.uniform(-spot, spot), 0.0, rng.uniform(-spot, spot)))]
    props = rng.sample(PROPS, rng.randint(2, 3) if shot else rng.randint(2, 4))
    for item in [*map(mug, names), *(replace(prop, turn=rng.uniform(0, 360)) for prop in props)]:
        touching = item.role == "other" and rng.random() < 0.7
        placed = put(rng, item, items, camera, beside=items[0] if touching else None)
        if placed is not None:
            items.append(placed)
    return Scene(("mugs.inc", "still_life.inc"), camera, _room(rng, number, items), tuple(items))
