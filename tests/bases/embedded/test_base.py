from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ovss_personal.bases.embedded import base as module
from ovss_personal.bases.embedded import files
from ovss_personal.bases.embedded.base import EmbeddedBase, fingerprint
from ovss_personal.bases.embedded.files import WEIGHTS, save
from ovss_personal.bases.embedded.pooling import JointSpace, appearance, contrast_pool
from ovss_personal.config import BaseConfig, FitConfig
from ovss_personal.errors import WeightsError
from ovss_personal.structures import Canvas, Proposals, RGBImage


def test_one_look_gives_100_proposals(embedded: EmbeddedBase, seen: Proposals) -> None:
    assert seen.masks.shape == (embedded.num_proposals, 128, 128) == (100, 128, 128)
    assert seen.embeddings.shape == (100, embedded.dim) and seen.features.shape == (embedded.dim, 32, 32)
    assert seen.canvas == Canvas((120, 160), (120, 160), (120, 160))
    assert torch.allclose(seen.embeddings.norm(dim=1), torch.ones(100), atol=1e-4)
    assert seen.masks.abs().max() <= 12
    for tensor in (seen.masks, seen.embeddings, seen.features):
        assert tensor.dtype == torch.float32 and bool(torch.isfinite(tensor).all()) and not tensor.requires_grad


def test_looking_twice_sees_the_same_whatever_the_company(
    embedded: EmbeddedBase, seen: Proposals, picture: RGBImage
) -> None:
    _, again = embedded.propose([picture[:64], picture])
    for name in ("masks", "embeddings", "features"):
        assert torch.equal(getattr(again, name), getattr(seen, name))


@pytest.mark.parametrize("shape", [(16, 16), (16, 800), (700, 20)])
def test_odd_sizes_are_seen(embedded: EmbeddedBase, shape: tuple[int, int]) -> None:
    (found,) = embedded.propose([torch.zeros(*shape, 3, dtype=torch.uint8).numpy()])
    assert found.canvas.original == shape and bool(torch.isfinite(found.embeddings).all())


def test_word_scores_are_a_softmax_and_what_is_no_thing_is_other(embedded: EmbeddedBase, seen: Proposals) -> None:
    text = embedded.encode(["ball", "cat", "truck"])
    scores = embedded.word_scores(seen, text)
    assert scores.shape == (100, 4) and embedded.extra_words == ("other",)
    assert torch.allclose(scores.sum(1), torch.ones(100), atol=1e-5)
    kind = torch.nn.functional.normalize(seen.embeddings[:, :1280], dim=1)
    ratio = (60 * kind @ text[:, :1280].T).softmax(1)
    assert torch.allclose(scores[:, :3], ratio * (1 - scores[:, 3:]), atol=1e-6)


def test_traits_are_those_of_the_design(embedded: EmbeddedBase) -> None:
    traits = embedded.traits
    assert (traits.positives, traits.void, traits.no_object) == ("overlap", None, 0.1)
    assert traits.logit_scale == pytest.approx(60 / 0.4**0.5)  # words have no appearance, 0.6 of an embedding is
    assert isinstance(traits.contrast, torch.Tensor)
    assert traits.contrast.tolist() == [1.0] * 1280 + [0.0] * 128


def test_tiles_add_proposals_behind_the_whole_image_s(
    embedded: EmbeddedBase, seen: Proposals, picture: RGBImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "config", BaseConfig(tiles=4))
    (found,) = embedded.propose([picture])
    assert found.masks.shape == (200, 192, 192) and found.features.shape == (embedded.dim, 52, 52)
    assert torch.equal(found.embeddings[:100], seen.embeddings)
    enlarged = torch.nn.functional.interpolate(seen.masks[None], (192, 192), mode="bilinear")[0]
    assert torch.equal(found.masks[:100], enlarged)
    assert bool(torch.isfinite(found.features).all())


def test_words_are_about_the_kind_alone(embedded: EmbeddedBase, seen: Proposals) -> None:
    text = embedded.encode(["ball", "cat"])
    assert text.shape == (2, 1408) and not text[:, 1280:].any()
    squared = seen.embeddings.square()
    assert torch.allclose(squared[:, :1280].sum(1), torch.full((100,), 0.4), atol=1e-5)
    assert torch.allclose(squared[:, 1280:].sum(1), torch.full((100,), 0.6), atol=1e-5)


