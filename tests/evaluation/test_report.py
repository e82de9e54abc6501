"""What the tables say, and what they leave empty."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from ovss_personal.errors import InputError
from ovss_personal.evaluation.cells import Run, cells
from ovss_personal.evaluation.report import markdown, paper_table, paper_tables, read_run, summary, write
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


def test_a_table_has_no_column_that_nobody_has_a_number_for() -> None:
    run = Run("davis", "embedded", [replace(ONE, photo_iou=0.4, best_proposal=0.9, missed=0.25, look_alikes=2)])
    head, _, row = markdown(run).splitlines()[:3]
    assert head == (
        "| method | K | IoU^per | IoU of a photo | best proposal | missed though proposed | precision | recall "
        "| false alarms | mIoU | mIoU others |"
    )
    assert row.startswith("| text | 0 | 50.0 [50.0, 50.0] | 40.0 | 90.0 | 25.0 | 60.0 | 70.0 | 10.0 |")
    assert "rests on 1 concepts and 20 test images" in markdown(run)
    fewer = replace(run.results[0], shots=1, positives=8)
    assert "rests on 1 concepts and 18 to 20 test images" in markdown(replace(run, results=[*run.results, fewer]))
    alarmed = replace(run.results[0], look_alike_alarms=0.5)
    assert "| look-alike alarms |" in markdown(replace(run, results=[alarmed]))
    images = {cell.metric: cell.images for cell in cells(replace(run, results=[alarmed]))}
    assert (images["photo_iou"], images["look_alike_alarms"], images["iou"], images["pairs_iou"]) == (10, 2, 20, 0)


def test_a_table_of_concepts_is_printed_where_the_run_asks_for_it() -> None:
    rows = [
        replace(ONE, concept=concept, method=method, shots=shots, photo_iou=iou, best_proposal=0.8, false_alarms=more)
        for concept, more in (("my red", 0.0), ("my blue", 0.2))
        for method, shots, iou in (("text", 0, 0.1 + more), ("full", 1, 0.3 + more), ("full", 3, math.nan))
    ]
    run = Run("davis", "embedded", rows)
    assert "By concept" not in markdown(run)
    assert markdown(replace(run, by_concept=True)).endswith("""
By concept: IoU of a photo

| concept | best proposal | text | full, K = 1 | full, K = 3 |
|---|---|---|---|---|
| my red | 80.0 | 10.0 | 30.0 | – |
| my blue | 80.0 | 30.0 | 50.0 | – |
| mean | 80.0 | 20.0 | 40.0 | – |

By concept: false alarms

| concept | text | full, K = 1 | full, K = 3 |
|---|---|---|---|
| my red | 0.0 | 0.0 | 0.0 |
| my blue | 20.0 | 20.0 | 20.0 |
| mean | 10.0 | 10.0 | 10.0 |
""")


TABLES = {
    1: """
| base | benchmark | method | K | IoU^per, ours | IoU^per, paper | mIoU, ours | mIoU, paper | concepts | images |
|---|---|---|---|---|---|---|---|---|---|
| odise_label | cub | text | 0 | – | 0.02 | – | 47.48 | – | – |
| odise_label | cub | full | 1 | – | 5.39 | – | – | – | – |
| odise_label | cub | full | 3 | – | 5.90 | – | – | – | – |
| odise_label | cub | full | 5 | – | 5.99 | – | – | – | – |
| odise_label | cub | full | avg | – | 5.76 | – | 44.99 | – | – |
| odise_label | fss | text | 0 | – | 10.69 | – | 23.86 | – | – |
| odise_label | fss | full | 1 | – | 30.97 | – | – | – | – |
| odise_label | fss | full | 3 | – | 33.11 | – | – | – | – |
| odise_label | fss | full | 5 | – | 34.05 | – | – | – | – |
| odise_label | fss | full | avg | – | 32.71 | – | 22.48 | – | – |
| san_vit_b_16 | cub | text | 0 | – | 68.25 | – | 77.32 | – | – |
| san_vit_b_16 | cub | full | 1 | – | 76.70 | – | – | – | – |
| san_vit_b_16 | cub | full | 3 | – | 77.21 | – | – | – | – |
| san_vit_b_16 | cub | full | 5 | – | 76.80 | – | – | – | – |
| san_vit_b_16 | cub | full | avg | – | 76.90 | – | 77.83 | – | – |
| san_vit_b_16 | fss | text | 0 | – | 41.08 | – | 55.68 | – | – |
| san_vit_b_16 | fss | full | 1 | – | 49.80 | – | – | – | – |
| san_vit_b_16 | fss | full | 3 | – | 54.09 | – | – | – | – |
| san_vit_b_16 | fss | full | 5 | – | 56.80 | – | – | – | – |
| san_vit_b_16 | fss | full | avg | – | 53.56 | – | 56.32 | – | – |
""",
    4: """
