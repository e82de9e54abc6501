"""From building a benchmark to the table of results, on stamps and a base made by code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from end_to_end.commands import attempt, run
from fakes import FakeBase, write_stamps

from ovss_personal import api


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
    monkeypatch.setattr(api, "load_base", lambda name, **options: base)
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
    chosen = ("--methods", "full, hidden competitors", "--methods", "text only", "--shots", "1, 2")
    outcome = run("evaluate", small, *chosen)
    rows = [line.strip("| ").split(" | ") for line in outcome.stdout.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        ["full, hidden competitors", "1"],
        ["full, hidden competitors", "2"],
        ["text only", "0"],
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
    arguments = ("evaluate", small, "--methods", "text only", "--shots", "1", "--proposals")
    quality = run(*arguments, "--json").facts["proposals"]
    assert 0 < quality["best_iou"] < 1 and 0 < quality["best_iou_pairs"] < 1
    last = run(*arguments).stdout.splitlines()[-1]
    assert last.startswith(f"base alone: best proposal {100 * quality['best_iou']:.1f}, side by side ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--shots", "1,x"), "--shots '1,x' is no list of numbers from 1 to 5"),
        (("--shots", "9"), "--shots '9' is no list of numbers from 1 to 5"),
        (("--methods", "magic"), "there is no method 'magic'."),
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