def test_the_joint_space_by_hand() -> None:
    space = JointSpace(
        mean=torch.tensor([1.0]),
        appearance_mean=torch.tensor([2.0, 0.0, 0.0]),
        appearance_map=torch.tensor([[0.25, 0.5], [0.0, 1.0], [0.0, 0.0]]),  # the third channel says nothing
        gain=7.0,
    )
    assert space.dim == 3 and space.contrast.tolist() == [1.0, 0.0, 0.0]
    assert space.padded(torch.tensor([[0.5]])).tolist() == [[0.5, 0.0, 0.0]]
    joined = space.joined(torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0, -5.0, 8.0], [6.0, -2.0, 8.0]]))
    assert joined.flatten().tolist() == pytest.approx([0.4**0.5, 0.0, -(0.6**0.5), -(0.4**0.5), 0.6**0.5, 0.0])
    # (5 - 1), and ((10 - 2) / 4, (10 - 2) / 2 - 1) · 7 · √(0.6 / 0.4).
    found = space.features(torch.full((1, 1, 1), 5.0), torch.tensor([10.0, -1.0, 8.0])[:, None, None])
    assert found.flatten().tolist() == pytest.approx([4.0, 14 * 1.5**0.5, 21 * 1.5**0.5])


def test_the_kind_of_a_cell_is_that_of_all_smaller_cells_in_it() -> None:
    space = JointSpace(torch.zeros(1), torch.zeros(1), torch.eye(1), gain=1.5**-0.5)
    found = space.features(torch.tensor([[[1.0, 2.0]]]), torch.arange(8.0).reshape(1, 2, 4))
    assert found.shape == (2, 2, 4)
    assert found[0].tolist() == [[1, 1, 2, 2]] * 2
    assert torch.allclose(found[1], torch.arange(8.0).reshape(2, 4))


def test_appearance_averages_pixels_and_taps_to_the_third_tap_s_cells() -> None:
    pixels = torch.arange(64.0).reshape(1, 8, 8)
    taps = [torch.full((1, 1, 8, 8), 3.0), torch.arange(16.0).reshape(1, 1, 4, 4), torch.ones(1, 2, 2, 2)]
    found = appearance(pixels, [*taps, torch.zeros(1, 1, 1, 1)])
    # 13.5: the mean of 0 … 3, 8 … 11, 16 … 19 and 24 … 27.
    expected = [[[13.5, 17.5], [45.5, 49.5]], [[3.0, 3.0]] * 2, [[2.5, 4.5], [10.5, 12.5]]] + [[[1.0, 1.0]] * 2] * 2
    assert found.tolist() == expected


def test_contrast_pooling_by_hand() -> None:
    # Logits ± ln 3 on 1 x 2 cells: inside only the first counts, outside they weigh 1/4 and 3/4.
    masks = torch.tensor([[[3.0, 1 / 3]]]).log()
    features = torch.tensor([[[4.0, 0.0]], [[0.0, 8.0]]])  # (2, 1, 2)
    # z_in = (4, 0), z_out = (1, 6), less the mean (1, 1): (3, -1) - (0, 5) = (3, -6), of norm √45.
    found = contrast_pool(masks, features, torch.ones(2))
    assert found[0].tolist() == pytest.approx([3 / 45**0.5, -6 / 45**0.5])
    plain = contrast_pool(masks, features, torch.ones(2), beta=0.0)
    assert plain[0].tolist() == pytest.approx([3 / 10**0.5, -1 / 10**0.5])


def test_a_mask_below_one_half_everywhere_still_has_an_embedding() -> None:
    masks = torch.full((1, 4, 4), -3.0)
    found = contrast_pool(masks, torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0)), torch.ones(3), 0.0)
    assert bool(torch.isfinite(found).all()) and found.norm().item() == pytest.approx(1)


def test_the_fingerprint_covers_weights_and_settings(weights: Path) -> None:
    here = fingerprint(WEIGHTS, 0)
    assert len(here) == 64 and fingerprint(weights, 0) == here  # by content, not by place
    assert fingerprint(WEIGHTS, 4) != here
    path = weights / "calibration.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert fingerprint(weights, 0) != here


