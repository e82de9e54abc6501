"""What a user does, from photos with masks to labelled pictures, on the base that is shipped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import write_photo
from end_to_end.commands import attempt, run
from PIL import Image
from pycocotools import mask as coco_mask

from ovss_personal.bases.embedded.base import EmbeddedBase

WORDS = ("--words", "grass, sky")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def contents(folder: Path | str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def files_in(folder: Path | str) -> dict[str, bytes]:
    """All files, also in subfolders, by their paths from the folder."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def blind(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """The base sees `after` pictures, then raises."""
    see = EmbeddedBase.propose
    looks = iter(range(after))

    def propose(self: EmbeddedBase, images: Any) -> Any:
        if next(looks, None) is None:
            raise error
        return see(self, images)

    monkeypatch.setattr(EmbeddedBase, "propose", propose)


# personalize


def test_personalize_finds_the_object_on_its_own_shots(album: Path) -> None:
    arguments = ("--concept", "my ball", "--class-name", "orange", "--shots", "2", "--images", str(album / "ball"))
    facts = run("personalize", *arguments, "--json").facts
    assert (facts["concept"], facts["class_name"], facts["out"]) == ("my ball", "orange", "concepts/my_ball")
    assert [shot["name"] for shot in facts["shots"]] == ["images/1.png", "images/2.png"]
    assert all(shot["iou"] > 0.5 and shot["leave_one_out"] is not None for shot in facts["shots"])
    assert sorted(contents("concepts/my_ball")) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]


def test_the_same_seed_gives_the_same_bytes_with_a_cache_and_without(album: Path, ball: Path) -> None:
    arguments = ("--concept", "my ball", "--class-name", "orange", "--images", str(album / "ball"))
    arguments = ("personalize", *arguments, "--iterations", "40")
    run(*arguments, "--out", "cold")
    run(*arguments, "--out", "warm")
    assert contents("cold") == contents("warm") == contents(ball)


def test_personalize_interrupted_leaves_nothing_and_runs_again(
    album: Path, ball: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--concept", "my ball", "--class-name", "orange", "--images", str(album / "ball"))
    arguments = ("personalize", *arguments, "--iterations", "40", "--out", "ball")
    with monkeypatch.context() as patch:
        blind(patch, after=1, error=KeyboardInterrupt())
        outcome = attempt(*arguments)
    assert (outcome.code, outcome.stderr) == (130, "interrupted\n")
    assert not Path("ball").exists()
    run(*arguments)
    assert contents("ball") == contents(ball)


def test_the_command_that_personalize_names_next_works(album: Path) -> None:
    Path("small.yaml").write_text("iterations: 1\ntiles: 1\nviews: 1\n")
    options = ("--class-name", "orange", "--images", str(album / "ball"), "--base", "small.yaml", "--out", "a ball")
    outcome = run("personalize", "--concept", "my ball", "--shots", "1", *options)
    following = outcome.stdout.splitlines()[-1]
    assert following == (
        "next: ovss-personal segment PHOTO --concept 'a ball' --words orange --out out --base small.yaml"
    )
    photo = str(album / "photos" / "ball.png")
    run("segment", photo, "--concept", "a ball", "--words", "orange", "--out", "out", "--base", "small.yaml")
    outcome = attempt("segment", photo, "--concept", "a ball", "--out", "other")
    assert outcome.code == 4 and "base_fingerprint" in outcome.stderr and not Path("other").exists()


# segment


@pytest.fixture(scope="module")
def segmented(album: Path, ball: Path, box: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos with two concepts, without a cache."""
    out = tmp_path_factory.mktemp("segmented") / "out"
    concepts = ("--concept", str(ball), "--concept", str(box))
    run("segment", str(album / "photos"), *concepts, *WORDS, "--out", str(out), "--no-cache")
    return out


def photos_of(out: Path) -> Iterator[dict[str, Any]]:
    return iter(json.loads((out / "result.json").read_text())["photos"])


def test_segment_writes_every_picture_that_its_result_names(segmented: Path) -> None:
    named = {"result.json"}
    for photo in photos_of(segmented):
        masks = [word["mask"] for word in photo["words"] if word["mask"]]
        assert len(masks) == 2
        named |= {photo["labels"], photo["overlay"], *masks}
    assert named == set(contents(segmented)) and len(named) == 3 * 4 + 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools' decode
def test_labels_masks_and_run_lengths_say_the_same(segmented: Path) -> None:
    for photo in photos_of(segmented):
        labels = pixels(segmented / photo["labels"])
        assert labels.shape == (photo["size"]["height"], photo["size"]["width"]) == (96, 128)
        assert [word["word"] for word in photo["words"]] == ["grass", "sky", "other", "my ball", "my box"]
        for index, word in enumerate(photo["words"]):
            here = labels == index
            assert word["area"] == pytest.approx(here.mean())
            assert word["present"] == (here.mean() >= 0.001)
            assert 0 <= word["score"] <= 1
            assert (word["segmentation"] is None) == (not here.any())
            if word["segmentation"]:
                assert (coco_mask.decode(word["segmentation"]) == here).all()
            if word["mask"]:
                mask = pixels(segmented / word["mask"])
                assert ((mask == 255) == here).all() and set(np.unique(mask)) <= {0, 255}


