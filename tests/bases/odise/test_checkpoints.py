"""Weights from files: the reduced network's, written as the published ones are, and everything that can be wrong."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ovss_personal.bases.checkpoint import load_strictly
from ovss_personal.bases.odise import checkpoints as module
from ovss_personal.bases.odise.base import OdiseLabel, OdiseTiny
from ovss_personal.bases.odise.checkpoints import read_any, read_checkpoints, trained_tensors
from ovss_personal.bases.odise.sizes import TINY
from ovss_personal.bases.published import WEIGHTS
from ovss_personal.config import BaseConfig
from ovss_personal.errors import OvssWarning, WeightsError

MANIFEST = Path(__file__).parents[3] / "third_party" / "odise" / "odise_tiny_ldm.keys.tsv"
CLIP = "ViT-L-14-336px.pt"
State = dict[str, Tensor]


def label_file(patch: pytest.MonkeyPatch, file: str, sha256: str | None = None) -> None:
    """The label model's checkpoint is called that, and is to have that sha256."""
    patch.setitem(WEIGHTS, "odise_label", dataclasses.replace(WEIGHTS["odise_label"], file=file, sha256=sha256))


@pytest.fixture
def states() -> dict[str, State]:
    """A tensor or two of each part."""
    key = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    return {
        "unet": {key: torch.ones(2, TINY.context)},
        "vae": {"decoder.mid_block.attentions.0.query.weight": torch.ones(2, 2)},
        "text_encoder": {"text_model.final_layer_norm.bias": torch.ones(2)},
        "trained": {"category_head.null_embed": torch.ones(1, 2), "criterion.empty_weight": torch.ones(2)},
        "clip": {"logit_scale": torch.ones(())},
    }


@pytest.fixture
def folder(states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a user has it, with the diffusers parts."""
    label_file(monkeypatch, "odise_label.pth")
    for part, stem in module.FOLDERS.items():
        (tmp_path / part).mkdir()
        save_file(states[part], tmp_path / part / f"{stem}.safetensors")
    torch.save({"model": states["trained"], "iteration": 3}, tmp_path / "odise_label.pth")
    torch.save(states["clip"], tmp_path / CLIP)
    return tmp_path


@pytest.fixture
def published(odise: OdiseTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the reduced network in three files, under the published names and with manifests of their own."""
    unet, vae = odise.network.extractor.unet.state_dict(), odise.network.extractor.vae.state_dict()
    with open(MANIFEST, encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    parts = {"unet": unet, "vae": vae}
    ldm = {}
    for row in rows:
        shape = [int(v) for v in row["shape"].split("x")]
        source = parts.get(row["part"])
        ldm[row["key"]] = torch.zeros(shape) if source is None else source[row["diffusers_key"]].reshape(shape)
    trained, clip = odise.network.trained.state_dict(), odise.network.clip.model.state_dict()
    label_file(monkeypatch, "odise_label.pth")
    for name, file, tensors, content in (
        ("odise_label", "odise_label.pth", trained, {"model": trained}),
        ("clip_vit_l_14_336", CLIP, clip, clip),
        ("stable_diffusion_v1_3", "sd-v1-3.ckpt", ldm, {"state_dict": {**ldm, "betas": torch.ones(3)}}),
    ):
        torch.save(content, tmp_path / file)
        lines = [f"{k}\t{'x'.join(map(str, v.shape)) or 'scalar'}\tfloat" for k, v in tensors.items()]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["key\tshape\tdtype", *lines]))
        own = dataclasses.replace(WEIGHTS[name], sha256=None, manifest=str(tmp_path / f"{name}.tsv"))
        monkeypatch.setitem(WEIGHTS, name, own)
    monkeypatch.setattr(OdiseLabel, "size", TINY)
    return tmp_path


def test_the_whole_reduced_network_from_a_folder(odise: OdiseTiny, published: Path) -> None:
    """Written, read back, strictly loaded: it encodes the same words."""
    (published / module.OWN_WORDS).write_text("kitten\n")
    base = OdiseLabel(BaseConfig(base="odise_label", weights=str(published)))
    assert torch.equal(base.encode(["bird", "kitten"]), odise.encode(["bird", "kitten"]))
    assert "kitten" in base.seen and base.fingerprint != odise.fingerprint
    for part in ("unet", "vae"):
        ours, theirs = (getattr(b.network.extractor, part).state_dict() for b in (base, odise))
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_the_whole_reduced_network_as_every_base_s_weights_come(
    odise: OdiseTiny, published: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the user's own weights folder: each file becomes safetensors in the cache, and is what it was."""
    monkeypatch.setenv("OVSS_PERSONAL_WEIGHTS", str(published))
    base = OdiseLabel(BaseConfig(base="odise_label", offline=True))
    # To the last bits but one or two: where a tensor lies in memory decides how its products are summed.
    assert torch.allclose(base.encode(["bird", "kitten"]), odise.encode(["bird", "kitten"]), atol=1e-6)
    kept = [path.parts[-3] for path in private_cache.rglob("*.safetensors") if "weights" in path.parts]
    assert sorted(kept) == ["clip_vit_l_14_336", "odise_label", "stable_diffusion_v1_3"]
    assert base.fingerprint == OdiseLabel(BaseConfig(base="odise_label", weights=str(published))).fingerprint
    (published / "sd-v1-3.ckpt").unlink()
    with pytest.raises(WeightsError, match=r"the weights sd-v1-3\.ckpt are not on this machine") as caught:
        OdiseLabel(BaseConfig(base="odise_label", offline=True))
    assert "weights pull stable_diffusion_v1_3" in str(caught.value.hint)


def test_a_folder_of_diffusers_is_read(folder: Path, states: dict[str, State]) -> None:
    found = read_checkpoints(folder, True, TINY.context)
    assert list(found.unet) == list(states["unet"]) and list(found.text) == ["final_layer_norm.bias"]
    assert list(found.vae) == ["decoder.mid_block.attentions.0.to_q.weight"]
    assert list(found.trained) == ["category_head.null_embed"] and list(found.clip) == ["logit_scale"]
    before = found.sha256
    save_file({"final_layer_norm.bias": torch.zeros(2)}, folder / "text_encoder" / "model.safetensors")
    assert read_checkpoints(folder, True, TINY.context).sha256 != before


def test_tensors_of_another_shape_are_the_folder_s_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OdiseLabel, "size", TINY)
    with pytest.raises(WeightsError, match=r"of the unet, \d+ missing, such as .*; 1 of another shape") as caught:
        OdiseLabel(BaseConfig(base="odise_label", weights=str(folder)))
    assert caught.value.path == str(folder) and caught.value.exit_code == 4 and "\n" not in caught.value.message


