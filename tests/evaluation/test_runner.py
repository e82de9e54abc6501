"""Going on after a kill, looking once, and the same lines from any number of workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fakes import FakeBase
from fakes.benchmark import METHODS, die, examine_but_die_first, job, sleep

from ovss_personal.benchmarks.manifest import read_manifest
from ovss_personal.errors import OutputError, OvssWarning, ResourceError, UsageError
from ovss_personal.evaluation import engines, runner
from ovss_personal.evaluation.examiner import Examiner
from ovss_personal.evaluation.results import RESULTS_FILE
from ovss_personal.evaluation.runner import evaluate
from ovss_personal.store.cache import ProposalCache
from ovss_personal.store.concept import AlbumReport

SCRIPT = """
import sys
from pathlib import Path
from fakes.benchmark import job
from ovss_personal.evaluation.runner import evaluate
root, out = map(Path, sys.argv[1:])
evaluate(job(root).examiner(), out)
"""


def test_results_say_how_well_each_method_does(tmp_path: Path) -> None:
    results = evaluate(job(tmp_path).examiner(), tmp_path / "out")
    assert [(r.concept, r.method, r.shots) for r in results[:9]] == [
        ("my red", "text", 0),
        *(("my red", method, k) for method in METHODS[1:] for k in (1, 2)),
    ]
    assert len(results) == 18 and all((r.positives, r.negatives, r.pairs) == (2, 2, 1) for r in results)
    best = next(r for r in results if (r.method, r.shots) == ("full+competitors", 2))
    assert best.iou > 0.7 and best.false_alarms == 0 and best.pairs_iou > 0.6


def test_spare_shots_are_tested_on_where_they_are_not_learned_from(tmp_path: Path) -> None:
    work = job(tmp_path, ("text", "knn"))
    content = json.loads(work.manifest.read_text("utf-8"))
    red = content["concepts"][0]
    red["spare_shots_are_tests"] = True
    red["look_alikes"] = [red["negatives"].pop()]
    work.manifest.write_text(json.dumps(content))
    examiner = work.examiner()
    assert set(examiner.items(examiner.manifest.concepts[0])) >= {*examiner.manifest.concepts[0].look_alikes}
    results = evaluate(examiner)
    reds, blues = ({r.shots: r for r in results if r.concept == name} for name in ("my red", "my blue"))
    assert {shots: r.positives for shots, r in reds.items()} == {0: 4, 1: 3, 2: 2}
    assert {shots: r.positives for shots, r in blues.items()} == {0: 2, 1: 2, 2: 2}
    for result in reds.values():
        assert (result.negatives, result.look_alikes) == (1, 1) and result.look_alike_alarms in (0.0, 1.0)
        assert 0 < result.best_proposal <= 1 and 0 <= result.missed <= 1
    assert reds[1].best_proposal != reds[2].best_proposal  # over other photos
    row = blues[1].to_json()
    assert "look_alike_alarms" not in row and type(blues[1]).from_json(row).look_alikes == 0


def test_an_album_is_looked_at_only_by_a_method_that_learns_from_it(tmp_path: Path) -> None:
    names = ("full+competitors", "full+competitors+album", "full+album")
    examiner = job(tmp_path, names).examiner()
    concept = examiner.manifest.concepts[0]
    assert len(examiner.items(concept)) == 10 and set(concept.album) <= set(examiner.items(concept))
    assert not set(concept.album) & set(job(tmp_path, names[:1]).examiner().items(concept))
    results = {(r.concept, r.method, r.shots): r for r in evaluate(examiner)}
    assert len(results) == 12
    assert all(results["my red", name, 1].iou > 0.5 for name in names[:2])
    learned = examiner.learn(concept, examiner.methods[1], 1, 0)
    assert learned.report.album == AlbumReport(photos=3, used=2)
    assert examiner.learn(concept, examiner.methods[0], 1, 0).report.album is None


def test_a_benchmark_without_albums_is_told_at_once(tmp_path: Path) -> None:
    work = job(tmp_path, ("full+album",))
    content = json.loads(work.manifest.read_text("utf-8"))
    content["concepts"][1]["album"] = []
    work.manifest.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="the concept 'my blue' has none in the benchmark"):
        work.examiner()


@pytest.mark.parametrize("lines", [0, 1, 4, 9, 12])
def test_a_run_cut_off_anywhere_goes_on_to_the_same_bytes(tmp_path: Path, lines: int) -> None:
    examiner = job(tmp_path, ("text", "prompt")).examiner()
    evaluate(examiner, tmp_path / "whole")
    whole = (tmp_path / "whole" / RESULTS_FILE).read_bytes()
    evaluate(examiner, tmp_path / "cut")
    rows = whole.splitlines(keepends=True)
    (tmp_path / "cut" / RESULTS_FILE).write_bytes(b"".join(rows[:lines]) + b'{"concept": "my bl')
    evaluate(examiner, tmp_path / "cut")
    assert (tmp_path / "cut" / RESULTS_FILE).read_bytes() == whole


def test_kill_9_and_again_gives_the_same_bytes(tmp_path: Path) -> None:
    evaluate(job(tmp_path, colours=("red", "blue", "green")).examiner(), tmp_path / "whole")
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([sys.executable, str(script), str(tmp_path), str(tmp_path / "cut")], env=environment)
    results = tmp_path / "cut" / RESULTS_FILE
    while killed.poll() is None and not (results.exists() and results.stat().st_size):
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    kept = results.read_bytes()
    whole = (tmp_path / "whole" / RESULTS_FILE).read_bytes()
    assert kept and whole.startswith(kept) and kept != whole
    evaluate(job(tmp_path).examiner(), tmp_path / "cut")
    assert results.read_bytes() == whole


def test_results_of_another_run_are_not_mixed(tmp_path: Path) -> None:
    evaluate(job(tmp_path, ("text",)).examiner(), tmp_path / "out")
    with pytest.raises(OutputError, match="another base, benchmark or choice of methods"):
        evaluate(job(tmp_path, ("knn",)).examiner(), tmp_path / "out")
    results = tmp_path / "out" / RESULTS_FILE
    results.write_bytes(b"nonsense\n" + results.read_bytes())
    with pytest.raises(OutputError, match="line 1 is no result"):
        evaluate(job(tmp_path, ("text",)).examiner(), tmp_path / "out")


def test_no_image_passes_through_the_base_twice(tmp_path: Path) -> None:
    base, work = FakeBase(), job(tmp_path)
    manifest = read_manifest(work.manifest)

    def examiner(limit: int = 10**9) -> Examiner:
        cache = ProposalCache(tmp_path / "own", limit)
        return Examiner(base, manifest, work.methods, work.shots, work.seeds, cache)

    distinct = {item.sha256 for concept in manifest.concepts for item in examiner().items(concept)}
    evaluate(examiner())
    assert base.looks == len(distinct) == 14
    evaluate(examiner())
    assert base.looks == 14
    with pytest.warns(OvssWarning, match=r"takes 0.0 GB, more than the cache may hold"):
        evaluate(examiner(limit=9000))


def test_two_workers_give_the_lines_of_one(tmp_path: Path) -> None:
    work = job(tmp_path, ("text", "full"))
    examiner = work.examiner()
    evaluate(examiner, tmp_path / "one")
    told: list[tuple[int, int, str]] = []
    with engines.engine("local", examiner, work, 2) as run:
        evaluate(examiner, tmp_path / "two", run, lambda *step: told.append(step))
    assert (tmp_path / "two" / RESULTS_FILE).read_bytes() == (tmp_path / "one" / RESULTS_FILE).read_bytes()
    assert told[-1] == (2, 2, "measure") and told[0][1] == 14


@pytest.mark.slow
def test_a_killed_worker_of_the_pool_ends_in_one_sentence(tmp_path: Path) -> None:
    work = job(tmp_path, ("text",))
    with (
        engines.engine("local", work.examiner(), work, 2) as run,
        pytest.raises(ResourceError, match="a worker was killed"),
    ):
        list(run(die, [0]))


@pytest.fixture
def ray_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where they find the base of the tests


def of_ray(name: str) -> list[psutil.Process]:
    """Processes that this one started, of that name."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if name in " ".join([process.name(), *process.cmdline()]):
                found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_ray_loses_nothing_when_a_worker_is_killed(
    tmp_path: Path, ray_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One while it starts, one that waits for work after the first stage, and one at work in the second."""
    work = job(tmp_path, colours=("red", "blue", "green"))
    examiner = work.examiner()
    evaluate(examiner, tmp_path / "one")
    killed: list[str] = []

    def kill(stage: str, name: str) -> None:
        end = time.monotonic() + 120
        while stage not in killed and time.monotonic() < end:
            for process in of_ray(name)[:1]:
                process.kill()
                killed.append(stage)

    def kill_one_that_waits(done: int, total: int, stage: str) -> None:
        if stage == "look" and done == total:
            kill("waiting", "ray::IDLE")

    first = threading.Thread(target=kill, args=("starting", "default_worker.py"))
    first.start()
    monkeypatch.setattr(runner, "examine", examine_but_die_first)
    with engines.engine("ray", examiner, work, 2) as run:
        evaluate(examiner, tmp_path / "two", run, kill_one_that_waits)
    first.join()
    assert sorted(killed) == ["starting", "waiting"] and (examiner.cache.folder / "died").exists()
    assert (tmp_path / "two" / RESULTS_FILE).read_bytes() == (tmp_path / "one" / RESULTS_FILE).read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_ray_ends_in_one_sentence_where_it_cannot_go_on(
    tmp_path: Path, ray_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(tmp_path, ("text",))
    with engines.engine("ray", work.examiner(), work, 2) as run:
        with pytest.raises(ResourceError, match=r"a worker was lost again and again \(WorkerCrashedError\)"):
            list(run(die, [0]))
        with monkeypatch.context() as impatient, pytest.raises(ResourceError, match="no task of the Ray cluster has"):
            impatient.setattr(engines, "TASK_S", 3.0)
            list(run(sleep, [60.0]))
        for process in of_ray("raylet/raylet"):
            process.kill()
        with pytest.raises(ResourceError, match="the Ray cluster failed"):
            list(run(sleep, [0.0]))
