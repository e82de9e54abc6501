"""The command line on ODISE's reduced network, and what a user may give its full one in place of its weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import write_mask, write_photo
from end_to_end.commands import attempt, run
from end_to_end.conftest import draw_ball, ground
from safetensors.torch import save_file

from ovss_personal.bases.odise.base import OdiseTiny
from ovss_personal.bases.published import WEIGHTS
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest

pytest.importorskip("diffusers")
pytest.importorskip("open_clip")

TINY = ("--base", "odise_tiny")
WORDS = ("--words", "grass, orange")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(name: str, seed: int, place: tuple[int, int, int] | None) -> Item:
    """A square photo, which is one window, with the ball there."""
    pixels = ground(seed)
    mask = draw_ball(pixels, place) if place else np.zeros(pixels.shape[:2], bool)
    photo = write_photo(Path("images", f"{name}.png"), np.ascontiguousarray(pixels[:, :96]))
    if place:
        write_mask(Path("masks", f"{name}.png"), np.ascontiguousarray(mask[:, :96]))
    return Item(str(photo), f"masks/{name}.png" if place else None, hashlib.sha256(photo.read_bytes()).hexdigest())


def test_from_a_shot_to_a_table(ball: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three looks in all: what was seen once is kept."""
    looks = []
    look = OdiseTiny._look
    monkeypatch.setattr(OdiseTiny, "_look", lambda self, images, size: looks.extend(images) or look(self, images, size))
    shot, there, empty = picture("1", 1, (48, 48, 26)), picture("2", 2, (40, 56, 22)), picture("3", 3, None)
    Path("album").mkdir()
    for folder in ("images", "masks"):
        Path("album", folder).mkdir()
        Path("album", folder, "1.png").write_bytes(Path(folder, "1.png").read_bytes())

    learn = ("personalize", "--concept", "my ball", "--class-name", "orange", "--images", "album", *TINY)
    facts = run(*learn, "--iterations", "5", "--out", "learned", "--json").facts
    assert facts["base"]["name"] == "odise_tiny" and len(facts["shots"]) == len(looks) == 1
    assert 0 <= facts["shots"][0]["iou"] <= 1

    label = ("segment", there.image, "--concept", "learned", *WORDS)
    found = run(*label, *TINY, "--out", "out", "--low-memory", "--json").facts
    assert [word["word"] for word in found["photos"][0]["words"]] == ["grass", "orange", "my ball"]
    assert sum(word["area"] for word in found["photos"][0]["words"]) == pytest.approx(1) and len(looks) == 2

    concept = ConceptSet("my ball", "orange", shots=(shot,), positives=(there,), negatives=(empty,))
    manifest = write_manifest(Manifest("balls", ("grass", "orange"), (concept,), Path.cwd()))
    measure = ("evaluate", str(manifest), *TINY, "--shots", "1", "--methods", "text")
    results = run(*measure, "--methods", "prompt+visual", "--json").facts["results"]
    assert [(row["method"], row["shots"]) for row in results] == [("text", 0), ("prompt+visual", 1)]
    assert all(0 <= row["iou"] <= 1 for row in results) and len(looks) == 3

    other = attempt(*label, "--out", "other")
    assert other.code == 4 and "base_fingerprint" in other.stderr and not Path("other").exists()
    other = attempt("segment", there.image, "--concept", str(ball), *WORDS, *TINY, "--out", "other")
    assert other.code == 4 and "base_fingerprint" in other.stderr and not Path("other").exists()


def test_the_reduced_base_is_listed_with_the_others() -> None:
    facts = run("bases", "--json").facts
    assert {"odise_label", "odise_caption", "odise_tiny"} <= facts.keys()
    assert all("not for commercial use" in facts[name] for name in ("odise_label", "odise_caption"))


CROSS = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
LDM_CROSS = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FOLDER = Path("weights")


