from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ovss_personal.config import FitConfig
from ovss_personal.errors import ConceptError, OutputError, OvssWarning
from ovss_personal.personal.head import PersonalHead
from ovss_personal.store.concept import AlbumReport, Concept, FitReport, ShotReport
from ovss_personal.store.concept_files import CONFIG_KEYS

FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors"]


@pytest.fixture
def concept() -> Concept:
    """N = 4, D = 3."""
    generator = torch.Generator().manual_seed(0)
    return Concept(
        name="my mug ☕",
        class_name="mug",
        base_name="fake",
        base_fingerprint="f" * 64,
        words=("tree", "grass"),
        head=PersonalHead(
            text=torch.randn(3, generator=generator),
            visual=torch.tensor([0.6, 0.8, 0.0]),
            embedding_weights=torch.randn(4, generator=generator),
            mask_weights=torch.randn(4, generator=generator),
            mask_bias=torch.tensor(-0.25),
            alpha=0.3,
        ),
        config=FitConfig(iterations=7, threshold=0.2),
        report=FitReport(
            shots=(
                ShotReport("shot 1", "a" * 64, 0.9, 0.7),
                ShotReport("shot 2", "b" * 64, 0.2, 0.1, True),
            ),
            losses={"seg": 1.5, "neg_embedding": 0.1, "neg_mask": 0.01},
        ),
    )


@pytest.fixture
def folder(concept: Concept, tmp_path: Path) -> Path:
    return concept.save_pretrained(tmp_path / "concepts" / "my_mug")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    change(config)
    path.write_text(json.dumps(config), "utf-8")


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


def test_a_concept_comes_back_and_its_bytes_do_not_change(concept: Concept, folder: Path, tmp_path: Path) -> None:
    again = Concept.from_pretrained(folder)
    assert replace(again, head=concept.head) == concept
    assert again.head.alpha == 0.3
    for name, tensor in concept.head.tensors().items():
        assert torch.equal(again.head.tensors()[name], tensor)
    second = again.save_pretrained(tmp_path / "again")
    assert sorted(p.name for p in second.iterdir()) == FILES
    for name in FILES:
        assert (second / name).read_bytes() == (folder / name).read_bytes()


def test_an_album_is_told_of_and_need_not_be(concept: Concept, tmp_path: Path) -> None:
    report = replace(concept.report, album=AlbumReport(photos=12, used=5))
    folder = replace(concept, report=report).save_pretrained(tmp_path / "with")
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    assert config["album"] == {"photos": 12, "used": 5}
    assert Concept.from_pretrained(folder).report.album == AlbumReport(12, 5)
    del config["album"]  # as older versions wrote it
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    assert Concept.from_pretrained(folder).report.album is None


def test_the_config_holds_what_is_documented(concept: Concept, folder: Path) -> None:
    text = (folder / "adapter_config.json").read_text("utf-8")
    config = json.loads(text)
    assert set(config) == CONFIG_KEYS
    assert (config["format_version"], config["library"], config["base"]) == (2, "ovss_personal", "fake")
    assert (config["num_proposals"], config["dim"], config["alpha"]) == (4, 3, 0.3)
    assert config["shots"][1]["outlier"] is True and config["words"] == ["tree", "grass"]
    card = (folder / "README.md").read_text("utf-8")
    assert "# my mug ☕" in card and "| 1 | 0.90 | 0.70 |" in card


def test_no_path_or_file_name_is_saved(concept: Concept, folder: Path, tmp_path: Path) -> None:
    named = ("holiday/Anna and me.jpg", str(tmp_path / "2.png"))
    shots = tuple(replace(shot, name=name) for shot, name in zip(concept.report.shots, named, strict=True))
    saved = replace(concept, report=replace(concept.report, shots=shots)).save_pretrained(tmp_path / "named")
    for path in saved.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()
    config = json.loads((saved / "adapter_config.json").read_text("utf-8"))
    assert [(shot["index"], shot["sha256"]) for shot in config["shots"]] == [(1, "a" * 64), (2, "b" * 64)]
    assert not any("name" in shot for shot in config["shots"])


def test_a_concept_of_the_first_format_is_read_without_its_file_names(concept: Concept, folder: Path) -> None:
    def first_format(config: dict[str, Any]) -> None:
        config["format_version"] = 1
        for number, shot in enumerate(config["shots"]):
            shot["name"] = f"images/{number}.jpg"
            del shot["index"]

    edit_config(folder, first_format)
    again = Concept.from_pretrained(folder)
    assert replace(again, head=concept.head) == concept