| base | benchmark | method | K | mIoU, ours | mIoU, paper | IoU^per, ours | IoU^per, paper | precision, ours \
| precision, paper | recall, ours | recall, paper | concepts | images |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| san_vit_b_16 | cub | text | 0 | – | 77.32 | – | 68.25 | – | 92.25 | – | 72.95 | – | – |
| san_vit_b_16 | cub | prompt | 5 | – | 77.89 | – | 69.70 | – | 74.75 | – | 91.04 | – | – |
| san_vit_b_16 | cub | prompt+negative | 5 | – | 77.89 | – | 73.71 | – | 80.07 | – | 90.17 | – | – |
| san_vit_b_16 | cub | prompt+visual | 5 | – | 77.65 | – | 65.94 | – | 70.06 | – | 91.58 | – | – |
| san_vit_b_16 | cub | full | 5 | – | 78.29 | – | 76.80 | – | 84.51 | – | 89.07 | – | – |
""",
    6: """
| base | benchmark | method | K | IoU^per, ours | IoU^per, paper | mIoU, ours | mIoU, paper | concepts | images |
|---|---|---|---|---|---|---|---|---|---|
| odise_label | ade | text | 0 | – | 1.24 | – | 12.22 | – | – |
| odise_label | ade | full | 1 | – | 9.45 | – | – | – | – |
| odise_label | ade | full | 3 | – | 10.85 | – | – | – | – |
| odise_label | ade | full | 5 | – | 13.43 | – | – | – | – |
| odise_label | ade | full | avg | – | 11.24 | – | 12.19 | – | – |
| san_vit_b_16 | ade | text | 0 | – | 6.88 | – | 17.20 | – | – |
| san_vit_b_16 | ade | full | 1 | – | 17.08 | – | – | – | – |
| san_vit_b_16 | ade | full | 3 | – | 24.80 | – | – | – | – |
| san_vit_b_16 | ade | full | 5 | – | 26.15 | – | – | – | – |
| san_vit_b_16 | ade | full | avg | – | 22.67 | – | 17.22 | – | – |
""",
    7: """
| base | benchmark | method | K | side by side, ours | side by side, paper | side by side, mIoU, ours \
| side by side, mIoU, paper | concepts | images |
|---|---|---|---|---|---|---|---|---|---|
| san_vit_b_16 | cub-concat | text | 0 | – | 24.25 | – | 81.62 | – | – |
| san_vit_b_16 | cub-concat | full | 5 | – | 40.63 | – | 81.71 | – | – |
| san_vit_b_16 | fss-concat | text | 0 | – | 28.59 | – | 57.66 | – | – |
| san_vit_b_16 | fss-concat | full | 5 | – | 38.47 | – | 60.09 | – | – |
""",
}


@pytest.mark.parametrize("number", TABLES)
def test_a_table_without_runs_is_the_paper_s(number: int) -> None:
    whole = paper_tables([])
    table = whole[whole.index(f"Table {number}. ") :].split("\n\n")[1]
    assert table.rstrip("\n") == TABLES[number].strip("\n").replace("\\\n", "")


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
    told = {"benchmark": "cub", "base": "san_vit_b_16"}
    (tmp_path / "run.json").write_text(json.dumps(told))
    old = results()[0].to_json()
    assert replace(ONE, missed=0.0, look_alikes=2).to_json().items() >= {"missed": 0.0, "look_alikes": 2}.items()
    assert len(old) == 15  # what results had before there were figures of single photos
    (tmp_path / "results.jsonl").write_text(json.dumps(old) + "\n")
    assert markdown(read_run(tmp_path)).startswith("| method | K | IoU^per | precision |")
    for name in ("run.json", "results.jsonl"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="there is no such file"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is not what evaluate --out wrote"):
        read_run(tmp_path)
