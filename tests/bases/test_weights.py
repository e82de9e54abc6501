"""Weights from each place they may come from, and everything that may be wrong with them on the way."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fakes.checkpoints import CONSTANT, saved, tiny, tiny_spec
from fakes.hub import FakeHub, fake_hub

from ovss_personal.bases import BASES, weights
from ovss_personal.bases.weights import WEIGHTS, Weights, WeightSpec, load_weights, locate, pull, verify
from ovss_personal.errors import OutputError, OvssError, OvssWarning, ResourceError, WeightsError

LICENCE = "the licence of these weights is MIT, see https://example.org/tiny"


@pytest.fixture(scope="module")
def content() -> bytes:
    """A checkpoint as training leaves it."""
    return saved({"model": {CONSTANT: torch.ones(4), **tiny()}, "iteration": 60000})


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightSpec:
    """Of the size `tiny`; there is another, `tinier`."""
    specs = {name: tiny_spec(tmp_path, name) for name in ("tiny", "tinier")}
    monkeypatch.setattr(weights, "WEIGHTS", specs)
    return specs["tiny"]


@pytest.fixture
def hub(content: bytes) -> Iterator[FakeHub]:
    with fake_hub() as server:
        server.files["tiny.pth"] = content
        yield server


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def fetched(spec: WeightSpec) -> Weights:
    """Loads what has to be downloaded, which is told."""
    with pytest.warns(OvssWarning, match=LICENCE):
        return load_weights(spec)


def failure(spec: WeightSpec, expected: type[OvssError] = WeightsError) -> OvssError:
    """The error in which a download ends."""
    with pytest.warns(OvssWarning, match=LICENCE), pytest.raises(expected) as caught:
        load_weights(spec)
    assert "\n" not in str(caught.value)
    return caught.value


def kept(spec: WeightSpec) -> list[str]:
    """All files in the cache of these weights."""
    return sorted(str(path.relative_to(spec.folder)) for path in spec.folder.rglob("*") if path.is_file())


def is_tiny(found: Weights, content: bytes) -> bool:
    same = found.tensors.keys() == tiny().keys()
    same = same and all(torch.equal(found.tensors[name], tensor) for name, tensor in tiny().items())
    return same and found.sha256 == hashlib.sha256(content).hexdigest()


def disk_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# the hub


def test_a_first_download_is_told_recorded_and_kept_as_safetensors(
    spec: WeightSpec, hub: FakeHub, content: bytes
) -> None:
    assert is_tiny(fetched(spec), content)
    assert hub.ranges == [None]
    digest = hashlib.sha256(content).hexdigest()
    record, entry = sorted(kept(spec), key=len)
    assert (record, Path(entry).parent.name) == ("tiny.pth.sha256", digest)
    assert (spec.folder / record).read_text() == f"{digest}  tiny.pth\n", "as sha256sum writes it"
    assert hashlib.sha256((spec.folder / entry).read_bytes()).hexdigest() == Path(entry).stem
    hub.asked.clear()
    assert is_tiny(load_weights(spec), content)
    assert hub.asked == [], "nothing more is asked of the hub"
    assert locate(spec) == spec.folder / entry


def test_a_connection_that_breaks_is_taken_up_where_it_broke(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    hub.cuts = [1000, 0, 700]
    assert is_tiny(fetched(spec), content)
    assert hub.ranges == [None, "bytes=1000-", "bytes=1000-", "bytes=1700-"]


def test_a_download_goes_on_in_another_run(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    hub.cuts = [1000, *[0] * 5]
    error = failure(spec)
    assert "could not be downloaded" in str(error) and "OVSS_PERSONAL_WEIGHTS" in str(error.hint)
    (part,) = kept(spec)
    assert part.startswith(".tiny.pth.") and (spec.folder / part).read_bytes() == content[:1000]
    assert locate(spec) is None and verify(spec) is None
    hub.asked.clear()
    assert is_tiny(fetched(spec), content)
    assert hub.ranges == ["bytes=1000-"]
    assert not any(name.endswith(".part") for name in kept(spec))


def test_what_was_begun_on_an_older_version_is_not_gone_on_with(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    hub.files["tiny.pth"] = saved(tiny(seed=1))
    hub.cuts = [1000, *[0] * 5]
    failure(spec)
    hub.files["tiny.pth"] = content
    assert is_tiny(fetched(spec), content)
    assert hub.ranges[-1] is None
    assert not any(name.endswith(".part") for name in kept(spec))


def test_a_file_that_the_hub_does_not_have(spec: WeightSpec, hub: FakeHub) -> None:
    hub.files.clear()
    with pytest.raises(WeightsError, match=r"tiny\.pth: could not be downloaded \(404 Client Error") as caught:
        load_weights(spec)
    assert caught.value.exit_code == 4 and "\n" not in str(caught.value)
    assert kept(spec) == []


def test_a_hub_that_does_not_answer(spec: WeightSpec, hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        silent = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        template = silent + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        for each in (spec, dataclasses.replace(spec, url=f"{silent}/tiny.pth")):
            with pytest.raises(WeightsError, match=r"could not be downloaded \(.*refused"):
                load_weights(each)
    assert caplog.records == []


def test_a_hub_that_fails_after_it_promised(spec: WeightSpec, hub: FakeHub) -> None:
    hub.broken = True
    assert "503" in str(failure(spec))
    assert locate(spec) is None


def test_bytes_that_are_not_those_the_hub_names(spec: WeightSpec, hub: FakeHub) -> None:
    hub.etag = "0" * 64
    digest = hashlib.sha256(hub.files["tiny.pth"]).hexdigest()
    assert f"was damaged on its way: its sha256 is {digest}, the hub says 0000" in str(failure(spec))
    assert kept(spec) == []


def test_an_etag_that_is_no_checksum_is_none(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    hub.etag = "../../etag"
    assert is_tiny(fetched(spec), content)


def test_another_file_later_is_refused(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    fetched(spec)
    (entry,) = (name for name in kept(spec) if name.endswith(".safetensors"))
    (spec.folder / entry).unlink()
    (spec.folder / entry).parent.rmdir()
    hub.files["tiny.pth"] = saved(tiny(seed=1))
    error = failure(spec)
    assert f"that of the first download was {hashlib.sha256(content).hexdigest()}." in str(error)
    assert error.exit_code == 4 and kept(spec) == ["tiny.pth.sha256"]
    (spec.folder / "tiny.pth.sha256").unlink()
    assert torch.equal(fetched(spec).tensors["bias"], tiny(seed=1)["bias"]), "the hint helps"


def test_a_checksum_that_we_know_is_held_to(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    right = hashlib.sha256(content).hexdigest()
    wrong = dataclasses.replace(spec, sha256="1" * 64)
    assert f"its sha256 is {right}, and that of tiny.pth is {'1' * 64}" in str(failure(wrong))
    shorter = dataclasses.replace(spec, bytes=10)
    assert f"is {len(content)} bytes, and tiny.pth is 10." in str(failure(shorter))
    assert kept(spec) == []
    known = dataclasses.replace(spec, sha256=right, bytes=len(content))
    fetched(known)
    found = verify(known)
    assert found is not None and found.against == "known"
    with pytest.raises(WeightsError, match="is not the sha256 of these weights"):
        load_weights(wrong)


def test_a_checksum_of_which_we_know_the_beginning_is_held_to_that(
    spec: WeightSpec, hub: FakeHub, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hashlib.sha256(content).hexdigest()
    wrong = dataclasses.replace(spec, sha256="1" * 8)
    assert f"its sha256 is {right}, and that of tiny.pth begins with 11111111." in str(failure(wrong))
    known = dataclasses.replace(spec, sha256=right[:8])
    assert is_tiny(fetched(known), content)
    found = verify(known)
    assert found is not None and found.against == "recorded", "which says more than eight digits"
    monkeypatch.setenv("OVSS_PERSONAL_WEIGHTS", str(tmp_path))
    (tmp_path / "tiny.pth").write_bytes(content)
    found = verify(known)
    assert found is not None and found.against == "beginning"


def test_a_file_that_is_not_on_the_hub_is_told_resumed_and_recorded(
    spec: WeightSpec, hub: FakeHub, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    elsewhere = dataclasses.replace(spec, url=f"{hub.address}/elsewhere/tiny.pth")
    hub.cuts = [1000, *[0] * 5]
    error = failure(elsewhere)
    assert str(error).startswith(f"{elsewhere.url}: could not be downloaded")
    assert is_tiny(fetched(elsewhere), content)
    assert hub.ranges[-1] == "bytes=1000-" and kept(spec)[-1] == "tiny.pth.sha256"
    assert not any(hub.tokens), "nobody but the hub is told who asks"
    hub.asked.clear()
    assert is_tiny(load_weights(elsewhere, offline=True), content) and hub.asked == []
    hub.files.clear()
    with pytest.raises(WeightsError, match=r"elsewhere/none: could not be downloaded \(.*404"):
        load_weights(dataclasses.replace(spec, name="none", url=f"{hub.address}/elsewhere/none"))


def test_what_an_open_ended_manifest_does_not_list_is_left_out(spec: WeightSpec, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.ckpt"
    chosen.write_bytes(saved({"state_dict": {**tiny(), "model_ema.decay": torch.ones(1)}}))
    with pytest.raises(WeightsError, match=r"model_ema\.decay is not known"):
        load_weights(spec, str(chosen))
    tensors = load_weights(dataclasses.replace(spec, open_ended=True), str(chosen)).tensors
    assert tensors.keys() == tiny().keys()


def test_a_download_of_the_other_size_is_not_kept(spec: WeightSpec, hub: FakeHub) -> None:
    hub.files["tiny.pth"] = saved(tiny("tinier"))
    address = rf"{hub.address}/somebody/tiny/resolve/\w{{40}}/tiny\.pth"
    assert re.fullmatch(rf"{address}: this is tinier, not tiny\.", str(failure(spec)))
    assert kept(spec) == []


def test_two_at_once_download_once(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    with pytest.warns(OvssWarning, match=LICENCE), ThreadPoolExecutor(2) as pool:
        found = list(pool.map(load_weights, [spec, spec]))
    assert all(is_tiny(each, content) for each in found)
    assert hub.ranges == [None]


# offline


def test_offline_opens_no_socket(spec: WeightSpec, no_sockets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="offline nothing is downloaded") as caught:
        load_weights(spec, offline=True)
    assert caught.value.exit_code == 4 and "weights pull tiny" in str(caught.value.hint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="offline nothing is downloaded"):
        load_weights(spec)
    with pytest.raises(WeightsError, match="offline nothing is downloaded"):
        pull(spec)


def test_offline_takes_what_is_here(
    spec: WeightSpec, hub: FakeHub, content: bytes, request: pytest.FixtureRequest
) -> None:
    fetched(spec)
    request.getfixturevalue("no_sockets")
    assert is_tiny(load_weights(spec, offline=True), content)


# local files


def test_a_file_of_the_user_s_comes_first(spec: WeightSpec, hub: FakeHub, tmp_path: Path, no_sockets: None) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(saved(tiny(seed=7)))
    found = load_weights(spec, str(chosen))
    assert torch.equal(found.tensors["bias"], tiny(seed=7)["bias"])
    assert found.sha256 == hashlib.sha256(chosen.read_bytes()).hexdigest()
    assert locate(spec) is None, "it is nobody's download"


def test_a_changed_file_converts_anew_whatever_its_date(spec: WeightSpec, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(saved(tiny(seed=7)))
    before = load_weights(spec, str(chosen))
    status = chosen.stat()
    chosen.write_bytes(saved(tiny(seed=8)))
    os.utime(chosen, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert chosen.stat().st_size == status.st_size
    after = load_weights(spec, str(chosen))
    assert after.sha256 != before.sha256 and torch.equal(after.tensors["bias"], tiny(seed=8)["bias"])
    assert torch.equal(before.tensors["bias"], tiny(seed=7)["bias"]), "what is in use stays"
    assert len(kept(spec)) == 1, "of the user's files, the last one's conversion is kept"


def test_it_is_converted_once(spec: WeightSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(saved(tiny()))
    load_weights(spec, str(chosen))
    monkeypatch.setattr(weights, "read_checkpoint", lambda _: pytest.fail("read again"))
    load_weights(spec, str(chosen))


def test_a_damaged_conversion_is_made_again(spec: WeightSpec, tmp_path: Path, content: bytes) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(content)
    load_weights(spec, str(chosen))
    (entry,) = kept(spec)
    damage(spec.folder / entry)
    assert is_tiny(load_weights(spec, str(chosen)), content)
    assert kept(spec) == [entry]


def test_conversions_of_other_files_leave_the_download(
    spec: WeightSpec, hub: FakeHub, content: bytes, tmp_path: Path
) -> None:
    fetched(spec)
    for seed in (1, 2):
        (tmp_path / "mine.pth").write_bytes(saved(tiny(seed=seed)))
        load_weights(spec, str(tmp_path / "mine.pth"))
    assert len(kept(spec)) == 3
    assert is_tiny(load_weights(spec, offline=True), content)


def test_the_user_s_folder_comes_before_cache_and_hub(
    spec: WeightSpec, tmp_path: Path, content: bytes, no_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVSS_PERSONAL_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="not on this machine"):
        load_weights(spec, offline=True)
    (tmp_path / "tiny.pth").write_bytes(content)
    assert is_tiny(load_weights(spec), content)
    assert locate(spec) == tmp_path / "tiny.pth"
    found = verify(spec)
    assert found is not None and (found.against, found.sha256) == ("nothing", hashlib.sha256(content).hexdigest())
    wrong = dataclasses.replace(spec, sha256="1" * 64)
    for check in (load_weights, verify):
        with pytest.raises(WeightsError, match=r"that of tiny\.pth is 1111"):
            check(wrong)
    assert is_tiny(load_weights(wrong, str(tmp_path / "tiny.pth")), content), "--weights may be any"


@pytest.mark.parametrize(("name", "what"), [("none.pth", "there is no such file"), ("", "found a folder")])
def test_a_file_that_is_none(spec: WeightSpec, tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(WeightsError, match=what) as caught:
        load_weights(spec, str(tmp_path / name))
    assert caught.value.exit_code == 4


def test_a_checkpoint_of_the_other_size_is_named(spec: WeightSpec, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(saved({"model": tiny("tinier")}))
    with pytest.raises(WeightsError, match=r"mine.pth: this is tinier, not tiny\.") as caught:
        load_weights(spec, str(chosen))
    assert caught.value.exit_code == 4 and "--base tinier" in str(caught.value.hint)
    assert kept(spec) == []


def test_a_checkpoint_of_something_else_lists_the_first_differences(spec: WeightSpec, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(saved({"conv.weight": torch.ones(2)}))
    with pytest.raises(WeightsError) as caught:
        load_weights(spec, str(chosen))
    assert str(caught.value) == (
        f"{chosen}: does not hold the weights of tiny: block.0.weight is missing, not 3x40 float32; block.1.weight is "
        "missing, not 3x40 float32; block.2.weight is missing, not 3x40 float32; and 6 more."
    )


# the cache


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_damaged_download_is_an_error_that_pull_mends(spec: WeightSpec, hub: FakeHub, content: bytes) -> None:
    fetched(spec)
    assert verify(spec) == (locate(spec), hashlib.sha256(content).hexdigest(), "recorded")
    path = locate(spec)
    assert path is not None
    damage(path)
    for check in (load_weights, verify):
        with pytest.raises(WeightsError, match="is damaged") as caught:
            check(spec)
        assert caught.value.exit_code == 4 and "weights pull tiny" in str(caught.value.hint)
    with pytest.warns(OvssWarning, match=LICENCE):
        found = pull(spec)
    assert (found.against, found.path) == ("recorded", spec.folder)
    assert is_tiny(load_weights(spec), content)
    hub.asked.clear()
    assert pull(spec) == found and hub.asked == []


@pytest.mark.parametrize("text", [b"", b"not a checksum", b"\xff\xfe"])
def test_a_damaged_record_is_an_error(spec: WeightSpec, hub: FakeHub, text: bytes) -> None:
    fetched(spec)
    (spec.folder / "tiny.pth.sha256").write_bytes(text)
    with pytest.raises(WeightsError, match="is not the sha256 of these weights") as caught:
        load_weights(spec)
    assert str(caught.value.hint).startswith("Remove it")


def test_a_full_disk_while_downloading_leaves_nothing(
    spec: WeightSpec, hub: FakeHub, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk_full)
        error = failure(spec, ResourceError)
    assert error.exit_code == 5 and "the disk is full" in str(error)
    assert kept(spec) == []
    assert is_tiny(fetched(spec), content)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="the system has no device that is always full")
def test_a_disk_that_fills_up_in_the_middle(spec: WeightSpec, hub: FakeHub) -> None:
    hub.cuts = [1000, *[0] * 5]
    failure(spec)
    (part,) = kept(spec)
    (spec.folder / part).unlink()
    (spec.folder / part).symlink_to("/dev/full")
    assert failure(spec, ResourceError).exit_code == 5
    assert list(spec.folder.iterdir()) == []


def test_a_full_disk_while_converting_keeps_the_whole_download_alone(
    spec: WeightSpec, hub: FakeHub, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(weights, "write_safetensors", disk_full)
        assert failure(spec, ResourceError).exit_code == 5
    (part,) = kept(spec)
    assert (spec.folder / part).read_bytes() == content
    hub.asked.clear()
    assert is_tiny(fetched(spec), content)
    assert hub.ranges == [], "not a byte is downloaded again"


def test_a_full_disk_while_converting_a_local_file(
    spec: WeightSpec, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.pth").write_bytes(content)
    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(ResourceError, match="the disk is full"):
        load_weights(spec, str(tmp_path / "mine.pth"))
    assert kept(spec) == []


def test_a_cache_that_cannot_be_written(
    spec: WeightSpec, tmp_path: Path, content: bytes, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.pth").write_bytes(content)
    (tmp_path / "file").touch()
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", str(tmp_path / "file"))
    with pytest.warns(OvssWarning, match="Going on without it"):
        assert is_tiny(load_weights(spec, str(tmp_path / "mine.pth")), content)
    with pytest.raises(OutputError, match="cannot be written"):
        load_weights(spec)


def test_a_file_that_changes_while_it_is_read(
    spec: WeightSpec, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(content)
    write = weights.write_safetensors

    def write_and_change(path: Path, tensors: dict[str, torch.Tensor]) -> str:
        chosen.write_bytes(content + b"\0")
        return write(path, tensors)

    monkeypatch.setattr(weights, "write_safetensors", write_and_change)
    with pytest.raises(WeightsError, match="was changed while it was read"):
        load_weights(spec, str(chosen))
    assert kept(spec) == []


KILLED = """
import os, sys
from pathlib import Path
from ovss_personal.bases import weights

