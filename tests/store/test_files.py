from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from fakes import unprivileged
from hypothesis import given, settings
from hypothesis import strategies as st

from ovss_personal.errors import OutputError, ResourceError
from ovss_personal.store import files
from ovss_personal.store.files import atomic_folder, atomic_write, locked, safe_name


def disk_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_atomic_write_makes_parents_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file.bin"
    atomic_write(path, b"old")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file.bin"]


def test_atomic_write_respects_the_umask(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_atomic_write_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic_write(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"x"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr(os, step, disk_full)
    with pytest.raises(ResourceError, match="the disk is full"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_unwritable_places_are_output_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        atomic_write(tmp_path / "file" / "below", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        atomic_write(tmp_path / "folder", b"")

    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        atomic_write(tmp_path / "other", b"")


def test_atomic_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "concepts" / "my_mug"
    with atomic_folder(target) as part:
        assert part.parent == target.parent
        assert not target.exists()
        (part / "sub").mkdir()
        (part / "sub" / "a").write_text("1")
    assert (target / "sub" / "a").read_text() == "1"
    assert names(target.parent) == ["my_mug"]


def test_atomic_folder_vanishes_on_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out") as part:
        (part / "a").write_text("1")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_atomic_folder_reports_a_disk_that_fills_up(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="the disk is full"), atomic_folder(tmp_path / "out"):
        disk_full()
    assert names(tmp_path) == []


def existing(tmp_path: Path, marker: str = "config.json") -> Path:
    target = tmp_path / "out"
    target.mkdir()
    (target / marker).write_text("old")
    return target


def test_atomic_folder_refuses_what_exists(tmp_path: Path) -> None:
    target = existing(tmp_path)
    with pytest.raises(OutputError, match="the output folder exists") as caught, atomic_folder(target):
        pytest.fail("the block must not run")
    assert "--overwrite" in str(caught.value.hint)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"), atomic_folder(tmp_path / "file", overwrite=True):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("swap", ["exchange", "two renames"])
def test_atomic_folder_overwrites_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: str) -> None:
    if swap == "two renames":
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    target = existing(tmp_path)
    with atomic_folder(target, overwrite=True, owned_by="config.json") as part:
        (part / "new").write_text("new")
        assert (target / "config.json").read_text() == "old"
    assert names(target) == ["new"]
    assert names(tmp_path) == ["out"]


def test_atomic_folder_never_overwrites_what_is_not_ours(tmp_path: Path) -> None:
    target = existing(tmp_path, "holiday.jpg")
    with (
        pytest.raises(OutputError, match="not ours to overwrite"),
        atomic_folder(target, overwrite=True, owned_by="config.json"),
    ):
        pytest.fail("the block must not run")
    assert (target / "holiday.jpg").read_text() == "old"


def test_atomic_folder_fills_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out", overwrite=True, owned_by="config.json") as part:
        (part / "config.json").write_text("new")
    assert names(tmp_path / "out") == ["config.json"]


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists"), atomic_folder(tmp_path / "out"):
        existing(tmp_path)
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "config.json").read_text() == "old"


OVERWRITE_FOR_EVER = """
import sys
from pathlib import Path
from ovss_personal.store.files import atomic_folder
while True:
    with atomic_folder(sys.argv[1], overwrite=True, owned_by="config.json") as part:
        (part / "config.json").write_text("new")
"""


def test_a_kill_leaves_a_whole_folder(tmp_path: Path) -> None:
    target = existing(tmp_path)
    for wait in (0.0, 0.003, 0.01):
        (target / "config.json").write_text("old")
        process = subprocess.Popen([sys.executable, "-c", OVERWRITE_FOR_EVER, str(target)])
        deadline = time.monotonic() + 10
        while (target / "config.json").read_text() == "old" and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(wait)
        process.kill()
        process.wait()
        assert (target / "config.json").read_text() == "new"


def test_lock_is_exclusive_and_let_go(tmp_path: Path) -> None:
    target = tmp_path / "concepts" / "my_mug"
    with locked(target):
        with pytest.raises(OutputError, match="another process is writing here"), locked(target):
            pytest.fail("the block must not run")
        with locked(tmp_path / "other"):
            pass
    with locked(target):
        pass


def test_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a"):
        raise ZeroDivisionError
    with locked(tmp_path / "a"):
        pass


def test_lock_in_an_impossible_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / "below"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my mug", "my_mug"),
        ("  my   mug\n", "my_mug"),
        ("../../etc/passwd", "etc_passwd"),
        (".hidden", "hidden"),
        ("C:\\mug", "C_mug"),
        ("--rf", "rf"),
        ("моя кружка", "моя_кружка"),
        ("私のカップ", "私のカップ"),
        ("मेरा कप", "मेरा_कप"),
        ("cafe\u0301", "café"),
        ("nul", "nul_concept"),
        ("<b>mug</b>", "b_mug_b"),
    ],
)
def test_safe_name(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_safe_name_tells_nameless_names_apart() -> None:
    assert safe_name("🐶").startswith("concept-")
    assert safe_name("🐶") != safe_name("🐱")
    assert safe_name("") == safe_name("")


@given(st.text(st.characters(), max_size=200))
@settings(derandomize=True, deadline=None)
def test_safe_name_always_is(text: str) -> None:
    name = safe_name(text)
    assert name
    assert len(name.encode()) <= 120
    assert not set(name) & set('/\\:*?"<>|.\0\n ')
    assert name[0] != "-"
    assert safe_name(name) == name


def test_a_taken_name_gets_the_next_number_whatever_its_case() -> None:
    assert files.unused_name("a", ["b"]) == "a"
    assert files.unused_name("A", ["a", "a-2"]) == "A-3"


def aged(path: Path, seconds: float) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "out"):
        assert names(tmp_path) == [".out.lock"]
    assert names(tmp_path) == []


