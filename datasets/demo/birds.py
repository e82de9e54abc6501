"""Album "my bird": mine among other birds on lawns, branches, fences, walls, tables and sills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from scenes import FOCAL, Camera, Item, Role, Scene, put, vector

MINE = "MyBird"
OTHERS = ("Robin", "BlueBird", "Tit", "Sparrow", "Canary", "Blackbird", "Jay")
BIRD_HEIGHT = 1.27  # scene units, crown to feet
BIRD_RADIUS = 0.58  # body and bill; tails may cross
POTS = (
    Item("Flowerpot(<0.75, 0.10, 0.15>)", "prop", 0.62),
    Item("Flowerpot(<0.80, 0.60, 0.08>)", "prop", 0.62),
)
PEBBLES = (Item("Pebble(<0.55, 0.52, 0.48>)", "prop", 0.45), Item("Pebble(<0.36, 0.28, 0.22>)", "prop", 0.45))
FRUIT = (Item("Apple()", "prop", 0.36), Item("OrangeFruit()", "prop", 0.36))

GREEN = "Behind(9, Foliage(<0.03, 0.08, 0.02>, <0.16, 0.28, 0.07>, <0.60, 0.62, 0.30>))"
HEDGE = "Behind(7, Foliage(<0.02, 0.05, 0.04>, <0.06, 0.15, 0.10>, <0.30, 0.42, 0.36>))"
AUTUMN = "Behind(9, Foliage(<0.16, 0.09, 0.03>, <0.45, 0.25, 0.07>, <0.75, 0.60, 0.35>))"
BRICKS = "Behind(4, Bricks(<0.42, 0.14, 0.08>, <0.30, 0.10, 0.07>, <0.55, 0.52, 0.47>))"
PLASTER = "Behind(4.2, Mottled(<0.70, 0.62, 0.46>, <0.62, 0.54, 0.40>, 0.3))"
HAZE = "Sky(<0.62, 0.70, 0.76>, <0.22, 0.40, 0.68>)"


@dataclass(frozen=True)
class Perch:
    setting: tuple[str, ...]
    depth: float  # 0 = a line along x, 1 = all that the camera sees
    props: tuple[Item, ...]


PERCHES = (
    Perch((HAZE, GREEN, "Lawn(3)"), 1.0, PEBBLES + POTS),
    Perch((HAZE, "Branch(4)"), 0.0, ()),
    Perch((HAZE, GREEN, "Ground()", "Fence(WeatheredRail, Weathered)"), 0.0, ()),
    Perch((HAZE, BRICKS, "TableTop()"), 0.4, POTS + FRUIT),
    Perch((HAZE, AUTUMN, "Ground()", "StoneWall(6)"), 0.1, PEBBLES),
    Perch((HAZE, GREEN, "WindowSill()"), 0.1, POTS),
    Perch((HAZE, AUTUMN, "Branch(9)"), 0.0, ()),
    Perch((HAZE, PLASTER, "Lawn(8)"), 0.7, POTS + PEBBLES),
    Perch((HAZE, HEDGE, "Ground()", "Fence(Painted, Painted)"), 0.0, ()),
)
SUNS = (  # key light, fill
    ((1.15, 1.05, 0.88), (0.10, 0.13, 0.18)),  # morning
    ((0.85, 0.90, 1.00), (0.16, 0.17, 0.18)),  # thin cloud
    ((1.25, 0.90, 0.60), (0.10, 0.12, 0.18)),  # evening
)


def _daylight(rng: Random, number: int) -> tuple[str, ...]:
    key, fill = SUNS[number % len(SUNS)]
    left = rng.choice((-1, 1))
    sun = (left * rng.uniform(3, 9), rng.uniform(7, 12), rng.uniform(-11, -4))
    return (
        f"Lamp({vector(sun)}, {vector(key)}, {rng.uniform(1, 3):.3f})",
        f"Fill({vector((-left * 6, 4, -7))}, {vector(fill)})",
        f"Fill({vector((-left * 4, 5, 5))}, {vector((0.22, 0.22, 0.22))})",  # rim light from behind
    )


def garden(rng: Random, number: int, *, mine: bool, shot: bool) -> Scene:
    """Garden number `number`, with my bird if `mine`; shots are closer and less crowded."""
    perch = PERCHES[number % len(PERCHES)]
    height = rng.uniform(180, 250) if shot else rng.uniform(115, 220)  # pixels
    camera = Camera(
        (0.0, 0.6, 0.0),
        FOCAL * BIRD_HEIGHT / height,
        rng.uniform(8, 24) if perch.depth >= 0.4 else rng.uniform(0, 14),
        rng.uniform(-22, 22),
    )

    def bird(name: str) -> Item:
        turn = rng.choice((0, 180)) + rng.uniform(-50, 50)  # more or less from the side
        role: Role = "mine" if name == MINE else "other"
        scale = 1.0 if name == MINE else rng.uniform(0.9, 1.1)
        return Item(f"{name}()", role, BIRD_RADIUS, turn=turn, scale=scale)

    fewest = 0 if shot else 1 if mine else 2
    names = rng.sample(OTHERS, rng.randint(fewest, fewest + 1))
    first = bird(MINE if mine else names.pop())
    items = [replace(first, place=(rng.uniform(-0.16, 0.16) * camera.distance, 0.0, 0.0))]
    props = rng.sample(perch.props, min(2, len(perch.props)))
    for item in [*map(bird, names), *(replace(prop, turn=rng.uniform(0, 360)) for prop in props)]:
        placed = put(rng, item, items, camera, depth=perch.depth)
        if placed is not None:
            items.append(placed)
    return Scene(("birds.inc", "garden.inc"), camera, (*perch.setting, *_daylight(rng, number)), tuple(items))