@pytest.mark.parametrize("setting", ["SIZE", "SCALE", "THING_BIAS"])
def test_the_fingerprint_covers_what_is_set_in_the_code(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = fingerprint(WEIGHTS, 0)
    monkeypatch.setattr(module, setting, 7)
    assert fingerprint(WEIGHTS, 0) != here


def test_a_loaded_base_has_the_fingerprint_of_its_weights(embedded: EmbeddedBase) -> None:
    assert embedded.fingerprint == fingerprint(WEIGHTS, 0) and embedded.name == "embedded"


def test_the_shipped_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 95_000_000
    assert (WEIGHTS / "decoder.safetensors").stat().st_size <= 20_000_000


def test_a_folder_may_hold_another_s_model_of_its_own(weights: Path) -> None:
    here = fingerprint(weights, 0)
    tensors = load_file(WEIGHTS / "encoder.safetensors")
    tensors["classifier.weight"] = tensors["classifier.weight"].roll(1, 0)
    save(weights / "encoder.safetensors", tensors, {})
    base = EmbeddedBase(BaseConfig(weights=str(weights)))
    assert base.fingerprint == fingerprint(weights, 0) != here
    assert torch.equal(base.encoder.class_rows, tensors["classifier.weight"].float())


def test_a_base_starts_without_reading_the_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self.name) or whole(self))
    monkeypatch.setattr(files, "load", lambda path: pytest.fail(f"{path} was loaded"))
    fingerprint(WEIGHTS, 0)
    assert set(read) == {f"{own}.safetensors" for own in ("calibration", "class_texts", "decoder")} | {"tokenizer.json"}


def test_the_two_sets_of_fit_settings(embedded: EmbeddedBase) -> None:
    ours, paper = embedded.fit_defaults, embedded.paper_defaults
    assert (ours.alpha, ours.learning_rate, ours.competitors, ours.negative, ours.views) == (
        0.5,
        5e-3,
        "both",
        False,
        4,
    )
    assert paper == FitConfig()


def test_pictures_pass_in_batches_on_an_accelerator(
    embedded: EmbeddedBase, seen: Proposals, picture: RGBImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    hook = embedded.encoder.register_forward_pre_hook(lambda network, given: sizes.append(len(given[0])))
    monkeypatch.setattr(embedded, "batch", 2)
    *_, found = embedded.propose([picture[:64], picture[:, :64], picture])
    _, again = embedded.propose([picture[:64], picture])
    hook.remove()
    assert sizes == [2, 1, 2] and found.canvas == again.canvas == seen.canvas
    for other in (found, again):
        assert torch.allclose(seen.embeddings, other.embeddings, atol=1e-3)
        assert torch.allclose(seen.masks, other.masks, atol=1e-2)


def without(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        tensors = {k: v for k, v in load_file(path).items() if k != name}
        save_file({k: v.clone() for k, v in tensors.items()}, path)

    return change


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("decoder.safetensors", lambda p: p.unlink(), "cannot be read"),
    "empty": ("calibration.safetensors", lambda p: p.write_bytes(b""), "cannot be read"),
    "truncated": ("class_texts.safetensors", lambda p: p.write_bytes(p.read_bytes()[:-9]), "cannot be read"),
    "no decoder": ("decoder.safetensors", without("norm.weight"), "does not hold this base's tensors"),
    "no bank": ("calibration.safetensors", without("bank"), "does not hold this base's tensors .*bank"),
    "no owner": ("class_texts.safetensors", without("owner"), "does not hold this base's tensors .*owner"),
    "no names": ("class_texts.safetensors", without("names"), "does not hold this base's tensors .*names"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_broken_weights_are_one_error(weights: Path, case: str) -> None:
    file, damage, message = DAMAGE[case]
    damage(weights / file)
    with pytest.raises(WeightsError, match=message) as caught:
        EmbeddedBase(BaseConfig(weights=str(weights)))
    assert caught.value.exit_code == 4 and (caught.value.path or "").startswith(str(weights))


def test_a_file_in_place_of_the_folder(weights: Path) -> None:
    with pytest.raises(WeightsError):
        EmbeddedBase(BaseConfig(weights=str(weights / "decoder.safetensors")))
