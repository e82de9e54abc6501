from __future__ import annotations

import os
import stat
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest
import torch
from safetensors.torch import load, save

from ovss_personal.benchmarks.composites.sources import default_root
from ovss_personal.errors import OutputError, OvssWarning, ResourceError
from ovss_personal.store.cache import (
    ProposalCache,
    default_folder,
    entry_bytes,
    entry_key,
)
from ovss_personal.store.tensors import seal
from ovss_personal.structures import Canvas, Proposals

KEYS = [entry_key(f"{number:064x}", "base") for number in range(5)]


def proposals(seed: int = 0) -> Proposals:
    generator = torch.Generator().manual_seed(seed)
    return Proposals(
        masks=torch.randn(4, 8, 8, generator=generator),
        embeddings=torch.randn(4, 6, generator=generator),
        features=torch.randn(6, 3, 3, generator=generator).transpose(1, 2),
        canvas=Canvas((30, 40), (24, 32), (32, 32)),
        extras={"pooled": torch.arange(4)},
    )


def test_an_entry_comes_back_to_the_bit(tmp_path: Path) -> None:
    kept = proposals()
    ProposalCache(tmp_path).put(KEYS[0], kept)
    found = ProposalCache(tmp_path).get(KEYS[0])
    assert found is not None
    for name in ("masks", "embeddings", "features"):
        assert torch.equal(getattr(found, name), getattr(kept, name))
        assert getattr(found, name).dtype == torch.float32
    assert found.canvas == kept.canvas
    assert list(found.extras) == ["pooled"]
    assert torch.equal(found.extras["pooled"], kept.extras["pooled"])


def test_masks_that_float16_holds_take_half_the_room_and_come_back_to_the_bit(tmp_path: Path) -> None:
    kept = proposals().rounded()
    ProposalCache(tmp_path).put(KEYS[0], kept)
    found = ProposalCache(tmp_path).get(KEYS[0])
    assert found is not None and torch.equal(found.masks, kept.masks) and found.masks.dtype == torch.float32
    assert entry_bytes(proposals()) - entry_bytes(kept) == pytest.approx(2 * kept.masks.numel(), abs=8)
    assert entry_bytes(kept) == ProposalCache(tmp_path).info()[1]


def test_keys_tell_images_and_bases_apart(tmp_path: Path) -> None:
    keys = {entry_key(image, base) for image in ("a", "b") for base in ("x", "y")}
    assert len(keys) == 4 and all(len(key) == 64 for key in keys)
    cache = ProposalCache(tmp_path)
    cache.put(KEYS[0], proposals())
    assert cache.get(KEYS[1]) is None


@pytest.mark.parametrize("damage", [b"", b"no safetensors", None])
def test_a_corrupt_entry_is_a_miss_and_goes(tmp_path: Path, damage: bytes | None) -> None:
    cache = ProposalCache(tmp_path)
    cache.put(KEYS[0], proposals())
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    assert cache.get(KEYS[0]) is None
    assert not path.exists()


