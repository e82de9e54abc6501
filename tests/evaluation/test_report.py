"""What the tables say, and what they leave empty."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from ovss_personal.errors import InputError
from ovss_personal.evaluation.report import Run, cells, markdown, paper_table, paper_tables, read_run, summary, write
from ovss_personal.evaluation.results import Result

ONE = Result("my red", 0, "text", 0, 10, 10, 0, 0.5, 0.6, 0.7, 0.1, 0.8, 0.81, math.nan, math.nan)


def results() -> list[Result]:
    """Two concepts; full has K = 1, 5 and two seeds."""
    rows = []
    for concept, more in (("my red", 0.0), ("my blue", 0.2)):
        rows.append(replace(ONE, concept=concept, iou=0.5 + more))
        for shots in (1, 5):
            for seed, shift in ((0, -0.1), (1, 0.1)):
                iou = 0.6 + more + shift + shots / 100
                rows.append(replace(ONE, concept=concept, method="full", shots=shots, seed=seed, iou=iou))
    return rows


def test_a_cell_is_the_mean_over_concepts_of_means_over_seeds() -> None:
    found = {(c.method, c.shots, c.metric): c for c in cells(Run("cub", "san_vit_b_16", results()))}
    assert found["text", 0, "iou"].mean == pytest.approx(0.6)
    one = found["full", 1, "iou"]
    assert (one.mean, one.low, one.high) == pytest.approx((0.71, 0.61, 0.81))
    assert (one.concepts, one.images) == (2, 40)
    assert found["full", "avg", "iou"].mean == pytest.approx(0.73)
    assert ("text", "avg", "iou") not in found
    beside = found["text", 0, "pairs_iou"]
    assert math.isnan(beside.mean) and (beside.concepts, beside.images) == (0, 0)


def test_ours_stand_beside_the_paper_s_and_what_nobody_has_is_a_dash() -> None:
    run = Run("cub", "san_vit_b_16", results(), table=1)
    rows = paper_table(1, [run]).splitlines()[4:]
    assert rows == [
        "| san_vit_b_16 | cub | text | 0 | 60.0 [50.0, 70.0] | 68.25 | 80.0 [80.0, 80.0] | 77.32 | 2 | 40 |",
        "| san_vit_b_16 | cub | full | 1 | 71.0 [61.0, 81.0] | 76.70 | 80.0 [80.0, 80.0] | – | 2 | 40 |",
        "| san_vit_b_16 | cub | full | 3 | – | 77.21 | – | – | – | – |",
        "| san_vit_b_16 | cub | full | 5 | 75.0 [65.0, 85.0] | 76.80 | 80.0 [80.0, 80.0] | – | 2 | 40 |",
        "| san_vit_b_16 | cub | full | avg | 73.0 [63.0, 83.0] | 76.90 | 80.0 [80.0, 80.0] | 77.83 | 2 | 40 |",
    ]
    assert "Table 1. " in markdown(run) and "rests on 2 concepts and 40 test images" in markdown(run)
    everything = paper_tables([run])
    assert [f"Table {n}. " in everything for n in (1, 2, 4, 6, 7)] == [True] * 5
    assert "| odise_label | ade | full | avg | – | 11.24 | – | 12.19 | – | – |" in everything
    stamps = paper_table(2, [Run("stamps", "embedded", results(), table=2)])
    assert stamps.count("| – |") >= 3 and "san_vit_b_16" not in stamps


def test_files_are_written_and_read_again(tmp_path: Path) -> None:
    run = Run("cub", "san_vit_b_16", results(), table=1)
    write(run, tmp_path)
    rows = list(csv.DictReader((tmp_path / "report.csv").read_text().splitlines()))
    full = next(r for r in rows if (r["method"], r["K"], r["metric"]) == ("full", "5", "iou"))
    assert (full["ours"], full["low"], full["high"], full["paper"]) == ("75.00", "65.00", "85.00", "76.8")
    assert next(r for r in rows if r["metric"] == "pairs_iou")["ours"] == ""
    for name in ("iou_by_shots.png", "precision_recall.png"):
        first = (tmp_path / name).read_bytes()
        assert first.startswith(b"\x89PNG")
    assert all(row["mean"] is None for row in summary(run) if row["metric"] == "pairs_iou")
    with pytest.raises(InputError, match="there is no such file"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is not what evaluate --out wrote"):
        read_run(tmp_path)
