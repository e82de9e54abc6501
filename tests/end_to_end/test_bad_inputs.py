"""Bad inputs end in one line that says what is wrong, the right exit code, and nothing written."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpus import write_photo
from end_to_end.bad_files import BAD_FILES, ODD_FILES
from end_to_end.bad_inputs_table import PAGE, page
from end_to_end.bad_requests import BAD_REQUESTS, ODD_REQUESTS
from end_to_end.commands import attempt, run
from end_to_end.sound import PERSONALIZE, SEGMENT, Bad, Odd, config, make_sound_folder

from ovss_personal.bases.embedded.base import EmbeddedBase

BAD = [*BAD_FILES, *BAD_REQUESTS]
ODD = [*ODD_FILES, *ODD_REQUESTS]


@pytest.fixture(scope="session")
def mug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A concept learned in the sound folder."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_sound_folder()
        run(*shlex.split(PERSONALIZE), "--no-cache", "--shots", "1")
    return folder / "learned"


@pytest.fixture(autouse=True)
def sound_folder(tmp_path: Path, mug: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_sound_folder()
    shutil.copytree(mug, "mug")


def files() -> dict[str, bytes]:
    """What is in the working folder; hidden lock files do not count."""
    return {str(path): path.read_bytes() for path in Path().rglob("[!.]*") if path.is_file()}


def check_told(stderr: str, says: str) -> None:
    error, *hint = stderr.splitlines()
    assert error.startswith("error: ") and says in error
    assert not hint or (len(hint) == 1 and hint[0].startswith("hint: "))
    assert "internal error" not in stderr and "Traceback" not in stderr


@pytest.mark.parametrize("bad", BAD, ids=[bad.what for bad in BAD])
def test_a_bad_input_is_named_and_nothing_is_written(bad: Bad) -> None:
    bad.make()
    before = files()
    outcome = attempt(*shlex.split(bad.command))
    assert outcome.code == bad.code, outcome.stderr
    check_told(outcome.stderr, bad.says)
    assert outcome.stdout == ""
    assert files() == before


@pytest.mark.parametrize("odd", ODD, ids=[odd.what for odd in ODD])
def test_an_odd_input_is_used_with_a_warning(odd: Odd) -> None:
    odd.make()
    outcome = run(*shlex.split(odd.command))
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("warning: ") and odd.says in line


def test_errors_are_objects_with_json() -> None:
    outcome = attempt(*shlex.split(PERSONALIZE), "--shots", "5", "--json")
    assert (outcome.code, outcome.stderr) == (3, "")
    error = outcome.facts["error"]
    assert (error["code"], error["path"], error["hint"]) == (3, "album", "Add photos with masks.")


def test_a_raw_mask_is_taken_when_told_so() -> None:
    write_photo(Path("album/images/1.png"), orientation=6)
    facts = run("inspect", "album", "--mask-orientation", "raw", "--json").facts
    assert [(shot["width"], shot["height"]) for shot in facts["shots"]] == [(24, 40), (40, 24), (40, 24)]


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    config(concept="../../evil")()
    before = files()
    run(*shlex.split(SEGMENT))
    assert {str(Path(name).parent) for name in files().keys() - before.keys()} == {"out"}


def test_the_page_of_bad_inputs_is_what_is_tested() -> None:
    assert PAGE.read_text("utf-8") == page(), "PYTHONPATH=tests python -m end_to_end.bad_inputs_table makes it anew"


# what the machine runs out of


@pytest.mark.parametrize("command", [PERSONALIZE, SEGMENT, "inspect album"])
def test_a_full_disk_ends_in_5(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files()
    monkeypatch.setattr("os.fsync", full)
    if command == PERSONALIZE:
        command += " --no-cache"
    outcome = attempt(*shlex.split(command))
    assert outcome.code == 5
    check_told(outcome.stderr, "the disk is full")
    assert files() == before


def test_out_of_memory_ends_in_5(monkeypatch: pytest.MonkeyPatch) -> None:
    def propose(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(EmbeddedBase, "propose", propose)
    outcome = attempt(*shlex.split(SEGMENT))
    assert outcome.code == 5
    check_told(outcome.stderr, "out of memory")


def test_a_loss_that_is_not_finite_ends_in_3(monkeypatch: pytest.MonkeyPatch) -> None:
    # No setting within its bounds does this; embeddings that hold a NaN do.
    see = EmbeddedBase.propose

    def broken(self: EmbeddedBase, images: Any) -> Any:
        return [replace(seen, embeddings=seen.embeddings * torch.nan) for seen in see(self, images)]

    monkeypatch.setattr(EmbeddedBase, "propose", broken)
    outcome = attempt(*shlex.split(f"{PERSONALIZE} --no-cache"))
    assert outcome.code == 3
    check_told(outcome.stderr, "the loss is not finite at iteration 1 of 1")
    assert not Path("learned").exists()