def write_folder() -> None:
    """Right files for the label model, but for nearly all of their tensors."""
    for part, name, tensors in (
        ("unet", "diffusion_pytorch_model", {CROSS: torch.ones(2, 768)}),
        ("vae", "diffusion_pytorch_model", {"quant_conv.bias": torch.ones(8)}),
        ("text_encoder", "model", {"text_model.final_layer_norm.bias": torch.ones(768)}),
    ):
        (FOLDER / part).mkdir(parents=True)
        save_file(tensors, FOLDER / part / f"{name}.safetensors")
    torch.save({"model": {"category_head.null_embed": torch.ones(1, 768)}}, FOLDER / "label.pth")
    torch.save({"logit_scale": torch.ones(())}, FOLDER / "ViT-L-14-336px.pt")


def write_version_2() -> None:
    torch.save({"state_dict": {LDM_CROSS: torch.ones(320, 1024)}}, FOLDER / "sd-v1-3.ckpt")


def write_caption() -> None:
    torch.save({"model": {"word_head.text_proj.bias": torch.ones(256)}}, FOLDER / "label.pth")


def cut(name: str) -> Callable[[], object]:
    return lambda: (FOLDER / name).write_bytes((FOLDER / name).read_bytes()[:-60])


def away(name: str) -> Callable[[], object]:
    return (FOLDER / name).unlink


DIFFUSION = "diffusion_pytorch_model.safetensors"
BAD: list[tuple[str, Callable[[], object], str]] = [
    ("Stable Diffusion 2", write_version_2, "sd-v1-3.ckpt: is not Stable Diffusion 1"),
    ("a diffusers folder without its vae", away(f"vae/{DIFFUSION}"), "weights: has no vae/diffusion_pytorch_model"),
    ("a diffusers folder without its text encoder", away("text_encoder/model.safetensors"), "has no text_encoder/"),
    ("the caption model's checkpoint", write_caption, "label.pth: this is odise_caption, not odise_label."),
    ("no CLIP", away("ViT-L-14-336px.pt"), "ViT-L-14-336px.pt: there is no such file."),
    ("no checkpoint of ODISE", away("label.pth"), "label.pth: there is no such file."),
    ("a checkpoint that is cut off", cut("label.pth"), "label.pth: is cut off, or is no PyTorch checkpoint"),
    ("a part that is cut off", cut(f"unet/{DIFFUSION}"), f"unet/{DIFFUSION}: cannot be read"),
    (
        "a file for a folder",
        lambda: (shutil.rmtree(FOLDER), FOLDER.touch()),
        "weights: expected a folder, found a file.",
    ),
    ("tensors that are missing", lambda: None, "weights: does not hold this base's tensors: of the unet, "),
]


@pytest.mark.parametrize(("make", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_weights_that_are_not_odise_s(make: Callable[[], object], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = dataclasses.replace(WEIGHTS["odise_label"], file="label.pth", sha256=None)
    monkeypatch.setitem(WEIGHTS, "odise_label", own)
    write_photo(Path("photo.png"))
    write_folder()
    make()
    outcome = attempt("segment", "photo.png", *WORDS, "--base", "odise_label", "--weights", "weights", "--out", "out")
    error, hint = outcome.stderr.splitlines() if "\nhint" in outcome.stderr else (outcome.stderr.strip(), "hint: ")
    assert outcome.code == 4 and error.startswith("error: ") and says in error, outcome.stderr
    assert hint.startswith("hint: ") and outcome.stdout == "" and not Path("out").exists()


def test_a_checkpoint_whose_name_does_not_fit_its_bytes() -> None:
    write_photo(Path("photo.png"))
    write_folder()
    (FOLDER / "label.pth").rename(FOLDER / WEIGHTS["odise_label"].file)
    asked = ("segment", "photo.png", *WORDS, "--base", "odise_label", "--out", "out")
    outcome = attempt(*asked, "--weights", "weights", "--json")
    assert outcome.code == 4 and "not with b67d2efc as its name says" in outcome.facts["error"]["message"]
    Path("base.yaml").write_text(json.dumps({"base": "odise_caption", "offline": True}))
    outcome = attempt("segment", "photo.png", *WORDS, "--base", "base.yaml", "--out", "out")
    assert outcome.code == 4 and "odise_caption_coco_50e-853cc971.pth are not on this machine" in outcome.stderr
