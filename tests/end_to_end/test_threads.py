"""How many threads compute changes roundings, and no picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from end_to_end.commands import run


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_one_thread_and_two_draw_the_same_pictures(album: Path, ball: Path, tmp_path: Path) -> None:
    pictures = []
    for count in (1, 2):
        torch.set_num_threads(count)
        out = tmp_path / str(count)
        run(
            "segment",
            str(album / "photos"),
            "--concept",
            str(ball),
            "--words",
            "grass",
            "--out",
            str(out),
            "--no-cache",
        )
        pictures.append({path.name: path.read_bytes() for path in out.glob("*.png")})
    assert len(pictures[0]) == 9 and pictures[0] == pictures[1]