spec = weights.WeightSpec("tiny", "", "main", "tiny.pth", None, None, "", "", sys.argv[1])
write = weights.write_safetensors

def write_and_die(path, tensors):
    write(path, tensors)
    os._exit(137)

weights.write_safetensors = write_and_die
weights.load_weights(spec, sys.argv[2])
"""


def test_a_killed_run_leaves_nothing_that_counts(spec: WeightSpec, tmp_path: Path, content: bytes) -> None:
    chosen = tmp_path / "mine.pth"
    chosen.write_bytes(content)
    child = subprocess.run([sys.executable, "-c", KILLED, spec.manifest, str(chosen)], capture_output=True, text=True)
    assert child.returncode == 137, child.stderr
    (left,) = kept(spec)
    assert ".part/" in left
    assert is_tiny(load_weights(spec, str(chosen)), content)
    assert not any(".part/" in name for name in kept(spec)), "nor does it stay"


def test_every_spec_is_of_a_base_or_needed_by_one_and_has_a_manifest() -> None:
    needed = {name for spec in WEIGHTS.values() for name in spec.needs}
    assert WEIGHTS.keys() - BASES.keys() == needed == {"stable_diffusion_v1_3", "clip_vit_l_14_336"}
    for name, spec in WEIGHTS.items():
        assert spec.name == name and spec.read_manifest().tensors and spec.licence
        assert spec.url is None or (spec.url.startswith("https://") and spec.url.endswith(f"/{spec.file}"))


def test_what_is_known_of_the_published_files() -> None:
    for name in ("san_vit_b_16", "san_vit_large_14"):
        spec = WEIGHTS[name]
        assert (spec.repo, spec.file, spec.licence) == ("Mendel192/san", f"{name}.pth", "MIT")
    for name, beginning in (("odise_label", "b67d2efc"), ("odise_caption", "853cc971")):
        spec = WEIGHTS[name]
        assert spec.file == f"{name}_coco_50e-{spec.sha256}.pth" and spec.sha256 == beginning
        assert "not for commercial use" in spec.licence and not spec.sha256_is_whole
    assert WEIGHTS["clip_vit_l_14_336"].sha256_is_whole
