"""Stand-ins that are small, exact and made by code: a base that sees colours, and a tree of stamps."""

from fakes.base import COLOURS, DIM, FakeBase, photo, shot
from fakes.stamps import write_stamps

__all__ = ["COLOURS", "DIM", "FakeBase", "photo", "shot", "write_stamps"]