def test_a_concept_is_found_where_it_is(segmented: Path) -> None:
    areas = {
        Path(photo["photo"]).stem: {word["word"]: word["area"] for word in photo["words"]}
        for photo in photos_of(segmented)
    }
    assert areas["ball"]["my ball"] > 0.5 * np.pi * 22**2 / (96 * 128)


def test_a_second_run_gives_the_same_bytes_also_with_a_warm_cache(
    segmented: Path, album: Path, ball: Path, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    concepts = ("--concept", str(ball), "--concept", str(box))
    arguments = ("segment", str(album / "photos" / "b*.png"), *concepts, *WORDS)
    run(*arguments, "--out", "cold")
    assert contents("cold") == contents(segmented)
    blind(monkeypatch, after=0, error=AssertionError("the cache is not used"))
    warm = run(*arguments, "--out", "warm", "--json")
    assert contents("warm") == contents(segmented)
    assert warm.facts == json.loads(Path("warm/result.json").read_text())


def test_what_was_found_is_written_for_other_tools_and_read_back(
    segmented: Path, album: Path, ball: Path, box: Path
) -> None:
    concepts = ("--concept", str(ball), "--concept", str(box))
    formats = ("--format", "coco,labelme", "--format", "yolo, cvat,png")
    run("segment", str(album / "photos"), *concepts, *WORDS, *formats, "--out", "out")
    assert sorted(path.name for path in Path("out").iterdir() if path.is_dir()) == (
        ["coco", "cvat", "labelme", "png", "yolo"]
    )
    here = {name: data for name, data in files_in("out").items() if "/" not in name}
    there = contents(segmented)
    before, now = json.loads(there.pop("result.json")), json.loads(here.pop("result.json"))
    assert here == there and now == {**before, "formats": ["coco", "labelme", "yolo", "cvat", "png"]}
    areas = {
        Path(photo["photo"]).name: next(word for word in photo["words"] if word["word"] == "my ball")
        for photo in photos_of(segmented)
    }
    wanted = {name: word["area"] for name, word in areas.items() if word["present"]}
    for folder in ("coco", "labelme", "yolo", "cvat", "png"):
        shutil.copytree(
            album / "photos", Path("out") / folder / ("." if folder == "labelme" else "images"), dirs_exist_ok=True
        )
        found = run("inspect", f"out/{folder}", "--category", "my ball", "--out", f"{folder}.png", "--json").facts
        measured = {Path(shot["image"]).name: shot["area"] for shot in found["shots"]}
        if folder == "png":  # where a few pixels are painted too
            measured = {name: area for name, area in measured.items() if name in wanted}
        assert measured == pytest.approx(wanted, rel=0.02)


def test_segment_in_a_format_that_there_is_not(album: Path) -> None:
    outcome = attempt("segment", str(album / "photos"), "--words", "grass", "--format", "voc", "--out", "out")
    assert outcome.code == 2 and "there is no format 'voc'" in outcome.stderr and not Path("out").exists()


def test_a_photo_turned_by_exif_comes_back_upright(segmented: Path, album: Path, ball: Path, box: Path) -> None:
    upright = pixels(album / "photos" / "ball.png")
    write_photo(Path("ball.png"), np.rot90(upright), orientation=6)
    assert pixels(Path("ball.png")).shape == (128, 96, 3)
    concepts = ("--concept", str(ball), "--concept", str(box))
    run("segment", "ball.png", *concepts, *WORDS, "--out", "out")
    written = contents("out")
    del written["result.json"]
    assert written == {name: data for name, data in contents(segmented).items() if name in written}


def test_segment_looks_for_class_names_where_no_words_are_given(album: Path, ball: Path, box: Path) -> None:
    photo = str(album / "photos" / "both.png")
    concepts = ("--concept", str(ball), "--concept", str(box))
    facts = run("segment", photo, *concepts, "--as", "my ball", "--as", "crate", "--out", "out", "--json").facts
    assert [word["word"] for word in facts["photos"][0]["words"]] == ["orange", "other", "my ball", "crate"]


def test_segment_interrupted_leaves_whole_pictures_and_no_result(
    album: Path, ball: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("segment", str(album / "photos"), "--concept", str(ball), "--out", "out")
    with monkeypatch.context() as patch:
        blind(patch, after=1, error=KeyboardInterrupt())
        outcome = attempt(*arguments)
    assert (outcome.code, outcome.stderr) == (130, "interrupted\n")
    pictures = ["ball.labels.png", "ball.my_ball.png", "ball.overlay.png"]
    assert sorted(contents("out")) == [".result.jsonl", *pictures]  # the first is what --resume goes on from
    assert all(pixels(Path("out", name)).shape[0] >= 96 for name in pictures)
    run(*arguments, "--overwrite")
    assert len(list(photos_of(Path("out")))) == 3


def test_segment_does_the_rest_when_one_photo_is_broken(album: Path, ball: Path) -> None:
    shutil.copytree(album / "photos", "photos")
    Path("photos/box.png").write_bytes(b"broken")
    outcome = attempt("segment", "photos", "--concept", str(ball), "--out", "out")
    assert outcome.code == 3 and outcome.stderr.startswith("error: photos/box.png: ")
    result = json.loads(Path("out/result.json").read_text())
    assert [entry["photo"] for entry in result["photos"]] == ["photos/ball.png", "photos/both.png"]
    assert [entry["photo"] for entry in result["failed"]] == ["photos/box.png"]


def test_a_cache_that_cannot_be_written_costs_a_warning_and_nothing_else(
    album: Path, ball: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").touch()
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", "file/cache")
    outcome = run("segment", str(album / "photos"), "--concept", str(ball), "--out", "out")
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("warning: file/cache/proposals: the cache cannot be written")
    assert "OVSS_PERSONAL_CACHE" in line


# two processes


@pytest.fixture
def other_process() -> Iterator[None]:
    """Another process is writing to ./out."""
    code = "from ovss_personal.store.files import locked\nwith locked('out'): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        yield
        other.communicate("\n", timeout=30)


@pytest.mark.usefixtures("other_process")
def test_two_processes_do_not_write_to_one_output(album: Path, ball: Path) -> None:
    for arguments in (
        ("personalize", "--concept", "my ball", "--images", str(album / "ball"), "--iterations", "1"),
        ("segment", str(album / "photos" / "ball.png"), "--concept", str(ball)),
    ):
        outcome = attempt(*arguments, "--out", "out")
        assert outcome.code == 3
        error, hint = outcome.stderr.splitlines()
        assert error.startswith("error: ") and error.endswith("out: another process is writing here.")
        assert hint == "hint: Wait until it is done, or choose another output."
        assert not Path("out").exists()


# the other verbs


def test_inspect_draws_the_album(album: Path) -> None:
    facts = run("inspect", str(album / "ball"), "--json").facts
    assert [(shot["width"], shot["height"]) for shot in facts["shots"]] == [(128, 96)] * 2
    assert facts["shots"][0]["area"] == pytest.approx(np.pi * 26**2 / (128 * 96), rel=0.05)
    assert facts["not_usable"] == [] and pixels(Path("sheet.png")).ndim == 3


def test_concepts_are_listed_and_shown(album: Path, ball: Path, box: Path) -> None:
    rows = run("concepts", "list", str(album / "concepts"), "--json").facts
    assert [row["concept"] for row in rows] == ["my ball", "my box"]
    assert run("concepts", "show", str(ball), "--json").facts == {
        key: value for key, value in rows[0].items() if key != "folder"
    }
    assert "my box (crate), 2 shots, base embedded" in run("concepts", "list", str(album / "concepts")).stdout


def test_the_cache_fills_tells_and_clears(album: Path, ball: Path) -> None:
    run("segment", str(album / "photos"), "--concept", str(ball), "--out", "out")
    facts = run("cache", "info", "--json").facts
    assert facts["entries"] == 3 and facts["bytes"] > 3 * 1024
    assert run("cache", "clear", "--json").facts["removed"] == 3
    assert run("cache", "info", "--json").facts["entries"] == 0


def test_bases_and_doctor_know_the_shipped_base() -> None:
    assert "embedded" in run("bases", "--json").facts
    facts = {finding["what"]: finding for finding in run("doctor", "--json").facts}
    assert facts["base embedded"]["fine"] and facts["device"]["fine"]


def test_usage_errors_are_told_like_all_others() -> None:
    outcome = attempt("segment", "photo.jpg")
    assert outcome == (2, "", "error: Missing option '--out'.\nhint: See 'ovss-personal segment --help'.\n")
    outcome = attempt("segmant", "--json")
    assert outcome.facts["error"]["code"] == outcome.code == 2
    assert "Did you mean 'segment'?" in outcome.facts["error"]["message"]
    assert attempt("concepts").stderr.startswith("error: Missing command.")
    assert run().stdout == run("--help").stdout


def test_a_word_that_contains_a_concept_is_composed_and_told(ball: Path, album: Path) -> None:
    photo = str(album / "photos" / "ball.png")
    run("segment", photo, "--concept", str(ball), "--words", "hat on my ball, grass", "--out", "out", "--no-cache")
    result = json.loads(Path("out/result.json").read_text())
    assert result["composed"] == [
        {"word": "hat on my ball", "plain": "hat on an orange", "concepts": ["my ball"], "way": "joint"}
    ]
    assert [word["word"] for word in result["photos"][0]["words"]][:2] == ["hat on my ball", "grass"]
