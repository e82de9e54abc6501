"""From raw data to a benchmark, its picture and its table of results, on data sets in miniature."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from end_to_end.commands import attempt, run
from fakes import (
    COLOURS,
    FakeBase,
    ade_labels,
    write_ade,
    write_coco,
    write_cub,
    write_davis,
    write_fss,
    write_objects,
    write_stamps,
    write_yolo,
)
from fakes.raw import noise, save
from PIL import Image

from ovss_personal import bases
from ovss_personal.benchmarks import stamps
from ovss_personal.benchmarks.manifest import read_manifest

WRITERS: dict[str, Callable[[Path], Path]] = {"fss": write_fss, "cub": write_cub, "ade": write_ade}


@pytest.fixture(autouse=True)
def fake_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBase:
    base = FakeBase()
    monkeypatch.setattr(bases, "load_base", lambda *name, **options: base)
    monkeypatch.chdir(tmp_path)
    return base


def mine() -> None:
    """`mine/`: five shots and a positive with masks, a negative."""
    mask = np.zeros((24, 32), np.uint8)
    mask[4:20, 8:24] = 255
    for number in range(6):
        folder = Path("mine/shots" if number < 5 else "mine/positives")
        save(folder / f"{number}.jpg", noise(number))
        save(folder / f"{number}_mask.png", mask)
    save(Path("mine/negatives/9.jpg"), noise(9))


FOLDER = ("benchmark", "build", "folder", "--root", "mine", "--concept", "my mug", "--class-name", "mug")


@pytest.mark.parametrize("name", WRITERS)
def test_raw_data_are_built_concatenated_and_shown(name: str) -> None:
    WRITERS[name](Path("raw"))
    outcome = run("benchmark", "build", name, "--root", "raw", "--out", "one", "--tests", "2")
    assert outcome.stdout == "next: ovss-personal evaluate one/manifest.json\n"
    facts = run("benchmark", "build", "concat", "--root", "one", "--out", "two", "--json").facts
    assert facts == {"manifest": "two/manifest.json"}
    concept = read_manifest("two/manifest.json").concepts[1]
    facts = run("benchmark", "show", "two/manifest.json", "--concept", concept.name, "--json").facts
    assert facts["concept"] == concept.name and facts["class_name"] == concept.class_name
    assert [facts[kind] for kind in ("shots", "positives", "negatives", "pairs")] == [5, 2, 2, 2]
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 5 * 240 and sheet.height > 3 * 240  # eleven tiles in rows of five


def test_a_folder_is_built_and_evaluated() -> None:
    mine()
    run(*FOLDER, "--out", "built", "--words", "cat, dog")
    assert read_manifest("built/manifest.json").words == ("cat", "dog")
    arguments = ("evaluate", "built/manifest.json", "--shots", "1", "--methods", "text", "--out", "kept")
    facts = run(*arguments, "--json").facts
    assert facts["benchmark"] == "folder" and facts["results"][0]["concept"] == "my mug"
    run(*FOLDER, "--out", "built", "--words", "cat", "--overwrite")
    outcome = attempt(*arguments)  # results among other words are other results
    assert outcome.code == 3 and "another base, benchmark or choice of methods" in outcome.stderr
    outcome = run("benchmark", "show", "built/manifest.json", "--out", "mine.png")
    assert outcome.stdout == "my mug (mug): 5 shots, 1 positives, 1 negatives; drawn in mine.png\n"


def test_davis_is_built_shown_and_evaluated_by_concept() -> None:
    write_davis(Path("raw"), "2017")
    run("benchmark", "build", "davis", "--root", "raw", "--out", "davis_per", "--frames", "3")
    Path("few.txt").write_text("cows: red cow\n")
    run("benchmark", "build", "davis", "--root", "raw", "--out", "davis_per", "--classes", "few.txt", "--overwrite")
    shown = run("benchmark", "show", "davis_per/manifest.json", "--concept", "my dog").stdout
    assert shown == "my dog (dog): 3 shots, 5 positives, 4 negatives, 1 look_alikes; drawn in sheet.png\n"
    assert read_manifest("davis_per/manifest.json").concepts[1].class_name == "red cow"
    printed = run("evaluate", "davis_per/manifest.json", "--methods", "text", "--shots", "1", "--by-concept").stdout
    assert "| look-alike alarms |" in printed and "\n| my car-turn | " in printed
    assert run("evaluate", "davis_per/manifest.json", "--methods", "text", "--shots", "1").stdout in printed
    outcome = attempt("evaluate", "davis_per/manifest.json", "--shots", "3")
    assert outcome.code == 2 and "3 shots are more than the 1 that the benchmark has" in outcome.stderr


def test_objects_are_built_shown_and_evaluated() -> None:
    write_objects(Path("raw"))
    run("benchmark", "build", "album", "--root", "raw", "--out", "objects_per")
    shown = run("benchmark", "show", "objects_per/manifest.json", "--concept", "my cat (2)").stdout
    assert shown == "my cat (2) (cat): 2 shots, 1 positives, 5 negatives, 2 look_alikes; drawn in sheet.png\n"
    facts = run("evaluate", "objects_per/manifest.json", "--methods", "text", "--shots", "1", "--json").facts
    assert len(facts["results"]) == 8 and all(row["look_alikes"] for row in facts["results"])


@pytest.mark.parametrize("write", [write_coco, write_yolo])
def test_instances_are_built_shown_and_measured(write: Callable[[Path], Path]) -> None:
    write(Path("raw"))
    facts = run("benchmark", "build", "coco", "--root", "raw", "--out", "coco_val", "--json").facts
    assert facts == {"manifest": "coco_val/manifest.json"}
    facts = run("benchmark", "show", "coco_val/manifest.json", "--json").facts
    assert (facts["photos"], facts["instances"]) == (2, 3)
    with Image.open("sheet.png") as sheet:
        white = (np.asarray(sheet.convert("RGB")) == 255).all(2)
    assert white[:230, :252].sum() > 100  # the outlines of the first photo's
    printed = run("evaluate", "coco_val/manifest.json", "--out", "kept").stdout
    assert "\n| all | 3 | " in printed and Path("kept/report.md").read_text() == printed
    facts = run("evaluate", "coco_val/manifest.json", "--json", "--no-cache").facts
    assert [band["instances"] for band in facts["bands"]][-1] == 3 and facts["base"]["name"] == "fake"
    Path("x.yaml").write_text("manifest: coco_val/manifest.json\nmethods: [text]\n")
    for options in (("--shots", "1"), ("--methods", "text"), ("--by-concept",), ()):
        outcome = attempt("evaluate", "coco_val/manifest.json" if options else "x.yaml", *options)
        assert outcome.code == 2 and "a benchmark of instances has no concepts" in outcome.stderr
    outcome = attempt("benchmark", "show", "coco_val/manifest.json", "--concept", "my cat", "--overwrite")
    assert outcome.code == 2 and "a benchmark of instances has no concepts" in outcome.stderr
    outcome = attempt("benchmark", "build", "concat", "--root", "coco_val", "--out", "two")
    assert outcome.code == 3 and "it is one of 'instances'" in outcome.stderr


def test_show_marks_the_object_and_leaves_negatives_unmarked() -> None:
    mine()
    run(*FOLDER, "--out", "built")
    run("benchmark", "show", "built/manifest.json")
    with Image.open("sheet.png") as sheet:
        white = (np.asarray(sheet.convert("RGB")) == 255).all(2)  # the outline; the paper is less white
    assert white[:230, :252].sum() > 400  # the first tile of the first row: a shot
    assert white[330:540, :252].sum() > 400  # of the second row: the positive
    assert white[330:540, 252:504].sum() < 50


def test_known_words_are_the_truth_that_results_are_measured_against() -> None:
    """Photos that a base of colours sees as one word but for the kettle, while the data set knows many."""
    home = write_ade(Path("raw")) / "ADE20K_2021_17_01"
    for seed, path in enumerate(sorted((home / "images_detectron2").rglob("*.jpg"))):
        kettle = ade_labels(int(path.stem[-8:]) - 1)[..., None] == 408
        pixels = np.where(kettle, COLOURS["red"], COLOURS["green"]) + noise(seed, 40, 48) // 32
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=100)
    run("benchmark", "build", "ade", "--root", "raw", "--out", "ade")
    content = json.loads(Path("ade/manifest.json").read_text())
    content["concepts"] = [concept for concept in content["concepts"] if concept["class_name"] == "kettle"]
    content["words"] = ["green wall", *(f"word {i}" for i in range(1, 847))]
    content["words"][408] = "kettle"
    Path("ade/small.json").write_text(json.dumps(content))
    arguments = ("evaluate", "ade/small.json", "--shots", "1", "--methods", "full+competitors")
    (known,) = run(*arguments, "--json").facts["results"]
    for kind in ("positives", "negatives"):
        for item in content["concepts"][0][kind]:
            item["labels"] = None
    Path("ade/pseudo.json").write_text(json.dumps(content))
    (pseudo,) = run(arguments[0], "ade/pseudo.json", *arguments[2:], "--json").facts["results"]
    assert known["iou"] == pseudo["iou"]
    assert known["others_miou"] < 0.2 < pseudo["others_miou"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fss", "error: empty: this is not FSS-1000"),
        ("cub", "error: empty: this is not CUB-200-2011"),
        ("ade", "error: empty: this is not ADE20K full"),
        ("davis", "error: empty: this is not DAVIS"),
        ("coco", "error: empty: this is not COCO"),
        ("album", "error: empty: there is no folder 'learn' here"),
        ("concat", "error: empty/manifest.json: the manifest cannot be read"),
    ],
)
def test_a_root_that_is_not_the_data_set_ends_in_3(name: str, says: str) -> None:
    Path("empty").mkdir()
    outcome = attempt("benchmark", "build", name, "--root", "empty", "--out", "out")
    assert outcome.code == 3 and outcome.stderr.startswith(says) and outcome.stdout == ""
    assert len(outcome.stderr.splitlines()) <= 2 and not Path("out").exists()


def half_of_fss() -> None:
    write_fss(Path("raw"))
    for folder in sorted(Path("raw/fewshot_data/fewshot_data").iterdir())[::2]:
        shutil.rmtree(folder)


def half_of_cub() -> None:
    write_cub(Path("raw"))
    shutil.rmtree("raw/segmentations/002.Laysan_Albatross")


def half_of_ade() -> None:
    write_ade(Path("raw"))
    shutil.rmtree("raw/ADE20K_2021_17_01/images_detectron2/validation")


def mask_in_the_wrong_mode() -> None:
    write_fss(Path("raw"))
    Image.new("P", (32, 24)).save("raw/fewshot_data/fewshot_data/golf_ball/1.png")


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (half_of_fss, "fss", "15 of the 30 classes of FSS^per have no folder here: adidas_logo1, "),
        (half_of_cub, "cub", "8 of the 48 photos and masks of CUB-200-2011 are missing: segmentations/002.Laysan"),
        (half_of_ade, "ade", "6 validation photos lack their labels or the other way round: ADE_val_00000001"),
        (mask_in_the_wrong_mode, "fss", "golf_ball/1.png: expected a grey mask of 0 to 255, found a picture of mode P"),
    ],
)
def test_half_a_data_set_ends_in_3_and_writes_nothing(make: Callable[[], None], name: str, says: str) -> None:
    make()
    outcome = attempt("benchmark", "build", name, "--root", "raw", "--out", "out")
    assert outcome.code == 3 and says in outcome.stderr and not Path("out").exists()
    error, hint = outcome.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--birds", "4"), 3, "4 birds and a thing of another kind are needed, found 3 and 1."),
        (("--birds", "1", "--look-alikes", "2"), 3, "4 birds and a thing of another kind are needed, found 3 and 1."),
        (("--birds", "1", "--look-alikes", "6"), 2, "Invalid value for '--look-alikes'"),
    ],
)
def test_too_few_stamps_end_in_one_sentence(options: tuple[str, ...], code: int, says: str) -> None:
    write_stamps(Path("share"))
    outcome = attempt("benchmark", "build", "stamps", "--stamps", "share", "--out", "out", *options)
    assert outcome.code == code and says in outcome.stderr and not Path("out").exists(), outcome.stderr


def test_look_alikes_are_built_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "SIZE", 64)
    write_stamps(Path("share"))
    asked = ("benchmark", "build", "stamps", "--stamps", "share", "--birds", "1", "--look-alikes", "1")
    run(*asked, "--out", "crowd")
    assert read_manifest("crowd/manifest.json").name == "stamps-crowd-1"
    facts = run("evaluate", "crowd/manifest.json", "--shots", "1", "--methods", "text", "--json").facts
    assert [(row["positives"], row["negatives"], row["pairs"]) for row in facts["results"]] == [(10, 10, 4)]
    garden = Path("share/backgrounds/mate/nature/Garden.jpg")
    garden.unlink()
    outcome = attempt(*asked, "--out", "half")
    assert outcome.code == 3 and outcome.stderr.startswith(f"error: {garden}: is missing") and not Path("half").exists()


def test_what_cannot_be_tested_ends_in_3() -> None:
    mine()
    run(*FOLDER, "--out", "built")
    manifest = Path("built/manifest.json")
    whole = json.loads(manifest.read_text())

    def ends(content: object, says: str) -> None:
        Path("built/other.json").write_text(json.dumps(content))
        for command in (("evaluate", "built/other.json", "--shots", "5"), ("benchmark", "show", "built/other.json")):
            outcome = attempt(*command)
            assert outcome.code == 3 and says in outcome.stderr, outcome.stderr

    concept = whole["concepts"][0]
    ends({**whole, "concepts": [{**concept, "negatives": []}]}, "'my mug' has no negatives, so it cannot be tested")
    ends({**whole, "concepts": [{**concept, "pairs": concept["shots"][:1]}]}, "'my mug' is tested on its own shots")
    Image.new("P", (32, 24)).save("built/positives/000_mask.png")
    ends(whole, "built/positives/000_mask.png: expected a grey mask of 0 to 255, found a picture of mode P")
    save(Path("mine/shots/0.jpg"), noise(77))
    ends(whole, "mine/shots/0.jpg: has changed since the manifest was made")
    shutil.rmtree("mine")
    ends(whole, "the file cannot be read: No such file")


def test_a_shot_that_is_a_positive_ends_in_3_before_anything_is_built() -> None:
    mine()
    shutil.copy("mine/shots/3.jpg", "mine/negatives/3.jpg")
    outcome = attempt(*FOLDER, "--out", "built")
    assert outcome.code == 3 and not Path("built").exists()
    assert "shots/3.jpg is a shot and, as negatives/3.jpg, also a test photo" in outcome.stderr


def test_requests_that_cannot_be_met() -> None:
    mine()
    run(*FOLDER, "--out", "built")
    for arguments, code, says in (
        (("show", "built/manifest.json", "--concept", "my hat"), 2, "the benchmark has no concept 'my hat'"),
        (("build", "concat", "--root", "built", "--out", "built", "--overwrite"), 2, "--root and --out are one folder"),
        ((*FOLDER[1:], "--out", "built"), 3, "built/manifest.json: the benchmark exists"),
        ((*FOLDER[1:], "--out", "mine", "--overwrite"), 3, "so it is not ours to overwrite"),
        ((*FOLDER[1:], "--out", "new", "--words", "my mug, cat"), 3, "same name as a word of the vocabulary"),
    ):
        outcome = attempt("benchmark", *arguments)
        assert outcome.code == code and says in outcome.stderr, outcome.stderr
    run("benchmark", "show", "built/manifest.json")
    outcome = attempt("benchmark", "show", "built/manifest.json")
    assert outcome.code == 3 and "sheet.png: the output exists" in outcome.stderr


def test_overwriting_leaves_nothing_of_the_old_benchmark() -> None:
    mine()
    run(*FOLDER, "--out", "built")
    Path("built/positives/old.png").write_bytes(b"")
    run(*FOLDER, "--out", "built", "--overwrite")
    assert not Path("built/positives/old.png").exists() and read_manifest("built/manifest.json").concepts
