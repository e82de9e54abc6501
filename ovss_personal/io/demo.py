"""The demo albums, which come with the program."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def demo_albums() -> tuple[str, ...]:
    """Their names."""
    return tuple(sorted(p.name for p in _folder().iterdir() if (p / "shots").is_dir()))


def demo_album(name: str) -> Path:
    """The folder of shots of a demo album (`images/` and `masks/` in it)."""
    return _folder() / name / "shots"


def _folder() -> Path:
    return Path(str(files("ovss_personal.demo_data")))
