from __future__ import annotations

import json
from pathlib import Path

import pytest

from ovss_personal.errors import InputError
from ovss_personal.pss.tables import Result, paper_tables, read_result, user_table

USERS = {
    "id1": {"fiou": 0.5, "miou": 0.25, "clean_fiou": None, "clean_miou": 0.4},
    "id2": {"fiou": 0.7, "miou": 0.35, "clean_fiou": 0.8, "clean_miou": 0.6},
}
RESULT = Result("group", 1, "vgg16", "group", 80, "personal", USERS)


def test_the_table_of_users_ends_in_the_mean() -> None:
    lines = user_table(RESULT).splitlines()
    assert lines[2] == "| id1 | 50.00 | 25.00 | – | 40.00 |"
    assert lines[-1] == "| mean | 60.00 | 30.00 | 80.00 | 50.00 |"


def test_our_numbers_stand_beside_the_paper_s() -> None:
    text = paper_tables(
        [
            RESULT,
            Result("own", 1, "lite2", "none", 1, "mix-all", USERS),
            Result("advent", 1, "lite2", "none", 1, "personal", USERS),
        ]
    )
    for row in (
        "| group, step 1 | 58.79 | 47.16 | – | 60.00 |",
        "| group, step 1 | 37.46 | 28.00 | – | 30.00 |",
        "| own | – | – | 60.00 | – |",
        "| none | 44.22 | 60.00 | – |",
        "| 80 | 47.16 | – | 60.00 |",
        "| personal | 47.16 | – | 60.00 |",
    ):
        assert row in text
    assert [line for line in text.splitlines() if line.startswith("Table")] == [
        "Table 1: FIoU, mean over users",
        "Table 2: MIoU, mean over users",
        "Table 3: FIoU by context, step 1",
        "Table 4: FIoU by groups at inference",
        "Table 5: FIoU by whose photos are adapted to",
    ]


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(RESULT.to_json()))
    assert read_result(tmp_path / "r.json") == RESULT
    for text in ("[]", "{}", "no json", '{"mean": {}, "users": 3}'):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(InputError, match="this is no result"):
            read_result(tmp_path / "r.json")
