"""The table of the README's made-up user, with trainings of one iteration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ovss_personal.store.tensors import read_with_metadata
from ovss_personal.training.pss_one_user import NETWORK, RUNS, Plan, run


@pytest.mark.usefixtures("small_lite2")
def test_every_method_goes_on_from_the_source_alone(source: Path, album: Path, tmp_path: Path) -> None:
    plan = Plan(tmp_path / "out", first=1, iterations=1, crop=64, batch=2, side=48)
    results = run(plan, source, album)
    assert [(r.method, r.step) for r in results] == list(RUNS)
    assert [r.context for r in results] == ["none", "none", "global", "group", "group"]
    for result in results:
        name = f"{result.method}-step{result.step}"
        kept = json.loads((plan.out / f"{name}.json").read_text())
        assert kept["mean"] == result.users["album"] and 0 <= kept["mean"]["fiou"] <= 1
        training = json.loads(read_with_metadata(plan.out / name / NETWORK)[1]["training"])
        assert (training["iterations"], training["learning_rate"]) == (1, 0.04 / 2**result.step)
    first = json.loads(read_with_metadata(plan.out / "source-only" / NETWORK)[1]["training"])
    assert first["method"] == "no-da"
    # All that is there is not trained again.
    before = (plan.out / "group-step2" / NETWORK).stat().st_mtime_ns
    assert run(plan, source, album) == results
    assert (plan.out / "group-step2" / NETWORK).stat().st_mtime_ns == before
