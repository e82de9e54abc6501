"""Where cut-outs and backgrounds come from, and who may use which.

All of it is in three Debian packages (`fetch` unpacks them without root) and in the photographs that
scikit-image and scikit-learn ship. The lists below are the split: what is tested on is never trained on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import ImageError, InputError, ResourceError, UsageError
from ovss_personal.store.cache import default_folder

DEBIAN_PACKAGES = ("tuxpaint-stamps-default", "mate-backgrounds", "plasma-workspace-wallpapers")
UNPACK = f"Install or unpack the Debian packages {', '.join(DEBIAN_PACKAGES)}."
STAMPS = "tuxpaint/stamps"

# Drawings, signs and lettering: not photographs of things.
NOT_PHOTOGRAPHIC = ("symbols/", "town/flags/", "town/roadsigns/", "seasonal/halloween/grave", "people/toys/")
BIRDS = ("animals/birds/",)
BIRD_LIKE = ("seasonal/easter/bluebird", "seasonal/easter/chick", "seasonal/christmas/Roast_turkey")
# A second category kept out of training, so that the rendered mug album is a held-out one too.
TABLEWARE = ("household/dishes/",)
# Things of other kinds that stand in the corner of a benchmark picture.
DISTRACTORS = ("food/fruit/", "vehicles/auto/", "hobbies/music/string/")

# Photographs in which one object is the subject are in no list: people test on them.
TRAIN_BACKGROUNDS = (
    "wallpapers/BytheWater", "wallpapers/ColdRipple", "wallpapers/FallenLeaf", "wallpapers/Grey",
    "wallpapers/summer_1am", "backgrounds/mate/nature/Aqua.jpg", "backgrounds/mate/nature/Blinds.jpg",
    "backgrounds/mate/nature/FreshFlower.jpg", "backgrounds/mate/nature/LadyBird.jpg",
    "backgrounds/mate/nature/YellowFlower.jpg", "backgrounds/mate/nature/Wood.jpg", "skimage/brick.png",
    "skimage/gravel.png", "sklearn/flower.jpg",
)  # fmt: skip
# Abstract pictures teach where one texture ends and another begins.
TRAIN_ABSTRACT = (
    "wallpapers/Canopee", "wallpapers/Cascade", "wallpapers/Cluster", "wallpapers/Elarun", "wallpapers/Flow",
    "wallpapers/Honeywave", "wallpapers/IceCold", "wallpapers/Kay", "wallpapers/Kokkini", "wallpapers/Opal",
    "wallpapers/PastelHills", "wallpapers/Patak", "wallpapers/Shell", "wallpapers/Altai",
)  # fmt: skip
SHOT_BACKGROUNDS = (
    "backgrounds/mate/nature/Garden.jpg", "backgrounds/mate/nature/RainDrops.jpg", "wallpapers/Kite",
    "backgrounds/mate/nature/TwoWings.jpg", "backgrounds/mate/nature/Dune.jpg", "wallpapers/DarkestHour",
)  # fmt: skip
TEST_BACKGROUNDS = (
    "wallpapers/Path", "backgrounds/mate/nature/GreenMeadow.jpg", "backgrounds/mate/nature/Storm.jpg",
    "wallpapers/Volna", "wallpapers/OneStandsOut", "sklearn/china.jpg", "wallpapers/EveningGlow",
    "skimage/grass.png",
)  # fmt: skip

RGBA = npt.NDArray[np.uint8]  # (h, w, 4)
RGB = npt.NDArray[np.uint8]  # (h, w, 3)


@dataclass(frozen=True)
class Sources:
    """The unpacked packages.

    Args:
        root: a folder that holds `tuxpaint/`, `wallpapers/` and `backgrounds/`: `/usr/share` where the
            packages are installed, or what `fetch` made. Raises InputError if there are no stamps.
    """

    root: Path

    def __post_init__(self) -> None:
        if not (self.root / STAMPS).is_dir():
            raise InputError(f"no '{STAMPS}' folder here, so there are no cut-outs.", path=self.root, hint=UNPACK)

    def stamps(self, split: str) -> list[str]:
        """Names (paths below the stamps folder, no suffix) of `split`: "train", "birds" or "distractors"."""
        folder = self.root / STAMPS
        names = sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.png"))
        return [name for name in names if split_of(name) == split]

    def stamp_path(self, name: str) -> Path:
        return self.root / STAMPS / f"{name}.png"

    def cutout(self, name: str, max_side: int = 0) -> RGBA:
        """The stamp `name` as RGBA, cropped to its opaque box, at most `max_side` pixels a side (0: as it is).

        Raises ImageError if it cannot be read, as does `background`.
        """
        with _reading(self.stamp_path(name)) as path, Image.open(path) as stored:
            image = stored.convert("RGBA")
        box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
        image = image.crop(box) if box else image
        if max_side and max(image.size) > max_side:
            image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return np.asarray(image)

    def kind(self, name: str) -> str:
        """What the stamp shows, from the first line of its .txt ("An owl." -> "owl")."""
        text = self.stamp_path(name).with_suffix(".txt")
        first = text.read_text("utf-8", "replace").splitlines()[0] if text.is_file() else Path(name).name
        words = first.strip().rstrip(".!").split()
        if words and words[0].lower() in {"a", "an", "the", "some"}:
            words = words[1:]
        return " ".join(words).lower() or Path(name).name

    def background(self, name: str, max_side: int = 1280) -> RGB:
        """The background `name` as RGB, at most `max_side` pixels a side."""
        with _reading(self._background_path(name)) as path, Image.open(path) as stored:
            stored.draft("RGB", (max_side, max_side))
            image = stored.convert("RGB")
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return np.asarray(image)

    def _background_path(self, name: str) -> Path:
        package, _, rest = name.partition("/")
        if package == "skimage":
            import skimage

            return Path(skimage.__file__).parent / "data" / rest
        if package == "sklearn":
            import sklearn.datasets

            return Path(sklearn.datasets.__file__).parent / "images" / rest
        path = self.root / name
        if path.is_dir():  # a wallpaper comes in many sizes: the one nearest 1600 px wide will do
            sizes = sorted((path / "contents" / "images").iterdir(), key=lambda p: (_distance(p.stem), p.name))
            return sizes[0]
        return path


@contextmanager
def _reading(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:  # of Pillow too
        raise ImageError("is missing, or no picture that can be read.", path=path, hint=UNPACK) from error


def _distance(stem: str) -> int:
    return abs(int(stem.split("x")[0]) - 1600)


def split_of(name: str) -> str | None:
    """Which split a stamp belongs to: "train", "birds", "distractors", or None where it belongs to no one."""
    if "cartoon" in name or name.endswith("_mirror") or name.startswith(NOT_PHOTOGRAPHIC + BIRD_LIKE + TABLEWARE):
        return None
    if name.startswith(BIRDS):
        return "birds"
    return "distractors" if name.startswith(DISTRACTORS) else "train"


def default_root() -> Path:
    """Where `fetch` puts things: `$OVSS_PERSONAL_STAMPS`, or `stamps` in the folder of all caches."""
    named = os.environ.get("OVSS_PERSONAL_STAMPS")
    return Path(named) if named else default_folder() / "stamps"


def fetch(root: Path | None = None, packages: Sequence[str] = DEBIAN_PACKAGES) -> Sources:
    """Unpack the Debian packages below `root`, unless they are there or installed. Needs no root rights.

    Raises:
        UsageError: this machine has no apt-get.
        ResourceError: a package could not be downloaded or unpacked.
    """
    installed = Path("/usr/share")
    if root is None and all((installed / p).is_dir() for p in (STAMPS, "backgrounds/mate", "wallpapers/Path")):
        return Sources(installed)
    root = root or default_root()
    if (root / STAMPS).is_dir():
        return Sources(root)
    if shutil.which("apt-get") is None:
        raise UsageError(
            "the cut-outs come as Debian packages, and this machine has no apt-get.",
            hint=f"unpack {', '.join(packages)} by hand and name the folder that holds '{STAMPS}'.",
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".stamps-") as work:
        for command in (["apt-get", "download", "-q", *packages], None):
            for argv in [command] if command else [["dpkg", "-x", str(d), "x"] for d in Path(work).glob("*.deb")]:
                done = subprocess.run(argv, cwd=work, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise ResourceError(
                        f"'{' '.join(argv)}' failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}.",
                        hint="run 'apt-get update' first, or unpack the packages by hand.",
                    )
        (Path(work) / "x" / "usr" / "share").rename(root)
    return Sources(root)
