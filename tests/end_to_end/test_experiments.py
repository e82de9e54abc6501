"""A YAML like that of the paper's table 1, from its words to its table, on the reduced networks of SAN and ODISE."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import write_mask, write_photo
from end_to_end.commands import attempt, run
from end_to_end.conftest import draw_ball, ground
from fakes.san import TinySan, tiny_spec, tiny_tensors

from ovss_personal.bases.weights import WEIGHTS
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest

pytest.importorskip("diffusers")
pytest.importorskip("open_clip")

EXPERIMENT = """\
manifest: balls/manifest.json
methods: {methods}
shots: [1, 2]
alpha: 0.1
learning_rate: 5.0e-4
lambda_m: 10
iterations: 3
table: 1
"""


def photo(number: int, ball: bool = True) -> Item:
    """A square photo with a ball at a place of its own, or without one."""
    pixels = ground(number)
    mask = draw_ball(pixels, (30 + 9 * number, 50, 18 + number)) if ball else np.zeros(pixels.shape[:2], bool)
    path = write_photo(Path("balls", f"{number}.png"), np.ascontiguousarray(pixels[:, :96]))
    if ball:
        write_mask(Path("balls", f"{number}_mask.png"), np.ascontiguousarray(mask[:, :96]))
    return Item(path.name, f"{number}_mask.png" if ball else None, hashlib.sha256(path.read_bytes()).hexdigest())


def odise(monkeypatch: pytest.MonkeyPatch) -> str:
    return "base: odise_tiny\n"


def san(monkeypatch: pytest.MonkeyPatch) -> str:
    tensors = tiny_tensors()
    monkeypatch.setitem(WEIGHTS, TinySan.name, tiny_spec(Path.cwd(), tensors))
    torch.save({"model": tensors}, "tiny.pth")
    Path("tiny_san.yaml").write_text("base: fakes.san.TinySan\ncompetitors: none\nnegative: true\nviews: 1\n")
    return f"base: tiny_san.yaml\nweights: {Path.cwd()}/tiny.pth\noffline: true\n"


@pytest.fixture(autouse=True)
def balls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark of five photos in `balls/`, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", str(tmp_path / "cache"))
    concept = ConceptSet("my ball", "orange", (photo(1), photo(2)), (photo(3),), (photo(4, ball=False),), (photo(5),))
    write_manifest(Manifest("balls", ("grass", "sky", "orange"), (concept,), Path("balls")))


@pytest.mark.parametrize(
    ("base", "name", "methods"),
    [
        pytest.param(odise, "odise_tiny", ["text", "full", "knn"], marks=pytest.mark.slow, id="odise"),  # 40 s
        pytest.param(san, "tiny_san", ["text", "full", "full+competitors", "knn"], id="san"),
    ],
)
def test_an_experiment_ends_in_its_table_and_the_cache_changes_nothing(
    base: Callable[[pytest.MonkeyPatch], str], name: str, methods: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("table1.yaml").write_text(base(monkeypatch) + EXPERIMENT.format(methods=json.dumps(methods)))

    fresh = run("evaluate", "table1.yaml", "--trust-base", "--no-cache", "--json").facts
    assert not Path("cache/proposals").exists() and fresh["base"]["name"] == name
    first = run("evaluate", "table1.yaml", "--trust-base", "--out", "out")
    assert first.stderr.startswith("5 images; what the base sees in them takes about ")
    assert len(list(Path("cache/proposals").iterdir())) == 5
    again = run("evaluate", "table1.yaml", "--trust-base", "--json").facts
    assert again == fresh
    assert [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()] == fresh["results"]
    assert [(row["method"], row["shots"]) for row in fresh["results"]] == [
        ("text", 0),
        *((method, shots) for method in methods[1:] for shots in (1, 2)),
    ]
    metrics = ("iou", "miou", "pairs_iou", "pairs_miou")
    assert all(0 <= row[metric] <= 1 for row in fresh["results"] for metric in metrics)
    table = Path("out/report.md").read_text().partition("Table 1. ")[2].splitlines()[4:]
    assert [line.split(" | ")[:4] for line in table] == [
        [f"| {name}", "balls", method, shots]
        for method in methods
        for shots in (["0"] if method == "text" else ["1", "2", "avg"])
    ]


def test_a_method_that_a_base_cannot_have_is_refused_before_anything_is_looked_at() -> None:
    Path("banked.yaml").write_text("base: odise_tiny\ncompetitors: bank\n")
    arguments = ("evaluate", "balls/manifest.json", "--base", "banked.yaml", "--shots", "1")
    outcome = attempt(*arguments, "--methods", "text", "--methods", "full+competitors")
    assert outcome.code == 2 and not Path("cache/proposals").exists()
    error, hint = outcome.stderr.splitlines()
    assert error == "error: 'full+competitors': odise_tiny has no bank of competitors ('bank')."
    assert "competitors build PHOTOS --base odise_tiny" in hint and "choose 'siblings'" in hint