def test_saving_refuses_what_is_not_its_own(concept: Concept, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists") as caught:
        concept.save_pretrained(folder)
    assert caught.value.exit_code == 3
    replace(concept, class_name="cup").save_pretrained(folder, overwrite=True)
    assert Concept.from_pretrained(folder).class_name == "cup"
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.jpg").write_bytes(b"dear to somebody")
    with pytest.raises(OutputError, match="not ours"):
        concept.save_pretrained(photos, overwrite=True)
    assert (photos / "1.jpg").read_bytes() == b"dear to somebody"


def test_saving_leaves_nothing_when_it_fails(concept: Concept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Concept, "_card", full)
    with pytest.raises(Exception, match="disk is full") as caught:
        concept.save_pretrained(tmp_path / "new")
    assert getattr(caught.value, "exit_code", None) == 5
    assert list(tmp_path.iterdir()) == []


TENSORS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "a missing tensor": (lambda t: t.pop("visual"), "missing or extra tensors: visual"),
    "an extra tensor": (lambda t: t.update(more=torch.ones(1)), "missing or extra tensors: more"),
    "another N": (lambda t: t.update(mask_weights=torch.ones(5)), r"'mask_weights' is \(5,\).*say \(4,\)"),
    "another D": (lambda t: t.update(text=torch.ones(2)), r"'text' is \(2,\).*say \(3,\)"),
    "another rank": (lambda t: t.update(mask_bias=torch.ones(1)), "'mask_bias'"),
    "NaN": (lambda t: t["embedding_weights"].fill_(torch.nan), "'embedding_weights' holds NaN"),
    "infinity": (lambda t: t["mask_bias"].fill_(-torch.inf), "'mask_bias' holds NaN, infinity"),
    "a text of zeros": (lambda t: t["text"].zero_(), "'text' is a vector of zeros"),
    "a visual of zeros": (lambda t: t["visual"].zero_(), "'visual' is a vector of zeros"),
    "numbers whose squares are infinite": (lambda t: t["text"].fill_(1e30), "'text' holds numbers over 1e"),
    "doubles that are infinite as floats": (
        lambda t: t.update(text=torch.full((3,), 1e300, dtype=torch.float64)),
        "'text' holds",
    ),
    "whole numbers": (lambda t: t.update(text=torch.ones(3, dtype=torch.int64)), "'text' holds .*no floating-point"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_do_not_fit_are_named(folder: Path, case: str) -> None:
    change, message = TENSORS[case]
    edit_tensors(folder, change)
    with pytest.raises(ConceptError, match=message) as caught:
        Concept.from_pretrained(folder)
    assert caught.value.exit_code == 4
    assert caught.value.path == str(folder / "adapter_model.safetensors")


def test_half_precision_tensors_are_read_as_floats(folder: Path) -> None:
    edit_tensors(folder, lambda t: t.update(text=t["text"].half()))
    assert Concept.from_pretrained(folder).head.text.dtype == torch.float32


CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer format": (lambda c: c.update(format_version=3), "'format_version' is 3.*up to 2"),
    "no format": (lambda c: c.pop("format_version"), "'format_version' is None"),
    "another library": (lambda c: c.update(library="peft"), "'library' is not 'ovss_personal'"),
    "another N": (lambda c: c.update(num_proposals=100), r"'embedding_weights' is \(4,\).*\(100,\)"),
    "no D": (lambda c: c.pop("dim"), "'dim' is None, not a whole number"),
    "no words": (lambda c: c.pop("words"), "'words'"),
    "words that are numbers": (lambda c: c.update(words=["tree", 3]), r"words\[1\]"),
    "no fingerprint": (lambda c: c.pop("base_fingerprint"), "'base_fingerprint'"),
    "a name of nothing": (lambda c: c.update(concept="  "), "'concept' is empty"),
    "a name of two lines": (lambda c: c.update(concept="my\nmug"), "'concept' must be one line"),
    "alpha out of range": (lambda c: c.update(alpha=2), "'alpha' is 2, not in"),
    "alpha of 400 digits": (lambda c: c.update(alpha=10**400), "'alpha' is 1000.*not a finite number"),
    "alpha that is true": (lambda c: c.update(alpha=True), "'alpha' is True, not a number"),
    "a name that is a number": (lambda c: c.update(concept=5), "'concept' is 5, not text"),
    "300 000 words": (lambda c: c.update(words=["tree"] * 300_000), "'words' has 300000 entries, over 10000"),
    "words that are one text": (lambda c: c.update(words="tree"), "'words' is 'tree', not a list"),
    "words that are a list of lists": (lambda c: c.update(words=[["a"] * 9000]), r"words\[0\]' is \['a', .*\.\.\.\]"),
    "an N of no number": (lambda c: c.update(num_proposals=[4]), r"'num_proposals' is \[4\]"),
    "an N of 30 digits": (lambda c: c.update(num_proposals=10**30), "'num_proposals' is 1000"),
    "a D that is true": (lambda c: c.update(dim=True), "'dim' is True"),
    "a format that is true": (lambda c: c.update(format_version=True), "'format_version' is True"),
    "an IoU of 400 digits": (lambda c: c["shots"][0].update(iou=10**400), "'iou' is 1000"),
    "an IoU over 1": (lambda c: c["shots"][0].update(iou=1.5), r"'iou' is 1.5, not in \[0, 1\]"),
    "a sha256 of two lines": (lambda c: c["shots"][0].update(sha256="a\nb"), "'sha256' is .*not a short text"),
    "losses that are infinite": (lambda c: c.update(losses={"seg": float("inf")}), "'losses' is inf"),
    "an album of half photos": (lambda c: c.update(album={"photos": 1.5, "used": 1}), "'photos' is 1.5"),
    "a seed of 30 digits": (lambda c: c["fit"].update(seed=10**30), "seed must be 0 or more"),
    "alpha NaN": (lambda c: c.update(alpha=float("nan")), "'alpha' is nan, not a finite number"),
    "a fit that is a list": (lambda c: c.update(fit=[]), "'fit' is no JSON object"),
    "a bad setting": (lambda c: c["fit"].update(iterations=0), "iterations must be from 1 to 100000"),
    "a shot without a sha256": (lambda c: c["shots"][0].pop("sha256"), "'sha256'"),
    "a shot that is text": (lambda c: c.update(shots=["1.jpg"]), "'shots' is no JSON object"),
    "an IoU that is text": (lambda c: c["shots"][0].update(iou="high"), "'iou' is 'high', not a number"),
    "losses that are text": (lambda c: c.update(losses="low"), "adapter_config.json"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_fields_that_do_not_fit_are_named(folder: Path, case: str) -> None:
    change, message = CONFIGS[case]
    edit_config(folder, change)
    with pytest.raises(ConceptError, match=message) as caught:
        Concept.from_pretrained(folder)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("where", ["concept", "fit", "shots"])
def test_keys_of_a_later_version_are_left_out_with_a_warning(concept: Concept, folder: Path, where: str) -> None:
    def add(config: dict[str, Any]) -> None:
        {"concept": config, "fit": config["fit"], "shots": config["shots"][0]}[where]["sharpness"] = 3

    edit_config(folder, add)
    with pytest.warns(OvssWarning, match=f"'{where}' has keys .* left out: sharpness"):
        again = Concept.from_pretrained(folder)
    assert replace(again, head=concept.head) == concept


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the pickle was run",))


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-3],
    "header only": lambda data: data[:20],
    "0 bytes": lambda data: b"",
    "a pickle": lambda data: pickle.dumps(Hostile()),
    "text": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("name", FILES[1:])
def test_broken_files_are_one_error_and_run_nothing(folder: Path, name: str, case: str) -> None:
    path = folder / name
    path.write_bytes(BROKEN[case](path.read_bytes()))
    with pytest.raises(ConceptError) as caught:
        Concept.from_pretrained(folder)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_folder_that_is_not_whole(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConceptError, match=f"no {name} here"):
        Concept.from_pretrained(folder)


def test_json_of_absurd_depth_or_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "adapter_config.json"
    for text in (
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"library": "ovss_personal", "words": ' + "[" * 200_000 + "]" * 200_000 + "}",
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ConceptError, match="cannot be read"):
            Concept.from_pretrained(folder)
    monkeypatch.setattr("ovss_personal.store.concept_files.MAX_FILE_BYTES", 1000)
    with pytest.raises(ConceptError, match="larger than 1000 bytes"):
        Concept.from_pretrained(folder)


def test_of_many_unknown_keys_a_few_are_named(folder: Path) -> None:
    edit_config(folder, lambda c: c.update({f"key{i}" + "x" * 500: i for i in range(9)}))
    with pytest.warns(OvssWarning, match=r"left out: key0x+…, .*4 more\.") as caught:
        Concept.from_pretrained(folder)
    assert len(str(caught[0].message)) < 700


def test_another_base_is_refused_by_fingerprint(concept: Concept) -> None:
    concept.check_base("fake", "f" * 64)
    with pytest.raises(ConceptError, match=r"base_fingerprint f.*of that name but with other weights") as caught:
        concept.check_base("fake", "0" * 64)
    assert caught.value.exit_code == 4
    with pytest.raises(ConceptError, match=r"says that it was learned on base 'fake'.*is that of 'embedded'"):
        concept.check_base("embedded", "f" * 64)
    with pytest.raises(ConceptError, match=r"learned on base 'fake'.*'embedded'"):
        concept.check_base("embedded", "0" * 64)


@pytest.mark.parametrize(
    "typo",
    ["concepts/my_mgu", "./concepts/my_mgu", "concepts/deep/er", "my_mgu", "../x/y", "concept/my_mug", "a" * 300],
)
def test_a_misspelt_path_opens_no_connection(folder: Path, typo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    with pytest.raises(ConceptError, match="there is no such folder"):
        Concept.from_pretrained(typo)


@pytest.mark.parametrize(
    ("typo", "hint"),
    [
        ("concepts/my_mgu", "did you mean 'concepts/my_mug'?"),
        ("concept/my_mug", "check the path; a concept of the hub is written hf://concept/my_mug."),
        ("nothing-like-it", "name the folder that personalize wrote"),
    ],
)
def test_a_misspelt_path_is_told_as_one(folder: Path, typo: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    with pytest.raises(ConceptError) as caught:
        Concept.from_pretrained(typo)
    assert caught.value.hint is not None and caught.value.hint.startswith(hint)


@pytest.mark.parametrize("written", ["hf://", "hf://one", "hub:a/b/c", "hf://../etc", "hf:/a b/c"])
def test_what_cannot_be_a_name_on_the_hub(written: str) -> None:
    with pytest.raises(ConceptError, match="names no concept of the hub"):
        Concept.from_pretrained(written)


@pytest.mark.parametrize("source", ["owner/my_mug", "concepts/my_mug", "hf://owner/my_mug"])
def test_offline_no_socket_is_opened(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.undo()  # the whole way down, with the real library
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConceptError, match=r"there is no such folder|was not downloaded before"):
        Concept.from_pretrained(source, offline=True)


def test_a_name_on_the_hub_is_asked_of_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo_id: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        asked.append((repo_id, sorted(allow_patterns), local_files_only))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    for written in ("hf://somebody/my_mug", "hub:somebody/my_mug", Path("hf://somebody/my_mug")):
        assert Concept.from_pretrained(written).name == "my mug ☕"
        assert asked.pop() == ("somebody/my_mug", FILES, False)
    Concept.from_pretrained("hf://somebody/my_mug", offline=True)
    assert asked == [("somebody/my_mug", FILES, True)]


def test_a_hub_that_does_not_answer_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline mode is enabled")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConceptError, match=r"no concept 'somebody/my_mug' could be had.*offline mode"):
        Concept.from_pretrained("hf://somebody/my_mug")


class Hub:
    """In place of HfApi: writes down what it is asked."""

    calls: list[tuple[str, Any]]
    fails = False

    def __init__(self, token: str | None = None) -> None:
        Hub.calls = [("token", token)]

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        self.calls.append(("create", (repo_id, private)))

    def upload_folder(self, *, repo_id: str, folder_path: Path) -> str:
        if Hub.fails:
            raise ConnectionError("the line is dead")
        self.calls.append(("upload", Concept.from_pretrained(folder_path).name))
        self.calls.append(("files", sorted(p.name for p in folder_path.iterdir())))
        return f"https://huggingface.co/{repo_id}"


def test_a_push_uploads_a_whole_private_folder(concept: Concept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    assert concept.push_to_hub("me/my_mug", token="secret") == "https://huggingface.co/me/my_mug"
    assert Hub.calls == [
        ("token", "secret"),
        ("create", ("me/my_mug", True)),
        ("upload", "my mug ☕"),
        ("files", FILES),
    ]


def test_no_call_is_made_for_a_concept_that_cannot_be_written(
    concept: Concept, monkeypatch: pytest.MonkeyPatch
) -> None:
    Hub.calls = []
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Concept, "_card", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        concept.push_to_hub("me/my_mug")
    assert Hub.calls == []


def test_a_failed_upload_leaves_local_folders_alone(
    concept: Concept, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Hub, "fails", True)
    with pytest.raises(ConceptError, match=r"could not be uploaded to 'me/my_mug' .the line is dead") as caught:
        concept.push_to_hub("me/my_mug")
    assert caught.value.exit_code == 4
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_saved_tensors_are_those_of_the_head_on_the_cpu(concept: Concept, folder: Path) -> None:
    saved = load_file(folder / "adapter_model.safetensors")
    assert sorted(saved) == ["embedding_weights", "mask_bias", "mask_weights", "text", "visual"]
    assert np.array_equal(saved["visual"].numpy(), np.float32([0.6, 0.8, 0.0]))