def test_what_has_no_place_is_warned_of_and_what_is_missing_is_an_error() -> None:
    linear = torch.nn.Linear(1, 1)
    tensors = {"weight": torch.full((1, 1), 2.0), "bias": torch.ones(1), "more": torch.ones(1)}
    with pytest.warns(OvssWarning, match="1 tensors are of no use here, such as 'more'"):
        load_strictly(linear, {**tensors, "weight": tensors["weight"].half()}, spare=True)
    assert linear.weight.item() == 2 and linear.weight.dtype == torch.float32
    with pytest.raises(ValueError, match=r"^1 missing, such as bias; 1 unknown, such as more$"):
        load_strictly(linear, {"weight": tensors["weight"], "more": tensors["more"]})
    with pytest.raises(ValueError, match=r"1 of another shape, such as bias, which is shaped \(2,\), not \(1,\)"):
        load_strictly(linear, {"weight": tensors["weight"], "bias": torch.ones(2)})
    with pytest.raises(ValueError, match="bias holds a value that is not finite"):
        load_strictly(linear, {"weight": tensors["weight"], "bias": torch.full((1,), torch.nan)})


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_diffusers_folder_with_a_part_missing(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(WeightsError, match=f"has no {part}/"):
        read_checkpoints(folder, True, TINY.context)


def test_a_folder_without_stable_diffusion(folder: Path) -> None:
    for part in module.FOLDERS:
        shutil.rmtree(folder / part)
    with pytest.raises(WeightsError, match=r"holds no Stable Diffusion 1\.3"):
        read_checkpoints(folder, True, TINY.context)


def test_stable_diffusion_2_is_not_1(folder: Path) -> None:
    with pytest.raises(WeightsError, match="captions have 64 numbers a word, not 1024"):
        read_checkpoints(folder, True, 1024)


def test_a_checkpoint_whose_name_does_not_fit_its_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256((folder / "odise_label.pth").read_bytes()).hexdigest()
    label_file(monkeypatch, "odise_label.pth", digest[:8])
    read_checkpoints(folder, True, TINY.context)
    label_file(monkeypatch, "odise_label.pth", "b67d2efc")
    with pytest.raises(WeightsError, match=f"its sha256 begins with {digest[:8]}, not with b67d2efc"):
        read_checkpoints(folder, True, TINY.context)


@pytest.mark.parametrize(
    ("key", "labels", "other"), [("word_head", True, "caption"), ("category_head", False, "label")]
)
def test_the_checkpoint_of_the_other_model(key: str, labels: bool, other: str) -> None:
    with pytest.raises(WeightsError, match=f"this is odise_{other}, not odise_") as caught:
        trained_tensors({f"{key}.text_proj.bias": torch.ones(1)}, labels, Path("x.pth"))
    assert caught.value.hint == f"Pass --base odise_{other}, or another file."


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.ckpt", "empty.ckpt"])
def test_a_broken_file(tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole")
    (tmp_path / name).write_bytes(b"" if "empty" in name else (tmp_path / "whole").read_bytes()[:900])
    with pytest.raises(WeightsError, match=r"cannot be read|is cut off") as caught:
        read_any(tmp_path / name)
    assert "\n" not in caught.value.message


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must not be printed",))


def test_a_pickle_with_code_in_it_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Hostile()}, tmp_path / "new.ckpt")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps({"model": Hostile()}, protocol=2))
    for name in ("new.ckpt", "old.ckpt"):
        with pytest.raises(WeightsError):
            read_any(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_a_program_is_opened_only_if_it_is_openai_s_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linear = torch.nn.Linear(2, 3)
    linear.register_buffer("context_length", torch.tensor(77))
    with pytest.warns(FutureWarning, match="deprecated"):
        archive = torch.jit.script(linear)
    archive.save(str(folder / CLIP))
    with pytest.raises(WeightsError, match="no PyTorch checkpoint that holds tensors alone"):
        read_checkpoints(folder, True, TINY.context)
    digest = hashlib.sha256((folder / CLIP).read_bytes()).hexdigest()
    spec = WEIGHTS["clip_vit_l_14_336"]
    monkeypatch.setitem(WEIGHTS, spec.name, dataclasses.replace(spec, sha256=digest))
    assert set(read_checkpoints(folder, True, TINY.context).clip) == {"weight", "bias"}
