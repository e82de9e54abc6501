"""The verbs over a stand-in for the API: what they parse, call, print, write and exit with."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import ovss_personal
from ovss_personal.cli import VERBS as LISTED
from ovss_personal.cli import app, personalize
from ovss_personal.cli.personalize import default_class_name
from ovss_personal.cli.shell import new_app, note
from ovss_personal.config import BaseConfig, FitConfig
from ovss_personal.errors import (
    ConceptError,
    OvssError,
    OvssWarning,
    ResourceError,
    ShotsError,
    UsageError,
    VocabularyError,
    WeightsError,
)
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.store.cache import ProposalCache
from ovss_personal.store.concept import AlbumReport
from ovss_personal.structures import RGBImage


@dataclass(frozen=True)
class FakeShot:
    name: str
    sha256: str = "00"
    iou: float = 0.91
    leave_one_out: float | None = 0.85
    outlier: bool = False


@dataclass(frozen=True)
class FakeReport:
    shots: list[FakeShot]
    losses: dict[str, float] = field(default_factory=lambda: {"total": 0.5})
    album: AlbumReport | None = None


@dataclass(frozen=True)
class FakeConcept:
    name: str
    class_name: str
    config: FitConfig = field(default_factory=FitConfig)
    base_name: str = "embedded"
    base_fingerprint: str = "f" * 64
    fingerprint: str = "c" * 64
    report: FakeReport = FakeReport([FakeShot("images/1.jpg"), FakeShot("2.jpg", leave_one_out=None, outlier=True)])

    def save_pretrained(self, folder: Path, overwrite: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=overwrite)
        (folder / "adapter_config.json").write_text(json.dumps([self.name, self.class_name]))

    @classmethod
    def from_pretrained(cls, folder: str | Path, offline: bool = False) -> FakeConcept:
        try:
            return cls(*json.loads((Path(folder) / "adapter_config.json").read_text()))
        except (OSError, ValueError):
            raise ConceptError("not a concept.", path=folder) from None

    def push_to_hub(self, repo_id: str) -> str:
        raise WeightsError(f"cannot reach {repo_id}.")


@dataclass
class FakeApi:
    """Records what the verbs ask for; segments the upper half as the first word, the rest as the concepts."""

    calls: dict[str, dict[str, Any]] = field(default_factory=dict)

    def load_base(self, name: str, **options: Any) -> types.SimpleNamespace:
        self.calls["load_base"] = {"name": name, **options}
        return types.SimpleNamespace(
            name="embedded",
            fingerprint="f" * 64,
            config=BaseConfig(),
            fit_defaults=FitConfig(iterations=7),
            paper_defaults=FitConfig(learning_rate=2e-3),
        )

    def load_shots(self, source: Path, **options: Any) -> list[str]:
        self.calls["load_shots"] = {"source": source, **options}
        return ["shot"] * 2

    def personalize(self, base: object, shots: list[str], **options: Any) -> FakeConcept:
        self.calls["personalize"] = options
        options["progress"](1, 2, "fitting")
        learned = FakeConcept(options["concept"], options["class_name"], options["config"])
        if options["album"] is None:
            return learned
        return replace(learned, report=replace(learned.report, album=AlbumReport(10, 4)))

    def see(self, base: object, image: Path, cache: object) -> RGBImage:
        from ovss_personal.io.images import load_image

        self.calls["see"] = {"cache": cache}
        return load_image(image)

    def finder(self, base: object, words: Sequence[str], concepts: Sequence[Any]) -> FakeFinder:
        self.calls["finder"] = {"words": words, "concepts": concepts}
        return FakeFinder(tuple(words), tuple(concept.name for concept in concepts))


@dataclass(frozen=True)
class FakeFinder:
    words: tuple[str, ...]
    concepts: tuple[str, ...]
    compositions: dict[str, object] = field(default_factory=dict)

    def find(self, photo: RGBImage) -> Segmentation:
        vocabulary = (*self.words, "other", *self.concepts)
        labels = np.zeros(photo.shape[:2], np.int32)
        labels[len(labels) // 2 :] = len(vocabulary) - 1
        return Segmentation(labels, vocabulary, (0.9,) * len(vocabulary), self.concepts, photo)


@dataclass(frozen=True)
class AlbumResult:
    album: str
    concept: str
    photos: int
    without: int
    iou_before: float
    iou_after: float
    false_alarms: int
    folder: str


def install(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """Put a stand-in where `from ovss_personal… import …` will find it."""
    module = types.ModuleType(f"ovss_personal.{name}")
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, f"ovss_personal.{name}", module)


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeApi:
    fake = FakeApi()
    for place, stand_in in {
        "bases.load_base": fake.load_base,
        "io.shots.load_shots": fake.load_shots,
        "io.demo.demo_albums": lambda: ("my_bird", "my_mug"),
        "io.demo.demo_album": lambda name: Path("demo") / name,
        "engine.learn.personalize": fake.personalize,
        "engine.see.see": fake.see,
        "engine.find.Finder": fake.finder,
        "engine.find.way_of": lambda base: "joint",
        "store.concept.Concept": FakeConcept,
    }.items():
        monkeypatch.setattr(f"ovss_personal.{place}", stand_in)
    monkeypatch.chdir(tmp_path)
    return fake


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result


def photo(path: str, size: tuple[int, int] = (40, 30)) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 40)).save(path)
    return path


def pixels(path: str) -> npt.NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def learned(name: str = "my bird") -> str:
    folder = Path("concepts") / name.replace(" ", "_")
    FakeConcept(name, "bird").save_pretrained(folder)
    return str(folder)


# personalize


def test_personalize_saves_reports_and_says_what_comes_next() -> None:
    Path("my_bird").mkdir()
    result = run("personalize", "--concept", "my bird", "--shots", "2")
    lines = result.stdout.splitlines()
    assert lines[0] == "my bird (bird), 2 shots from my_bird"
    assert re.fullmatch(r"images/1.jpg +0.91 +0.85", lines[3])
    assert re.fullmatch(r"2.jpg +0.91 +-  outlier: look at its mask", lines[4])
    assert lines[-2] == "saved to concepts/my_bird"
    assert lines[-1] == "next: ovss-personal segment PHOTO --concept concepts/my_bird --words bird --out out"
    assert Path("concepts/my_bird/adapter_config.json").exists()


def test_personalize_is_a_command_of_its_own() -> None:
    Path("my_bird").mkdir()
    alone = new_app()
    personalize.register(alone)
    result = CliRunner().invoke(alone, ["--concept", "my bird", "--shots", "2"])
    assert result.exit_code == 0
    assert "saved to concepts/my_bird" in result.stdout


def test_masks_may_be_inverted_have_holes_and_labels_of_a_colour(api: FakeApi) -> None:
    command = ("personalize", "--concept", "Rex", "--images", "album.json", "--out", "here")
    run(*command, "--label", "#ff8000", "--ignore", "0", "--invert", "--holes", "even-odd")
    asked = api.calls["load_shots"]
    assert (asked["label"], asked["ignore"], asked["invert"], asked["holes"]) == (0xFF8000, 0, True, "even-odd")
    for label in ("red", "#ff80", "#gggggg", "1.5"):
        told = run(*command, "--label", label, code=2).stderr
        assert f"'{label}' is neither a whole number nor a colour such as #ff0000." in told


def test_personalize_hands_every_option_on(api: FakeApi) -> None:
    run(
        *(
            "personalize",
            "--concept",
            "Rex",
            "--class-name",
            "dog",
            "--images",
            "album.json",
            "--out",
            "here",
        ),
        *("--base", "mine.yaml", "--device", "cuda:1", "--tiles", "4", "--seed", "3", "--label", "2"),
        *("--category", "dog", "--mask-orientation", "raw", "--alpha", "0.2", "--competitors", "bank"),
        *("--learning-rate", "0.01", "--weights", "san.pth", "--dtype", "bfloat16", "--offline"),
        *("--low-memory", "--bank", "photos.safetensors"),
    )
    assert api.calls["load_base"] == {
        "name": "mine.yaml",
        "device": "cuda:1",
        "tiles": 4,
        "weights": Path("san.pth"),
        "bank": Path("photos.safetensors"),
        "dtype": "bfloat16",
        "offline": True,
        "low_memory": True,
    }
    assert api.calls["load_shots"] == {
        "source": Path("album.json"),
        "count": None,
        "seed": 3,
        "label": 2,
        "category": "dog",
        "ignore": None,
        "invert": False,
        "holes": "filled",
        "mask_orientation": "raw",
    }
    asked = api.calls["personalize"]
    assert (asked["concept"], asked["class_name"]) == ("Rex", "dog")
    assert asked["config"] == FitConfig(iterations=7, alpha=0.2, learning_rate=0.01, competitors="bank", seed=3)
    assert asked["cache"] is not None


def test_personalize_says_what_an_album_gave(api: FakeApi) -> None:
    arguments = ("personalize", "--concept", "my bird", "--images", "x", "--album", "holiday")
    lines = run(*arguments).stdout.splitlines()
    assert api.calls["personalize"]["album"] == Path("holiday")
    assert "my bird was taken to be in 4 of the 10 photos of holiday, and learned from there as well" in lines
    facts = json.loads(run(*arguments, "--overwrite", "--json").stdout)
    assert facts["album"] == {"photos": 10, "used": 4}
    assert json.loads(run(*arguments[:-2], "--overwrite", "--json").stdout)["album"] is None
    assert api.calls["personalize"]["album"] is None


def test_the_shots_are_no_album() -> None:
    Path("my_bird").mkdir()
    result = run("personalize", "--concept", "my bird", "--album", "my_bird", code=2)
    assert "my_bird: --album is the folder of the shots." in result.stderr


def test_personalize_does_without_the_cache_when_told_to(api: FakeApi) -> None:
    run("personalize", "--concept", "Rex", "--images", "x", "--no-cache")
    assert api.calls["personalize"]["cache"] is None


def test_personalize_names_the_base_that_the_concept_needs_next() -> None:
    arguments = ("personalize", "--concept", "Rex", "--images", "x")
    settings = ("--tiles", "4", "--weights", "san.pth", "--dtype", "float16")
    told = run(*arguments, "--base", "my base.yaml", *settings).stdout.splitlines()[-1]
    assert told.endswith("--words Rex --out out --base 'my base.yaml' --tiles 4 --weights san.pth --dtype float16")


def test_personalize_starts_from_a_preset(api: FakeApi) -> None:
    run("personalize", "--concept", "Rex", "--images", "x", "--preset", "paper", "--iterations", "9")
    assert api.calls["personalize"]["config"] == FitConfig(learning_rate=2e-3, iterations=9)


def test_personalize_falls_back_to_the_demo_album_and_says_so(api: FakeApi) -> None:
    result = run("personalize", "--concept", "my mug")
    assert api.calls["load_shots"]["source"] == Path("demo/my_mug")
    assert "note: there is no folder ./my_mug; learning from the demo album" in result.stderr


def test_personalize_without_photos_says_where_to_put_them() -> None:
    result = run("personalize", "--concept", "my hat", code=3)
    assert result.stderr.splitlines() == [
        "error: no photos of 'my hat': there is no folder ./my_hat.",
        "hint: Pass --images FOLDER, with photos in FOLDER/images and their masks in FOLDER/masks.",
    ]


def test_personalize_refuses_an_output_that_exists_before_any_work(api: FakeApi) -> None:
    folder = learned()
    Path("my_bird").mkdir()
    result = run("personalize", "--concept", "my bird", code=3)
    assert result.stderr.startswith(f"error: {folder}: the output folder exists.")
    assert not api.calls
    run("personalize", "--concept", "my bird", "--overwrite")


def test_personalize_prints_json() -> None:
    Path("my_bird").mkdir()
    facts = json.loads(run("personalize", "--concept", "my bird", "--json").stdout)
    assert (facts["concept"], facts["class_name"], facts["out"]) == ("my bird", "bird", "concepts/my_bird")
    assert [shot["iou"] for shot in facts["shots"]] == [0.91, 0.91]


def test_a_failed_upload_leaves_the_concept_saved() -> None:
    Path("my_bird").mkdir()
    run("personalize", "--concept", "my bird", "--push-to-hub", "me/bird", code=4)
    assert Path("concepts/my_bird").exists()


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        ("my bird", "bird"),
        ("Our  Dog", "Dog"),
        ("the hat", "hat"),
        ("Rex", "Rex"),
        ("my", "my"),
        ("myna", "myna"),
    ],
)
def test_default_class_name(concept: str, expected: str) -> None:
    assert default_class_name(concept) == expected


# segment


def test_segment_writes_three_pictures_a_photo_and_one_result() -> None:
    photo("garden.jpg")
    result = run("segment", "garden.jpg", "--concept", learned(), "--words", "bird, tree", "--out", "out")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "garden.labels.png",
        "garden.my_bird.png",
        "garden.overlay.png",
        "result.json",
    ]
    assert np.unique(pixels("out/garden.labels.png")).tolist() == [0, 3]
    mask = pixels("out/garden.my_bird.png")
    assert mask.shape == (30, 40) and (mask[:15] == 0).all() and (mask[15:] == 255).all()
    assert len(pixels("out/garden.overlay.png")) > 30
    facts = json.loads(Path("out/result.json").read_text())
    assert facts["concepts"] == ["my bird"] and facts["base"]["fingerprint"] == "f" * 64
    (entry,) = facts["photos"]
    assert entry["photo"] == "garden.jpg" and entry["size"] == {"height": 30, "width": 40}
    assert entry["labels"] == "garden.labels.png" and entry["overlay"] == "garden.overlay.png"
    assert [word["word"] for word in entry["words"]] == ["bird", "tree", "other", "my bird"]
    assert [word["area"] for word in entry["words"]] == [0.5, 0.0, 0.0, 0.5]
    assert [word["present"] for word in entry["words"]] == [True, False, False, True]
    assert [word["mask"] for word in entry["words"]] == [None, None, None, "garden.my_bird.png"]
    assert entry["words"][3]["segmentation"]["size"] == [30, 40]
    assert "garden.jpg: my bird 50.0%, bird 50.0% -> out/garden.overlay.png" in result.stdout


def test_segment_does_the_rest_when_one_photo_is_broken() -> None:
    photo("a.jpg")
    Path("b.jpg").write_bytes(b"\xff\xd8 broken")
    photo("c.jpg")
    result = run("segment", "a.jpg", "b.jpg", "c.jpg", "--words", "sky", "--out", "out", code=3)
    facts = json.loads(Path("out/result.json").read_text())
    assert [entry["photo"] for entry in facts["photos"]] == ["a.jpg", "c.jpg"]
    assert [entry["photo"] for entry in facts["failed"]] == ["b.jpg"]
    assert result.stderr.startswith("error: b.jpg: ")
    assert "2 of 3 photos done" in result.stdout


def test_photos_and_concepts_of_one_name_do_not_overwrite_each_other() -> None:
    for path in ("x/cat.jpg", "x/cat.png", "y/Cat.jpg"):
        photo(path)
    run("segment", "x", "y", "--concept", learned("labels"), "--words", "sky", "--out", "out")
    names = sorted(path.name for path in Path("out").iterdir())
    assert [name for name in names if name.endswith(".labels.png")] == [
        "Cat-3.labels.png",
        "cat-2.labels.png",
        "cat.labels.png",
    ]
    assert "cat.labels-2.png" in names and len(names) == 10


def test_segment_refuses_outputs_that_exist_before_any_work(api: FakeApi) -> None:
    photo("a.jpg")
    arguments = ("segment", "a.jpg", "--words", "sky", "--out", "out")
    run(*arguments)
    api.calls.clear()
    result = run(*arguments, code=3)
    assert result.stderr.startswith("error: out: the output exists.")
    assert not api.calls
    run(*arguments, "--overwrite")
    Path("empty").mkdir()
    run(*arguments[:-1], "empty")


def test_segment_keeps_other_files_of_its_output_folder(api: FakeApi) -> None:
    photo("out/holiday.jpg")
    run("segment", "out/holiday.jpg", "--words", "sky", "--out", "out", "--overwrite")
    assert Path("out/holiday.jpg").exists() and Path("out/result.json").exists()


def test_segment_without_words_looks_for_what_the_concepts_are(api: FakeApi) -> None:
    photo("a.jpg")
    concepts = ("--concept", learned(), "--concept", learned("my owl"), "--concept", learned("bird"))
    run("segment", "a.jpg", *concepts[:4], "--out", "one")
    assert api.calls["finder"]["words"] == ("bird",)
    run("segment", "a.jpg", *concepts, "--out", "two")
    assert api.calls["finder"]["words"] == (), "a concept needs no word of the same name beside it"
    assert run("segment", "a.jpg", "--out", "three", code=2).stderr.startswith("error: there is nothing to look for.")


@pytest.mark.parametrize("words", ["my bird", "tree"])
def test_segment_refuses_two_things_of_one_name_before_any_work(api: FakeApi, words: str) -> None:
    photo("a.jpg")
    concepts = ("--concept", learned()) * (1 if words == "my bird" else 2)
    result = run("segment", "a.jpg", *concepts, "--words", words, "--out", "out", code=3)
    assert result.stderr.splitlines()[1] == "hint: call it something else with --as."
    assert not api.calls


def test_segment_renames_concepts(api: FakeApi) -> None:
    photo("a.jpg")
    both = ("--concept", learned(), "--concept", learned("my cat"))
    common = ("segment", "a.jpg", "--words", "sky", "--out", "out", *both)
    result = run(*common, "--as", "rex", code=2)
    assert "--as is given 1 times and --concept 2 times." in result.stderr
    run(*common, "--as", "rex", "--as", "tom")
    assert [concept.name for concept in api.calls["finder"]["concepts"]] == ["rex", "tom"]
    assert Path("out/a.tom.png").exists()


def test_segment_uses_the_cache_unless_told_not_to(api: FakeApi) -> None:
    photo("a.jpg")
    run("segment", "a.jpg", "--words", "sky", "--out", "one")
    assert api.calls["see"]["cache"] is not None
    run("segment", "a.jpg", "--words", "sky", "--out", "two", "--no-cache")
    assert api.calls["see"]["cache"] is None


def test_segment_prints_json_alone() -> None:
    photo("a.jpg")
    result = run("segment", "a.jpg", "--words", "sky", "--out", "out", "--json")
    assert json.loads(result.stdout) == json.loads(Path("out/result.json").read_text())


# inspect


def test_inspect_tells_what_does_not_count_and_what_was_doubtful() -> None:
    photo("album/images/1.jpg", (60, 40))
    Path("album/masks").mkdir()
    marked = np.zeros((40, 60), np.uint8)
    marked[10:30, 20:50] = 128
    marked[12:28, 22:48] = 255
    Image.fromarray(marked).save("album/masks/1.png")
    result = run("inspect", "album")
    doubt = "128 lies between black and white and does not count; white is the object"
    doubt = f"album/masks/1.png: of the mask's values {doubt}."
    assert result.stderr == f"warning: {doubt}\n"
    assert result.stdout.splitlines()[0] == "images/1.jpg with 1.png: 60x40, object 17.3%, 7.7% not counted"
    facts = json.loads(run("inspect", "album", "--overwrite", "--json").stdout)
    [row] = facts["shots"]
    assert row["notes"] == [doubt]
    assert row["ignored"] == pytest.approx(184 / 2400)


def test_inspect_fails_where_nothing_is_usable_and_says_what_to_do() -> None:
    photo("album/images/1.jpg", (60, 40))
    Path("album/masks").mkdir()
    Image.fromarray(np.zeros((40, 60), np.uint8)).save("album/masks/1.png")
    result = run("inspect", "album", code=3)
    told = "images/1.jpg: album/masks/1.png: the mask is empty: no pixel is marked."
    assert result.stdout.splitlines() == [f"not usable: {told}", "0 shots, 1 not usable; drawn in sheet.png"]
    assert result.stderr == "hint: Mark the object.\n" and Path("sheet.png").exists()


def test_inspect_draws_and_lists_what_is_usable_and_what_is_not() -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        photo(f"album/images/{name}", (60, 40))
    marked = np.zeros((40, 60), np.uint8)
    marked[10:30, 20:50] = 255
    Path("album/masks").mkdir()
    Image.fromarray(marked).save("album/masks/1.png")
    Image.fromarray(marked * 0).save("album/masks/2.png")
    Image.fromarray(marked).save("album/masks/4.png")
    result = run("inspect", "album")
    lines = result.stdout.splitlines()
    assert lines[0] == "images/1.jpg with 1.png: 60x40, object 25.0%"
    assert [line.partition(": ")[0] for line in lines[1:4]] == ["not usable"] * 3
    assert lines[4] == "1 shot, 3 not usable; drawn in sheet.png"
    sheet = pixels("sheet.png")
    assert (sheet == (200, 0, 0)).all(-1).any() and sheet.shape[1] > 4 * 240

    assert run("inspect", "album", code=3).stderr.startswith("error: sheet.png: the output exists.")
    facts = json.loads(run("inspect", "album", "--overwrite", "--json").stdout)
    assert [shot["area"] for shot in facts["shots"]] == [0.25] and len(facts["not_usable"]) == 3


@pytest.mark.parametrize("masked", [False, True])
def test_inspect_with_nothing_usable_ends_in_3_with_the_hints(masked: bool) -> None:
    photo("album/1.jpg", (60, 40))
    if masked:
        Path("album/1.json").write_text(json.dumps({"shapes": [{"label": "a", "shape_type": "line", "points": []}]}))
    result = run("inspect", "album", code=3)
    assert result.stdout.splitlines()[-1] == "0 shots, 1 not usable; drawn in sheet.png" and Path("sheet.png").exists()
    (hint,) = result.stderr.splitlines()
    assert hint.startswith("hint: ") and (masked or hint == "hint: Add photos with masks.")
    facts = json.loads(run("inspect", "album", "--overwrite", "--json", code=3).stdout)
    assert len(facts["not_usable"]) == 1 and facts["shots"] == []


def test_inspect_of_names_that_are_not_utf_8() -> None:
    odd_photo(b"f\xfct.jpg")
    Image.fromarray(np.eye(30, 40, dtype=np.uint8) * 255).resize((40, 30)).save(os.fsdecode(b"in/f\xfct.png"))
    result = run("inspect", "in")
    assert "f\\xfct.jpg with f\\xfct.png: 40x30" in result.stdout


# the other verbs


def test_concepts_lists_good_and_broken_ones() -> None:
    learned()
    broken = Path("concepts/broken")
    broken.mkdir()
    (broken / "adapter_config.json").write_text("{")
    result = run("concepts", "list")
    assert result.stdout.splitlines() == [
        "concepts/broken: cannot be loaded: not a concept.",
        "concepts/my_bird: my bird (bird), 2 shots, base embedded",
    ]
    rows = json.loads(run("concepts", "list", "concepts", "--json").stdout)
    assert rows[0]["error"]["code"] == 4 and rows[1]["concept"] == "my bird"
    assert run("concepts", "list", "nowhere").stdout == "nowhere: no concepts\n"


def test_concepts_shows_one() -> None:
    result = run("concepts", "show", learned())
    assert "my bird (bird) on base embedded ffffffffffff" in result.stdout
    assert f"alpha {FitConfig().alpha}" in result.stdout and "total 0.5" in result.stdout
    assert json.loads(run("concepts", "show", "concepts/my_bird", "--json").stdout)["class_name"] == "bird"
    run("concepts", "show", "nowhere", code=4)


def test_cache_tells_and_clears(private_cache: Path) -> None:
    entry = private_cache / "proposals" / f"{'a' * 64}.safetensors"
    entry.parent.mkdir()
    entry.write_bytes(b"x" * 1024**2)
    assert json.loads(run("cache", "info", "--json").stdout)["entries"] == 1
    assert "1 entries, 1.0 MiB" in run("cache", "info").stdout
    assert "removed 1 entries, 1.0 MiB" in run("cache", "clear").stdout
    assert not entry.exists()


def test_bases_are_listed_with_a_line_each() -> None:
    assert run("bases").stdout.startswith("embedded: small")
    assert "embedded" in json.loads(run("bases", "--json").stdout)


def test_demo_prints_a_line_an_album(monkeypatch: pytest.MonkeyPatch) -> None:
    mug = AlbumResult("my_mug", "my mug", 12, 6, 0.1, 0.756, 1, "here/my_mug")
    asked: list[object] = []

    def run_demo(*arguments: object) -> list[AlbumResult]:
        asked.extend(arguments)
        note("learning")
        return [mug]

    install(monkeypatch, "evaluation.demo", run_demo=run_demo)
    result = run("demo", "--album", "my_mug", "--out", "here")
    assert asked[:4] == ["my_mug", Path("here"), "embedded", note] and isinstance(asked[4], ProposalCache)
    assert result.stdout == (
        "my mug: IoU 10 (text only) -> 76 (personalised), on 12 photos; false alarms in 1 of the 6 without it\n"
        "  pictures: here/my_mug/*.after.png\n"
    )
    assert result.stderr == "learning\n"
    facts = json.loads(run("demo", "--json").stdout)
    assert facts["albums"][0]["iou_after"] == 0.756 and asked[6:8] == ["all", Path("out/demo")]
    run("demo", "--device", "cpu", "--tiles", "0", "--bank", "b")
    assert asked[5] == {} and asked[-1] == {"device": "cpu", "tiles": 0, "bank": Path("b")}


def test_doctor_is_content_here(private_cache: Path) -> None:
    facts = {row["what"]: row for row in json.loads(run("doctor", "--json").stdout)}
    assert all(row["fine"] for row in facts.values())
    assert facts["demo albums"]["found"] == "my_bird, my_mug"
    assert facts["weights san_vit_b_16"]["mend"] == "ovss-personal weights pull san_vit_b_16"
    assert list(private_cache.iterdir()) == [], "the probe stays behind"


def test_doctor_finds_weights_that_were_altered(monkeypatch: pytest.MonkeyPatch) -> None:
    def verify() -> None:
        raise WeightsError("was altered.", path="encoder.safetensors", hint="reinstall")

    monkeypatch.setattr("ovss_personal.bases.embedded.files.verify", verify)
    result = run("doctor", code=4)
    assert "MISSING  base embedded: encoder.safetensors: was altered." in result.stdout
    assert "mend it with: reinstall" in result.stdout


def test_doctor_names_all_that_an_extra_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = {
        "odise_label": ("odise", "no_such_module", "torch", "nor_this"),
        "odise_tiny": ("odise", "torch", "numpy"),
    }
    for base, expected in (
        ("odise_label", "no_such_module and nor_this are not installed"),
        ("odise_tiny", "torch and numpy are installed"),
    ):
        monkeypatch.setattr("ovss_personal.bases.EXTRAS", {base: extras[base]})
        facts = {row["what"]: row for row in json.loads(run("doctor", "--json").stdout)}
        assert facts["extra odise"]["found"] == expected and facts["extra odise"]["fine"]
    assert facts["weights odise_label"]["mend"] == "ovss-personal weights pull odise_label"
    assert facts["weights clip_vit_l_14_336"]["found"] == "not downloaded"


def test_doctor_knows_the_weights_that_are_here(monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> None:
    monkeypatch.setattr("ovss_personal.bases.EXTRAS", {"san_vit_b_16": ("san", "no_such_module")})
    monkeypatch.setenv("OVSS_PERSONAL_WEIGHTS", ".")
    Path("san_vit_b_16.pth").write_bytes(b"weights")
    result = run("doctor")
    assert "ok       weights san_vit_b_16: san_vit_b_16.pth\n" in result.stdout
    assert "ok       weights san_vit_large_14: not downloaded\n         get it with: ovss-personal" in result.stdout
    assert "no_such_module is not installed\n         get it with: pip install 'ovss-personal[san]'" in result.stdout
    record = private_cache / "weights/san_vit_large_14/san_vit_large_14.pth.sha256"
    record.parent.mkdir(parents=True)
    record.write_text("?")
    assert "MISSING  weights san_vit_large_14" in run("doctor", code=4).stdout


def test_doctor_says_what_is_missing_and_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, api: FakeApi, tmp_path: Path
) -> None:
    def load_base(name: str) -> None:
        raise WeightsError("checksum differs.", path="bank.safetensors")

    monkeypatch.setattr("ovss_personal.bases.load_base", load_base)
    monkeypatch.setattr("ovss_personal.cli.doctor._PACKAGES", ("torch", "no-such-package"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", str(tmp_path / "file" / "cache"))
    result = run("doctor", code=4)
    assert "MISSING  no-such-package: not installed" in result.stdout
    assert "mend it with: pip install no-such-package" in result.stdout
    assert "MISSING  base embedded: bank.safetensors: checksum differs." in result.stdout
    assert "MISSING  cache folder" in result.stdout
    assert "ok       torch" in result.stdout


# failures, warnings, pipes


def failing_with(monkeypatch: pytest.MonkeyPatch, api: FakeApi, fail: Callable[[], None]) -> None:
    monkeypatch.setattr("ovss_personal.io.shots.load_shots", lambda *_, **__: fail())


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UsageError("no device.", hint="Use cpu."), 2, ["error: no device.", "hint: Use cpu."]),
        (ShotsError("two\n  lines", path="a/b"), 3, ["error: a/b: two lines"]),
        (VocabularyError("a clash."), 3, ["error: a clash."]),
        (ConceptError("corrupt."), 4, ["error: corrupt."]),
        (ResourceError("full."), 5, ["error: full."]),
        (MemoryError(), 5, ["error: out of memory.", "hint: Close other programs"]),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"),
            5,
            ["error: out of memory.", "hint:"],
        ),
        (OSError(errno.ENOSPC, "No space", "f.png"), 5, ["error: f.png: the disk is full.", "hint: Free"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (
            ZeroDivisionError("by zero"),
            1,
            ["error: internal error: ZeroDivisionError: by zero", "hint: Run it again"],
        ),
        (OSError(errno.EACCES, "denied"), 1, ["error: internal error: PermissionError", "hint:"]),
    ],
)
def test_every_failure_has_its_line_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, api: FakeApi, error: BaseException, code: int, lines: list[str]
) -> None:
    failing_with(monkeypatch, api, raising(error))
    result = run("personalize", "--concept", "x", "--images", "y", code=code)
    told = result.stderr.splitlines()
    assert len(told) == len(lines)
    assert all(line.startswith(start) for line, start in zip(told, lines, strict=True))
    assert result.stdout == ""


def test_torch_out_of_memory_is_a_resource_error(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    import torch

    failing_with(monkeypatch, api, raising(torch.OutOfMemoryError("CUDA")))
    run("personalize", "--concept", "x", "--images", "y", code=5)


def test_json_failures_are_one_object_on_stdout(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    failing_with(monkeypatch, api, raising(ShotsError("too few.", path="p", hint="Add one.")))
    result = run("personalize", "--concept", "x", "--images", "y", "--json", code=3)
    assert json.loads(result.stdout) == {"error": {"code": 3, "message": "too few.", "path": "p", "hint": "Add one."}}
    assert result.stderr == ""


def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    failing_with(monkeypatch, api, raising(OvssError("bad.")))
    result = run("personalize", "--concept", "x", "--images", "y", "--debug", code=1)
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("error: bad.\n")


def test_only_our_warnings_are_told_each_in_a_line(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    def warn() -> None:
        warnings.warn("the mask\nis full", OvssWarning, stacklevel=2)
        warnings.warn("internals", FutureWarning, stacklevel=2)

    failing_with(monkeypatch, api, warn)
    monkeypatch.setattr("ovss_personal.cli.personalize.len", lambda _: 0, raising=False)
    result = run("personalize", "--concept", "x", "--images", "y")
    assert result.stderr == "warning: the mask is full\n"


def test_usage_errors_end_in_2() -> None:
    run("personalize", code=2)
    run("persnalize", code=2)
    run("personalize", "--concept", "x", "--competitors", "all", code=2)


def test_a_closed_pipe_is_quiet() -> None:
    code = "from ovss_personal.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "cache", "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(timeout=30) == 0
    child.stderr.close()


VERBS = [
    ["personalize"],
    ["segment"],
    ["inspect"],
    ["demo"],
    ["bases"],
    ["doctor"],
    ["weights", "list"],
    ["weights", "pull"],
    ["weights", "verify"],
    ["competitors", "build"],
    ["concepts", "list"],
    ["concepts", "show"],
    ["cache", "info"],
    ["cache", "clear"],
    *(["benchmark", "build", name] for name in ("ade", "concat", "cub", "folder", "fss", "stamps")),
    ["benchmark", "show"],
    ["evaluate"],
    ["report"],
]


def test_verbs_that_use_a_base_have_every_option_of_one() -> None:
    for name in ("segment", "personalize", "evaluate", "web", "demo", "competitors build"):
        told = " ".join(run(*name.split(), "--help").stdout.split())
        for option in fields(BaseConfig):
            assert f"--{option.name.replace('_', '-')} " in told
            assert option.metadata["help"] in told.replace("- ", "-")
    assert "'--tiles'" in run("segment", "x", "--out", "y", "--tiles", "65", code=2).output


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_has_help_with_an_example_and_json(words: list[str]) -> None:
    result = run(*words, "--help")
    assert "Example:\n" in result.stdout and " ".join(words) in result.stdout.partition("Example:")[2]
    assert "--json" in result.stdout and "--debug" in result.stdout


@pytest.mark.parametrize("name", LISTED)
def test_the_list_of_verbs_says_of_each_what_its_own_help_says_first(name: str) -> None:
    own = " ".join(run(name, "--help").stdout.split())
    assert LISTED[name].summary in own
    listed = next(line for line in run("--help").stdout.splitlines() if line.split()[:1] == [name])
    assert LISTED[name].summary.startswith(listed.split(None, 1)[1].removesuffix("..."))


# names, kills and inputs that a run must survive


def odd_photo(name: bytes) -> str:
    path = os.fsdecode(b"in/" + name)
    Path("in").mkdir(exist_ok=True)
    Image.new("RGB", (40, 30), (90, 120, 40)).save("in/plain.jpg")
    os.rename("in/plain.jpg", path)
    return path


@pytest.mark.parametrize(
    ("name", "told", "stem"),
    [
        (b"f\xfct.jpg", "in/f\\xfct.jpg", "f_t"),
        (b"\x1b[2J.jpg", "in/\\x1b[2J.jpg", "_[2J"),
        (b"a" * 246 + b".jpg", "in/" + "a" * 246 + ".jpg", "a" * 233),
        ("я".encode() * 125 + b".jpg", "in/" + "я" * 125 + ".jpg", "я" * 116),
    ],
)
def test_a_photo_of_an_odd_name_is_done(name: bytes, told: str, stem: str) -> None:
    odd_photo(name)
    photo("in/b.jpg")
    result = run("segment", "in", "--words", "sky", "--out", "out")
    facts = json.loads(Path("out/result.json").read_text("utf-8"))
    assert {entry["photo"] for entry in facts["photos"]} == {told, "in/b.jpg"}
    assert Path(f"out/{stem}.overlay.png").exists() and Path(f"out/{stem}.labels.png").exists()
    assert f"{told}: sky" in result.stdout and "\x1b" not in result.output


def test_a_photo_that_fails_in_any_way_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    for name in "abcde":
        photo(f"in/{name}.jpg")
    failures = {"b": MemoryError(), "c": PermissionError(errno.EACCES, "x", "in/c.jpg"), "d": ZeroDivisionError()}

    def see(base: object, image: Path, cache: object) -> RGBImage:
        if image.stem in failures:
            raise failures[image.stem]
        return api.see(base, image, cache)

    monkeypatch.setattr("ovss_personal.engine.see.see", see)
    result = run("segment", "in", "--words", "sky", "--out", "out", code=3)
    facts = json.loads(Path("out/result.json").read_text())
    assert [entry["photo"] for entry in facts["photos"]] == ["in/a.jpg", "in/e.jpg"]
    assert [(entry["photo"], entry["error"]["code"]) for entry in facts["failed"]] == [
        ("in/b.jpg", 5),
        ("in/c.jpg", 3),
        ("in/d.jpg", 1),
    ]
    assert "error: in/b.jpg: out of memory." in result.stderr
    assert "error: in/c.jpg: cannot be used: Permission denied." in result.stderr
    assert result.stderr.splitlines()[-1] == ("not done: in/b.jpg, in/c.jpg, in/d.jpg; --resume tries them again")
    assert "2 of 5 photos done, the facts in out/result.json" in result.stdout
    failures.clear()
    result = run("segment", "in", "--words", "sky", "--out", "out", "--resume")
    assert "5 of 5 photos done (2 of them before)" in result.stdout
    facts = json.loads(Path("out/result.json").read_text())
    assert [entry["photo"] for entry in facts["photos"]] == [f"in/{name}.jpg" for name in "abcde"]


def test_a_run_that_is_cut_off_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    for name in "abc":
        photo(f"in/{name}.jpg")
    seen: list[str] = []

    def see(base: object, image: Path, cache: object) -> RGBImage:
        if image.stem == "c" and "c" not in seen:
            seen.append("c")
            raise KeyboardInterrupt
        seen.append(image.stem)
        return api.see(base, image, cache)

    monkeypatch.setattr("ovss_personal.engine.see.see", see)
    arguments = ("segment", "in", "--words", "sky", "--out", "out")
    run(*arguments, code=130)
    assert not Path("out/result.json").exists()
    refused = run(*arguments, code=3)
    assert refused.stderr.splitlines()[1] == (
        "hint: 2 photos are done in it: pass --resume to go on, --overwrite or choose another --out."
    )
    run("segment", "in", "--words", "tree", "--out", "out", "--resume", code=3)
    run(*arguments, "--resume", "--overwrite", code=2)
    run(*arguments, "--resume")
    assert seen == ["a", "b", "c", "c"]
    facts = json.loads(Path("out/result.json").read_text())
    assert [entry["photo"] for entry in facts["photos"]] == ["in/a.jpg", "in/b.jpg", "in/c.jpg"]
    assert sorted(path.name for path in Path("out").iterdir() if path.name.startswith(".")) == []


def test_a_full_disk_ends_the_run_and_what_is_done_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        photo(f"in/{name}.jpg")
    written: list[str] = []

    def write(path: Path, data: bytes, **options: Any) -> None:
        if path.name.startswith("b."):
            raise ResourceError("the disk is full.", path=path)
        written.append(path.name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    for place in ("files", "record"):
        monkeypatch.setattr(f"ovss_personal.store.{place}.atomic_write", write)
    result = run("segment", "in", "--words", "sky", "--out", "out", code=5)
    assert result.stderr.startswith("error: out/b.overlay.png: the disk is full.")
    assert written == ["a.overlay.png", "a.labels.png", ".result.jsonl"]
    monkeypatch.undo()


def test_an_input_is_never_written_over() -> None:
    photo("photos/01.jpg")
    mine = Path(photo("photos/01.overlay.png")).read_bytes()
    result = run("segment", "photos", "--words", "sky", "--out", "photos", "--overwrite", code=3)
    assert "photos/01.overlay.png: is a photo of this run, and would be overwritten." in result.stderr
    assert Path("photos/01.overlay.png").read_bytes() == mine
    assert sorted(path.name for path in Path("photos").iterdir()) == ["01.jpg", "01.overlay.png"]
    result = run("segment", "photos/01.jpg", "--words", "sky", "--out", "photos", "--overwrite", code=3)
    assert "photos/01.overlay.png: is there already, and no result.json of ours says" in result.stderr
    assert Path("photos/01.overlay.png").read_bytes() == mine


def test_nothing_is_written_through_a_link() -> None:
    photo("a.jpg")
    Path("theirs").write_bytes(b"dear")
    Path("out").mkdir()
    Path("out/a.overlay.png").symlink_to(Path("theirs").resolve())
    result = run("segment", "a.jpg", "--words", "sky", "--out", "out", "--overwrite", code=3)
    assert "out/a.overlay.png: is a link" in result.stderr and Path("theirs").read_bytes() == b"dear"


def test_an_output_of_ours_is_replaced_and_others_files_stay() -> None:
    for name in "ab":
        photo(f"in/{name}.jpg")
    arguments = ("segment", "--words", "sky", "--out", "out", "--overwrite")
    run(*arguments, "in")
    Path("out/notes.txt").write_text("mine")
    run(*arguments, "in/a.jpg")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "a.labels.png",
        "a.overlay.png",
        "notes.txt",
        "result.json",
    ]
    run(*arguments, "in")


def test_a_terminal_gets_no_escapes_of_others(api: FakeApi) -> None:
    folder = Path("concepts/\x1b]0;owned\x07")
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(["my \x9b31m bird", "b\u202eird"]))
    listed = run("concepts", "list")
    assert listed.stdout == ("concepts/\\x1b]0;owned\\x07: my \\x9b31m bird (b\\u202eird), 2 shots, base embedded\n")
    assert "\\u202e" in run("concepts", "list", "--json").stdout
    told = run("segment", "\x1b31m.jpg", "--words", "sky", "--out", "out", code=3)
    assert told.stderr.startswith("error: \\x1b31m.jpg: there is no such file.")


@pytest.mark.parametrize("path", sorted(Path(personalize.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_is_printed_but_through_one_module(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    attributes = {ast.unparse(call) for call in calls if isinstance(call, ast.Attribute)}
    assert "print" not in names
    if path.stem != "printing":
        assert not {"sys.stdout.write", "sys.stderr.write", "typer.echo"} & attributes


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_pipe_that_cannot_print_a_name_stops_nothing(encoding: str) -> None:
    code = """
import sys
from ovss_personal.cli.printing import note, print_json, say
say("моя птица 🐦"); print_json({"моя": "птица 🐦"}); note("моя"); print(sys.stdout.encoding)
"""
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    said, *told, used = ended.stdout.decode(encoding).splitlines()
    assert used == encoding and json.loads("".join(told)) == {"моя": "птица 🐦"}
    escaped = "\\u043c\\u043e\\u044f \\u043f\\u0442\\u0438\\u0446\\u0430 \\U0001f426"
    assert said == ("моя птица 🐦" if encoding == "utf-8" else escaped)


def test_the_program_says_which_version_it_is() -> None:
    for command in (["-m", "ovss_personal"], ["-c", "from ovss_personal.cli import personalize_main as m; m()"]):
        ended = subprocess.run([sys.executable, *command, "--version"], capture_output=True, text=True, check=True)
        assert ended.stdout == f"ovss-personal {ovss_personal.__version__}\n"
