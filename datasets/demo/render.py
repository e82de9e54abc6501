"""Render the demo albums: photos with exact masks, the same bytes for the same POV-Ray.

    python datasets/demo/render.py [--album my_mug|my_bird] [--out FOLDER]

Needs POV-Ray 3.7 (`apt install povray`), numpy and Pillow; those who only use the albums need none of it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import birds
import mugs
import numpy as np
import numpy.typing as npt
from PIL import Image
from scenes import OTHER_STEP, SIZE, Scene

HERE = Path(__file__).resolve().parent
SHOTS, TESTS = 5, 12
JPEG_QUALITY = 92
GRAIN = 1.6  # standard deviation of the sensor noise, in grey levels
COMMON = (f"+W{SIZE}", f"+H{SIZE}", "+FN", "-D", "+WT1")
ID_PASS = ("-A", "File_Gamma=1.0", "Declare=IdPass=1")
PICTURE_PASS = ("+A0.06", "+AM2", "+R2", "File_Gamma=sRGB")
MIN_OTHER_PIXELS = 2500  # a photo without mine must show two others at least this large


@dataclass(frozen=True)
class Album:
    seed: int
    compose: Callable[..., Scene]  # (rng, number, *, mine, shot) -> Scene
    heights: tuple[int, int]  # pixels between which my thing must be tall
    visible: tuple[float, float]  # share of mine that must be seen: in shots, in test photos


ALBUMS = {
    "my_mug": Album(11, mugs.still_life, (78, 186), (0.87, 0.55)),
    "my_bird": Album(23, birds.garden, (90, 270), (0.87, 0.55)),
}


@dataclass(frozen=True)
class IdMap:
    mine: npt.NDArray[np.bool_]  # (H, W)
    others: npt.NDArray[np.uint8]  # (H, W), 0 = none, k = the k-th other


def run_povray(scene: Scene, *, ids: bool) -> npt.NDArray[np.uint8]:
    """(H, W, 3) picture of the scene; with `ids` its flat, unlit colours without antialiasing."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "scene.pov", Path(folder) / "scene.png"
        source.write_text(scene.text(), encoding="ascii")
        files = [f"+I{source}", f"+O{target}", f"+L{HERE / 'pov'}"]
        command = ["povray", *files, *COMMON, *(ID_PASS if ids else PICTURE_PASS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"povray failed:\n{done.stderr[-1500:]}")
        with Image.open(target) as picture:
            return np.asarray(picture.convert("RGB"))


def read_ids(scene: Scene) -> IdMap:
    colours = run_povray(scene, ids=True)
    return IdMap(colours[..., 0] > 127, np.rint(colours[..., 1] / OTHER_STEP).astype(np.uint8))


def acceptable(album: Album, scene: Scene, ids: IdMap, *, mine: bool, shot: bool) -> bool:
    """Whether mine is wholly in the frame, of the right size and not too hidden (or others show instead)."""
    if not mine:
        return int((np.bincount(ids.others.ravel())[1:] > MIN_OTHER_PIXELS).sum()) >= 2
    alone = read_ids(scene.only_mine()).mine
    rows, columns = np.flatnonzero(alone.any(axis=1)), np.flatnonzero(alone.any(axis=0))
    if not len(rows) or min(rows[0], columns[0]) < 4 or max(rows[-1], columns[-1]) >= SIZE - 4:
        return False
    low, high = album.heights
    seen = ids.mine.sum() / alone.sum()
    return bool(low <= rows[-1] - rows[0] + 1 <= high and seen >= album.visible[0 if shot else 1])


def find_scene(album: Album, number: int, *, mine: bool, shot: bool) -> tuple[Scene, IdMap]:
    """The first acceptable scene of this photo's seeds."""
    attempt = 0
    while True:
        rng = Random(f"{album.seed}/{number}/{attempt}")
        scene = album.compose(rng, number, mine=mine, shot=shot)
        ids = read_ids(scene)
        if acceptable(album, scene, ids, mine=mine, shot=shot):
            return scene, ids
        attempt += 1


def write_photo(folder: Path, name: str, scene: Scene, ids: IdMap, *, seed: int, others: bool) -> None:
    photo = run_povray(scene, ids=False).astype(np.float64)
    grain = np.random.default_rng(seed).normal(0, GRAIN, photo.shape)
    pixels = np.clip(np.rint(photo + grain), 0, 255).astype(np.uint8)
    for kind in ("images", "masks", *(["others"] if others else [])):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "images" / f"{name}.jpg", quality=JPEG_QUALITY)
    Image.fromarray(ids.mine.astype(np.uint8) * 255).save(folder / "masks" / f"{name}.png", optimize=True)
    if others:
        Image.fromarray(ids.others).save(folder / "others" / f"{name}.png", optimize=True)


def render_album(name: str, out: Path) -> None:
    album, start = ALBUMS[name], time.perf_counter()
    for number in range(SHOTS + TESTS):
        shot = number < SHOTS
        index = number + 1 if shot else number + 1 - SHOTS
        mine = shot or index % 2 == 1  # every other test photo is without mine
        scene, ids = find_scene(album, number, mine=mine, shot=shot)
        folder = out / name / ("shots" if shot else "test")
        write_photo(folder, str(index) if shot else f"{index:02d}", scene, ids, seed=number, others=not shot)
        print(f"{name} {folder.name} {index}: {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--album", choices=sorted(ALBUMS), help="only this album")
    parser.add_argument("--out", type=Path, default=HERE, help="where the albums go (default: here)")
    args = parser.parse_args()
    if shutil.which("povray") is None:
        sys.exit("POV-Ray is not installed. On Debian or Ubuntu: apt install povray")
    for name in [args.album] if args.album else ALBUMS:
        render_album(name, args.out)


if __name__ == "__main__":
    main()
