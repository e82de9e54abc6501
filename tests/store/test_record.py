from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ovss_personal.errors import OutputError
from ovss_personal.io.files import sha256_file
from ovss_personal.store.record import RESULT, RunRecord, check_folders, check_targets, files_of, photos_done

FACTS = {"versions": {}, "base": {"name": "embedded"}}


def photo(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def entry(out: Path, source: Path) -> dict[str, Any]:
    """A photo as done: its two pictures are there."""
    names = {kind: f"{source.stem}.{kind}.png" for kind in ("labels", "overlay")}
    for name in names.values():
        photo(out / name)
    return {"photo": str(source), "sha256": sha256_file(source), **names, "words": []}


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    return [photo(tmp_path / "photos" / f"{name}.jpg", name.encode()) for name in "abc"]


def test_a_run_that_was_killed_goes_on(tmp_path: Path, sources: list[Path]) -> None:
    out = tmp_path / "out"
    killed = RunRecord(out, "run")
    for source in sources[:2]:
        killed.add(entry(out, source))
    with open(out / ".result.jsonl", "ab") as lines:
        lines.write(b'{"photo": "half a li')
    assert photos_done(out) == 2 and not (out / RESULT).exists()
    record = RunRecord(out, "run")
    record.go_on(sources)
    assert [done["photo"] for done in record.done] == [str(source) for source in sources[:2]]
    record.add(entry(out, sources[2]))
    result = record.finish(FACTS, [str(source) for source in reversed(sources)])
    assert [done["photo"] for done in result["photos"]] == [str(source) for source in reversed(sources)]
    assert json.loads((out / RESULT).read_text()) == result and result["run"] == "run"
    assert not (out / ".result.jsonl").exists()


@pytest.mark.parametrize("change", ["the photo", "a picture gone", "a picture a link"])
def test_what_is_no_longer_true_is_done_again(tmp_path: Path, sources: list[Path], change: str) -> None:
    out = tmp_path / "out"
    record = RunRecord(out, "run")
    for source in sources:
        record.add(entry(out, source))
    record.finish(FACTS, [])
    if change == "the photo":
        sources[1].write_bytes(b"another")
    else:
        (out / "b.labels.png").unlink()
        if change == "a picture a link":
            (out / "b.labels.png").symlink_to(sources[0])
    again = RunRecord(out, "run")
    again.go_on(sources)
    assert [Path(done["photo"]).stem for done in again.done] == ["a", "c"]


def test_a_run_of_other_words_is_not_gone_on_with(tmp_path: Path, sources: list[Path]) -> None:
    out = tmp_path / "out"
    record = RunRecord(out, "one")
    record.add(entry(out, sources[0]))
    record.finish(FACTS, [])
    with pytest.raises(OutputError, match="by another base, or with other words or concepts"):
        RunRecord(out, "other").go_on(sources)


def test_a_folder_of_others_is_not_gone_on_with(tmp_path: Path, sources: list[Path]) -> None:
    with pytest.raises(OutputError, match="nothing of ours to go on from"):
        RunRecord(sources[0].parent, "run").go_on(sources)
    RunRecord(tmp_path / "new", "run").go_on(sources)


def test_only_what_we_wrote_is_written_over(tmp_path: Path, sources: list[Path]) -> None:
    out = tmp_path / "out"
    record = RunRecord(out, "run")
    record.add(entry(out, sources[0]))
    record.finish(FACTS, [])
    photo(out / "mine.png")
    (out / "link.png").symlink_to(sources[0])
    (out / "linked.overlay.png").symlink_to(tmp_path / "nowhere")
    check_targets(out, [out / "a.labels.png", out / "a.overlay.png", out / RESULT, out / "new.png"], sources)
    for name, what in (
        ("mine.png", "no result.json of ours says"),
        ("link.png", "is a photo of this run"),
        ("linked.overlay.png", "is a link"),
    ):
        with pytest.raises(OutputError, match=what):
            check_targets(out, [out / "a.labels.png", out / name], sources)
    with pytest.raises(OutputError, match="is a photo of this run"):
        check_targets(out, [out / "a.overlay.png"], [*sources, out / "a.overlay.png"])


def test_clearing_removes_what_we_wrote_and_nothing_else(tmp_path: Path, sources: list[Path]) -> None:
    out = tmp_path / "out"
    record = RunRecord(out, "run")
    record.add({**entry(out, sources[0]), "files": ["../photos/b.jpg", "a.svg", ".."]})
    photo(out / "a.svg")
    photo(out / "holiday.png")
    (out / "a.overlay.png").unlink()
    (out / "a.overlay.png").symlink_to(sources[1])
    record.finish(FACTS, [])
    RunRecord(out, "other").clear()
    assert sorted(path.name for path in out.iterdir()) == ["a.overlay.png", "holiday.png"]
    assert all(source.exists() for source in sources)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"photos": []}', "[" * 100_000, '{"versions": 1, "base": 1, "photos": {"a": 1}}'],
)
def test_a_result_that_is_none_of_ours_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULT).write_text(text)
    assert photos_done(tmp_path) == 0
    if not text.startswith('{"versions'):
        with pytest.raises(OutputError):
            check_targets(tmp_path, [tmp_path / RESULT], [])


def test_files_of_a_hostile_record_stay_in_the_folder() -> None:
    rows = [{"labels": "../a", "overlay": "/etc/passwd", "words": [{"mask": "a\0"}, 5], "files": ["ok.png", 7]}]
    assert list(files_of(rows)) == ["ok.png"]
    assert list(files_of([{"labels": 5, "words": "no", "files": {}}])) == []


def test_a_folder_of_annotations_is_replaced_only_if_a_run_of_ours_wrote_it(
    tmp_path: Path, sources: list[Path]
) -> None:
    out = tmp_path / "out"
    photo(out / "coco" / "instances.json")
    check_folders(out, ["yolo"])
    with pytest.raises(OutputError, match=r"no result\.json of ours"):
        check_folders(out, ["yolo", "coco"])
    record = RunRecord(out, "run")
    record.add(entry(out, sources[0]))
    record.finish({**FACTS, "formats": ["coco"]}, [])
    check_folders(out, ["coco"])
    again = RunRecord(out, "run")
    again.go_on(sources)
    again.add(entry(out, sources[1]))  # and is cut off
    assert not (out / RESULT).exists()
    check_folders(out, ["coco"])
    (out / "png").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="wrote it"):
        check_folders(out, ["png"])