def changed(path: Path, **changes: torch.Tensor) -> None:
    """An entry whose tensors somebody changed, in a file that is sound as such."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({**load_file(path), **changes}, path, metadata)


@pytest.mark.parametrize("what", ["negated", "NaN", "a bit of the canvas", "no checksum", "of another photo"])
def test_an_entry_that_was_changed_is_a_miss_and_goes(tmp_path: Path, what: str) -> None:
    cache, kept = ProposalCache(tmp_path), proposals()
    cache.put(KEYS[0], kept)
    (path,) = tmp_path.iterdir()
    if what == "negated":
        changed(path, embeddings=-kept.embeddings)
    elif what == "NaN":
        changed(path, embeddings=kept.embeddings * torch.nan)
    elif what == "a bit of the canvas":
        changed(path, canvas=torch.tensor([[30 + 2**40, 40], [24, 32], [32, 32]]))
    elif what == "no checksum":
        path.write_bytes(save(load(path.read_bytes())))
    else:
        cache.put(KEYS[1], proposals(1))
        (tmp_path / f"{KEYS[1]}.safetensors").replace(path)
    assert cache.get(KEYS[0]) is None and not path.exists()
    cache.put(KEYS[0], kept)
    found = cache.get(KEYS[0])
    assert found is not None and torch.equal(found.embeddings, kept.embeddings)


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": torch.zeros(5, 6)},
        {"masks": torch.zeros(4, 64)},
        {"features": torch.zeros(7, 3, 3)},
        {"masks": torch.zeros(4, 8, 8, dtype=torch.int64)},
        {"canvas": torch.tensor([[0, 40], [24, 32], [32, 32]])},
        {"canvas": torch.tensor([[2**21, 40], [24, 32], [32, 32]])},
        {"canvas": torch.zeros(3)},
    ],
)
def test_tensors_that_do_not_fit_together_are_a_miss(tmp_path: Path, change: dict[str, torch.Tensor]) -> None:
    kept = proposals()
    tensors = {"masks": kept.masks, "embeddings": kept.embeddings, "features": kept.features}
    sealed = {**tensors, "canvas": torch.tensor([[30, 40], [24, 32], [32, 32]])}
    path = tmp_path / f"{KEYS[0]}.safetensors"
    path.write_bytes(seal(sealed, KEYS[0]))
    assert ProposalCache(tmp_path).get(KEYS[0]) is not None
    path.write_bytes(seal({**sealed, **change}, KEYS[0]))
    assert ProposalCache(tmp_path).get(KEYS[0]) is None and not path.exists()


def test_a_file_of_other_tensors_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / f"{KEYS[0]}.safetensors").write_bytes(save({"masks": torch.zeros(2)}))
    assert ProposalCache(tmp_path).get(KEYS[0]) is None


def test_the_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    ProposalCache(tmp_path).put(KEYS[0], proposals())
    size = next(tmp_path.iterdir()).stat().st_size
    cache = ProposalCache(tmp_path, max_bytes=3 * size)
    for age, key in enumerate(KEYS[:3]):
        cache.put(key, proposals())
        os.utime(tmp_path / f"{key}.safetensors", (1000 + age, 1000 + age))
    assert cache.get(KEYS[0]) is not None  # now the freshest
    cache.put(KEYS[3], proposals())
    assert [cache.get(key) is not None for key in KEYS[:4]] == [True, False, True, True]
    assert cache.info() == (3, 3 * size)


def test_the_folder_is_counted_once_and_when_the_cache_seems_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = entry_bytes(proposals())
    keys = [entry_key(f"{number:064x}", "base") for number in range(100)]
    cache = ProposalCache(tmp_path, max_bytes=60 * size)
    scans = []
    entries = ProposalCache._entries
    monkeypatch.setattr(ProposalCache, "_entries", lambda self: scans.append(0) or entries(self))
    for key in keys[:60]:
        cache.put(key, proposals())
    assert len(scans) == 1
    cache.put(keys[60], proposals())  # counted, then emptied by a twentieth
    assert len(scans) == 3 and cache.info() == (58, 58 * size)
    cache.put(keys[61], proposals())
    cache.put(keys[62], proposals())
    assert len(scans) == 4, "the one more is info's"
    # Another process has emptied the folder: nothing goes that need not.
    ProposalCache(tmp_path).clear()
    cache.put(keys[63], proposals())
    assert cache.info() == (1, size)


def test_an_entry_larger_than_the_cache_leaves_it_alone(tmp_path: Path) -> None:
    ProposalCache(tmp_path).put(KEYS[0], proposals())
    ProposalCache(tmp_path, max_bytes=100).put(KEYS[1], proposals())
    assert ProposalCache(tmp_path).info()[0] == 1


def test_what_a_killed_write_left_is_evicted(tmp_path: Path) -> None:
    left = tmp_path / f".{KEYS[0]}.safetensors.1a2b3c4d.part"
    left.write_bytes(b"x" * 50)
    cache = ProposalCache(tmp_path)
    assert cache.clear() == (0, 0) and left.exists(), "it may still be written"
    os.utime(left, (1000, 1000))
    assert cache.clear() == (1, 50) and not left.exists()


def test_clear_removes_entries_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "holiday.safetensors").write_text("mine")
    cache = ProposalCache(tmp_path)
    for key in KEYS[:2]:
        cache.put(key, proposals())
    held = cache.info()
    assert held[0] == 2 and cache.clear() == held and cache.info() == (0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.safetensors"]


def test_a_folder_that_cannot_be_written_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = ProposalCache(tmp_path / "file" / "cache")
    with pytest.warns(OvssWarning, match="Going on without it"):
        cache.put(KEYS[0], proposals())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEYS[1], proposals())
    assert cache.get(KEYS[0]) is None and cache.info() == (0, 0) and cache.clear() == (0, 0)


def test_a_full_disk_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise ResourceError("the disk is full.")

    monkeypatch.setattr("ovss_personal.store.files.atomic_write", full)
    with pytest.warns(OvssWarning, match="the disk is full"):
        ProposalCache(tmp_path).put(KEYS[0], proposals())


def test_writers_and_readers_at_once(tmp_path: Path) -> None:
    ProposalCache(tmp_path).put(KEYS[0], proposals())
    size = next(tmp_path.iterdir()).stat().st_size

    def work(number: int) -> bool:
        cache = ProposalCache(tmp_path, max_bytes=3 * size)
        key = KEYS[number % len(KEYS)]
        cache.put(key, proposals(number % len(KEYS)))
        found = cache.get(key)
        return found is None or torch.equal(found.masks, proposals(number % len(KEYS)).masks)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", str(tmp_path))
    assert ProposalCache().folder == tmp_path / "proposals"
    assert default_root() == tmp_path / "stamps"
    monkeypatch.delenv("OVSS_PERSONAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == platformdirs.user_cache_path("ovss_personal", appauthor=False, opinion=False)
    if sys.platform == "linux":
        assert default_folder() == tmp_path / "xdg" / "ovss_personal"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of caches of a user that has no home, as in containers."""
    monkeypatch.delenv("OVSS_PERSONAL_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: Path("~/.cache/ovss_personal"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"ovss_personal-{os.getuid()}"


def test_who_has_no_home_keeps_caches_in_a_folder_of_their_own(homeless: Path) -> None:
    assert default_folder() == homeless
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700
    assert default_folder() == homeless, "it is there now"


@pytest.mark.parametrize("made", ["open to others", "somebody's", "link", "file"])
def test_a_temporary_folder_that_is_not_ours_alone_is_refused(
    homeless: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: str
) -> None:
    if made == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        homeless.symlink_to(tmp_path / "elsewhere")
    elif made == "file":
        homeless.touch(0o600)
    else:
        homeless.mkdir(mode=0o700)
        homeless.chmod(0o750 if made == "open to others" else 0o700)
    if made == "somebody's":
        homeless.rename(tmp_path / "ovss_personal-12345")
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(OutputError, match="not this user's alone") as refused:
        default_folder()
    assert refused.value.hint is not None and "OVSS_PERSONAL_CACHE" in refused.value.hint


def test_a_home_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", "~no_such_user_here/cache")
    with pytest.raises(OutputError, match="names a home that there is not"):
        default_folder()


@pytest.mark.parametrize("made", ["nobody's yet", "ours", "somebody's", "open to others", "below somebody's"])
def test_a_folder_in_a_shared_one_must_be_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: str) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    cache = shared / "cache"
    if made != "nobody's yet":
        (cache / "deep").mkdir(mode=0o700, parents=True)
        cache.chmod(0o777 if made == "open to others" else 0o700)
    if "somebody" in made:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        if os.geteuid() == 0:  # whose folders are fine for everybody
            os.chown(cache, 4321, -1)
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", str(cache / "deep" if "below" in made else cache))
    if made in ("nobody's yet", "ours"):
        assert default_folder() == cache
    else:
        with pytest.raises(OutputError, match="not this user's alone") as refused:
            default_folder()
        assert refused.value.path == str(cache)
