"""From building a benchmark to the table of results, on stamps and a base made by code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from end_to_end.commands import attempt, run
from fakes import FakeBase, write_stamps

from ovss_personal import bases


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of one concept."""
    root = tmp_path_factory.mktemp("built")
    write_stamps(root / "share")
    out = root / "stamps"
    outcome = run("benchmark", "build", "stamps", "--out", str(out), "--birds", "1", "--stamps", str(root / "share"))
    assert outcome.stdout == f"next: ovss-personal evaluate {out}/manifest.json\n"
    return out


@pytest.fixture(scope="module")
def small(built: Path) -> str:
    """A manifest of the same concept with two shots and one test of each kind."""
    content = json.loads((built / "manifest.json").read_text())
    concept = content["concepts"][0]
    for kind, count in (("shots", 2), ("positives", 1), ("negatives", 1), ("pairs", 1)):
        concept[kind] = concept[kind][:count]
    path = built / "small.json"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture(autouse=True)
def fake_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBase:
    base = FakeBase()
    monkeypatch.setattr(bases, "load_base", lambda *name, **options: base)
    monkeypatch.chdir(tmp_path)
    return base


def test_the_same_seed_builds_the_same_bytes(built: Path) -> None:
    arguments = ("benchmark", "build", "stamps", "--birds", "1", "--stamps", str(built.parent / "share"))
    facts = run(*arguments, "--out", "again", "--json").facts
    assert facts == {"manifest": "again/manifest.json"}
    assert Path("again/manifest.json").read_bytes() == (built / "manifest.json").read_bytes()
    outcome = attempt(*arguments, "--out", "again")
    assert outcome.code == 3
    assert outcome.stderr.startswith("error: again/manifest.json: the benchmark exists.")


def test_evaluate_prints_a_row_for_each_method_and_number_of_shots(small: str) -> None:
    chosen = ("--methods", "full+competitors", "--methods", "text", "--shots", "1, 2")
    outcome = run("evaluate", small, *chosen)
    rows = [line.strip("| ").split(" | ") for line in outcome.stdout.splitlines()[2:6]]
    assert [row[:2] for row in rows] == [
        ["full+competitors", "1"],
        ["full+competitors", "2"],
        ["full+competitors", "avg"],
        ["text", "0"],
    ]


def test_evaluate_goes_on_from_what_it_kept(small: str, fake_base: FakeBase) -> None:
    arguments = ("evaluate", small, "--shots", "1", "--methods", "prompt", "--out", "kept")
    first = run(*arguments, "--no-cache", "--json").facts
    looks = fake_base.looks
    assert looks > 3
    assert run(*arguments, "--no-cache", "--json").facts == first and fake_base.looks == looks
    assert first["benchmark"] == "stamps" and first["base"] == {"name": "fake", "fingerprint": "f" * 64}
    (result,) = first["results"]
    assert (result["method"], result["shots"]) == ("prompt", 1) and 0 <= result["iou"] <= 1


def test_evaluate_measures_the_base_alone(small: str) -> None:
    arguments = ("evaluate", small, "--methods", "text", "--shots", "1", "--proposals")
    quality = run(*arguments, "--json").facts["proposals"]
    assert 0 < quality["best_iou"] < 1 and 0 < quality["best_iou_pairs"] < 1
    last = run(*arguments).stdout.splitlines()[-1]
    assert last.startswith(f"base alone: best proposal {100 * quality['best_iou']:.1f}, side by side ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--shots", "1,x"), "--shots '1,x' is no list of whole numbers."),
        (("--shots", "9"), "9 shots are more than the 5 that the benchmark has"),
        (("--shots", "0"), "shots must be whole numbers from 1 up"),
        (("--methods", "magic"), "methods must be among text, visual"),
        (("--sheets", "1"), "--sheets needs --out"),
    ],
)
def test_evaluate_refuses_what_the_benchmark_cannot_give(built: Path, options: tuple[str, ...], says: str) -> None:
    outcome = attempt("evaluate", str(built / "manifest.json"), *options)
    assert outcome.code == 2 and outcome.stderr.startswith(f"error: {says}")


def test_evaluate_refuses_pictures_that_changed_and_shots_that_are_tests(built: Path) -> None:
    shutil.copytree(built, "stamps")
    content = json.loads(Path("stamps/manifest.json").read_text())
    concept = content["concepts"][0]
    shot = Path("stamps", concept["shots"][0]["image"])
    shot.write_bytes(shot.read_bytes() + b"\0")
    outcome = attempt("evaluate", "stamps/manifest.json", "--shots", "1")
    assert outcome.code == 3 and outcome.stderr.startswith(f"error: {shot}: has changed")
    concept["negatives"].append(concept["shots"][0])
    Path("stamps/manifest.json").write_text(json.dumps(content))
    outcome = attempt("evaluate", "stamps/manifest.json")
    assert outcome.code == 3 and "is tested on its own shots" in outcome.stderr


def test_an_experiment_is_evaluated_reported_and_drawn(small: str) -> None:
    Path("x.yaml").write_text(f"manifest: {small}\nmethods: [text, full, knn]\nshots: [1, 2]\ntable: 2\n")
    printed = run("evaluate", "x.yaml", "--out", "kept", "--sheets", "1").stdout
    assert Path("kept/report.md").read_text() == printed
    assert "Table 2. Precision and recall" in printed and "| fake | stamps | full | 2 |" in printed
    assert {path.name for path in Path("kept").glob("*.png")} >= {"iou_by_shots.png", "precision_recall.png"}
    assert len(list(Path("kept").glob("sheet_*.png"))) == 1
    lines = Path("kept/results.jsonl").read_text().splitlines()
    assert [json.loads(line)["method"] for line in lines] == ["text", "full", "full", "knn", "knn"]
    merged = run("report", "kept").stdout
    assert merged.startswith("Table 1. ") and "| san_vit_b_16 | cub | full | 5 | – | 76.80 | – | 84.51 |" in merged