def test_the_next_write_removes_what_killed_ones_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in (".out.1a2b3c4d.part", "out/.a.png.1a2b3c4d.part", ".other.1a2b3c4d.part", "out/.new.9f9f9f9f.part"):
        (tmp_path / path).write_bytes(b"x")
        aged(tmp_path / path, 60 if "new" in path else 4000)
    folder = tmp_path / ".out.0a0a0a0a.part"
    folder.mkdir()
    aged(folder, 25 * 3600)
    with locked(out):
        pass
    assert names(tmp_path) == [".other.1a2b3c4d.part", "out"], "others' are not ours to remove"
    assert names(out) == [".new.9f9f9f9f.part"], "it may still be written"


def test_an_old_folder_that_waits_for_the_new_one_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / ".out.0a0a0a0a.part"
    folder.mkdir()
    aged(folder, 25 * 3600)
    with locked(tmp_path / "out"):
        pass
    assert folder.is_dir()


def test_a_lock_where_no_file_can_be_made_is_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock, Timeout

    def acquire(self: FileLock, timeout: float) -> None:
        raise Timeout(str(self.lock_file))

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(OutputError, match="no file can be made here"), locked(tmp_path / "out"):
        pytest.fail("the block must not run")


def test_a_folder_in_an_unwritable_one_is_locked_inside(tmp_path: Path) -> None:
    out = tmp_path / "drive" / "out"
    out.mkdir(parents=True)
    out.parent.chmod(0o555)
    with unprivileged(), locked(out):
        assert names(out) == [".ovss_personal.lock"]
        with pytest.raises(OutputError, match="another process"), locked(out):
            pytest.fail("the block must not run")
    out.parent.chmod(0o755)
    assert names(out) == []


def test_a_file_is_not_written_through_a_link_when_told_so(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"dear")
    (tmp_path / "out.png").symlink_to(tmp_path / "theirs")
    with pytest.raises(OutputError, match="is a link"):
        atomic_write(tmp_path / "out.png", b"x", through_links=False)
    assert (tmp_path / "theirs").read_bytes() == b"dear"


@pytest.mark.parametrize("name", ["a" * 255, "я" * 127])
def test_a_name_of_255_bytes_can_be_written_and_locked(tmp_path: Path, name: str) -> None:
    with locked(tmp_path / name):
        atomic_write(tmp_path / name, b"x")
    assert names(tmp_path) == [name]
    with pytest.raises(OutputError, match="File name too long"):
        atomic_write(tmp_path / ("a" * 256), b"x")


def test_a_stem_is_short_and_can_be_seen() -> None:
    assert files.file_stem("caf\udce9 \x1b[2J\n", 100) == "caf_ _[2J_"
    assert files.file_stem("я" * 100, 21) == "я" * 10
    assert files.file_stem("garden", 6) == "garden"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second file system here")
def test_an_output_on_another_file_system_than_the_temporary_one(tmp_path: Path) -> None:
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("temporary files are on it as well")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        out = Path(folder) / "out" / "a.bin"
        with locked(out.parent):
            atomic_write(out, b"first")
            atomic_write(out, b"second")
        assert out.read_bytes() == b"second" and [path.name for path in out.parent.iterdir()] == ["a.bin"]
