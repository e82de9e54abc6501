"""The verbs over weights, and the options of the verbs that need them, against a hub on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end.commands import attempt, run
from fakes.checkpoints import saved, tiny, tiny_spec
from fakes.hub import FakeHub, fake_hub
from PIL import Image

from ovss_personal.bases import BASES, weights
from ovss_personal.bases.weights import WeightSpec

CONTENT = saved({"model": tiny()})
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LICENCE = "the licence of these weights is MIT, see https://example.org/tiny"


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightSpec:
    """Weights that a base named `tiny` needs, and others."""
    specs = {name: tiny_spec(tmp_path, name) for name in ("tiny", "tinier")}
    monkeypatch.setattr(weights, "WEIGHTS", specs)
    monkeypatch.setitem(BASES, "tiny", ("fakes.checkpoints", "TinyBase", "needs weights"))
    monkeypatch.chdir(tmp_path)
    return specs["tiny"]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as server:
        server.files["tiny.pth"] = CONTENT
        yield server


def test_list_tells_licence_and_place(spec: WeightSpec, hub: FakeHub) -> None:
    told = run("weights", "list").stdout.splitlines()
    assert told[0] == (
        "tiny: tiny.pth, licence MIT (https://example.org/tiny): not here; get it with: ovss-personal weights pull tiny"
    )
    run("weights", "pull", "tiny")
    rows = run("weights", "list", "--json").facts
    assert [row["name"] for row in rows] == ["tiny", "tinier"] and rows[1]["path"] is None
    assert Path(rows[0]["path"]).parent == spec.folder / DIGEST
    assert (rows[0]["licence"], rows[0]["repo"]) == ("MIT", "somebody/tiny")
    assert rows[0]["path"] in run("weights", "list").stdout


def test_pull_tells_the_licence_first_and_verify_what_it_compared(spec: WeightSpec, hub: FakeHub) -> None:
    first = run("weights", "pull", "tiny")
    assert first.stderr == f"warning: downloading tiny.pth, 0 MB from somebody/tiny; {LICENCE}\n"
    assert first.stdout == f"tiny: {spec.folder} agrees with the sha256 recorded on first use ({DIGEST})\n"
    again = run("weights", "pull", "tiny", "--json")
    assert again.facts == [{"name": "tiny", "path": str(spec.folder), "sha256": DIGEST, "against": "recorded"}]
    assert again.stderr == ""
    told = run("weights", "verify").stdout
    assert told.startswith("tiny: ") and told.endswith(f"agrees with the sha256 recorded on first use ({DIGEST})\n")
    (row,) = run("weights", "verify", "tiny", "--json").facts
    assert (row["against"], row["sha256"]) == ("recorded", DIGEST)


def test_what_a_base_needs_is_listed_pulled_and_verified_with_it(
    spec: WeightSpec, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files["tinier.pth"] = saved({"model": tiny("tinier")})
    elsewhere = dataclasses.replace(weights.WEIGHTS["tinier"], url=f"{hub.address}/elsewhere/tinier.pth")
    monkeypatch.setitem(weights.WEIGHTS, "tinier", elsewhere)
    monkeypatch.setitem(weights.WEIGHTS, "tiny", dataclasses.replace(spec, needs=("tinier",)))
    assert "(https://example.org/tiny); needs tinier: not here" in run("weights", "list").stdout
    run("weights", "pull", "tinier")
    absent = attempt("weights", "verify", "tiny")
    assert absent.code == 4 and absent.stdout.startswith("tinier: ")
    assert absent.stderr == "error: tiny is not here.\nhint: ovss-personal weights pull tiny\n"
    outcome = run("weights", "pull", "tiny")
    assert outcome.stderr.count(LICENCE) == 1, "the other is here already"
    assert [line.split(":")[0] for line in outcome.stdout.splitlines()] == ["tiny", "tinier"]
    assert [row["name"] for row in run("weights", "verify", "tiny", "--json").facts] == ["tiny", "tinier"]


def test_verify_of_a_file_of_the_user_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("weights", "verify").stdout == "no weights are here\n"
    assert run("weights", "verify", "--json").facts == []
    monkeypatch.setenv("OVSS_PERSONAL_WEIGHTS", ".")
    Path("tiny.pth").write_bytes(CONTENT)
    assert "holds the right tensors, but we know no sha256 to compare with" in run("weights", "verify").stdout


def test_verify_of_what_is_absent_or_damaged(hub: FakeHub) -> None:
    absent = attempt("weights", "verify", "tiny")
    assert (absent.code, absent.stdout) == (4, "")
    assert absent.stderr == "error: tiny is not here.\nhint: ovss-personal weights pull tiny\n"
    run("weights", "pull", "tiny")
    path = Path(run("weights", "list", "--json").facts[0]["path"])
    path.write_bytes(path.read_bytes()[:-1])
    damaged = attempt("weights", "verify")
    assert damaged.code == 4 and damaged.stderr.startswith(f"error: {path}: is damaged: its sha256 is not what it was")
    (row,) = attempt("weights", "verify", "--json").facts
    assert row["name"] == "tiny" and row["error"]["code"] == 4


def test_weights_that_nobody_knows() -> None:
    outcome = attempt("weights", "pull", "tiniest")
    assert outcome.code == 2
    assert outcome.stderr.splitlines() == [
        "error: there are no weights 'tiniest'.",
        "hint: The weights are: tiny, tinier.",
    ]


def test_a_file_that_the_hub_does_not_have_is_one_error(hub: FakeHub) -> None:
    hub.files.clear()
    outcome = attempt("weights", "pull", "tiny")
    error, hint = outcome.stderr.splitlines()
    assert outcome.code == 4 and outcome.stdout == ""
    assert error.startswith(f"error: {hub.address}/somebody/tiny/resolve/main/tiny.pth: could not be downloaded (404 ")
    assert hint.startswith("hint: Check the network")


def test_a_connection_that_is_lost_for_good_is_one_error(hub: FakeHub) -> None:
    hub.cuts = [1000, *[0] * 5]
    outcome = attempt("weights", "pull", "tiny")
    warning, error, hint = outcome.stderr.splitlines()
    assert outcome.code == 4 and LICENCE in warning
    assert "tiny.pth: could not be downloaded (peer closed connection" in error and hint.startswith("hint: ")
    assert run("weights", "pull", "tiny").code == 0 and hub.ranges[-1] == "bytes=1000-"


def test_offline_ends_before_a_socket_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    Image.new("RGB", (40, 30), (200, 30, 30)).save("photo.png")
    told = ["error: the weights tiny.pth are not on this machine, and offline nothing is downloaded."]
    asked = ("segment", "photo.png", "--words", "red", "--base", "tiny", "--out", "out")
    outcome = attempt(*asked, "--offline")
    assert outcome.code == 4 and outcome.stderr.splitlines()[:1] == told
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for arguments in (asked, ("weights", "pull", "tiny")):
        outcome = attempt(*arguments)
        assert outcome.code == 4 and outcome.stderr.splitlines()[:1] == told
    assert not Path("out").exists()


def test_segment_reads_the_weights_it_is_given(spec: WeightSpec) -> None:
    Image.new("RGB", (40, 30), (200, 30, 30)).save("photo.png")
    asked = ("segment", "photo.png", "--words", "red, blue", "--base", "tiny", "--out", "out")
    Path("mine.pth").write_bytes(saved({"model": tiny("tinier")}))
    outcome = attempt(*asked, "--weights", "mine.pth", "--json")
    assert outcome.code == 4 and outcome.facts["error"]["message"] == "this is tinier, not tiny."
    Path("mine.pth").write_bytes(CONTENT)
    run(*asked, "--weights", "mine.pth")
    assert json.loads(Path("out/result.json").read_text())["photos"]
    Path("base.yaml").write_text("base: tiny\nweights: none.pth\n")
    asked = (*asked[:5], "base.yaml", *asked[6:], "--overwrite")
    assert attempt(*asked).stderr.startswith("error: none.pth: there is no such file.")
    run(*asked, "--weights", "mine.pth", "--offline")
