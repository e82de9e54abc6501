from __future__ import annotations

import os
from pathlib import Path

import pytest

from ovss_personal.errors import ImageError, InputError
from ovss_personal.io.files import glob_files, list_files, require_file, sha256_file


def test_require_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(ImageError, match="no such file"):
        require_file(path, ImageError)
    with pytest.raises(InputError, match="cannot be opened"):
        require_file("a\0b")
    with pytest.raises(InputError, match="File name too long"):
        require_file("a" * 5000)
    with pytest.raises(InputError, match="found a folder"):
        require_file(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="0 bytes"):
        require_file(path)
    path.write_bytes(b"x")
    assert require_file(str(path)) == path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe"):
        require_file(tmp_path / "pipe")


def test_list_files_leaves_junk_out(tmp_path: Path) -> None:
    for name in ("b.jpg", "A.JPG", ".hidden.jpg", "._b.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    assert [file.name for file in list_files(tmp_path)] == ["A.JPG", "b.jpg"]
    with pytest.raises(InputError, match="cannot be listed"):
        list_files(tmp_path / "absent")


def test_sha256_file(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match="cannot be read"):
        sha256_file(tmp_path)


def test_brackets_of_a_folder_that_is_there_are_its_name_s(tmp_path: Path) -> None:
    for name in ("trip [2024]/1.jpg", "trip [2024]/2.jpg", "trip 2/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    folder = tmp_path / "trip [2024]"
    assert glob_files(folder / "[13].jpg") == [folder / "1.jpg"]
    assert glob_files(folder / "1.jpg") == [folder / "1.jpg"]
    assert glob_files(tmp_path / "trip [2]" / "*.jpg") == [tmp_path / "trip 2" / "3.jpg"]
    assert glob_files(folder / "x*") == []
