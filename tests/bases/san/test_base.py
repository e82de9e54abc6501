"""The base around the network, on a SAN so small that it loads in a second; its numbers mean nothing."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.san import TINY, TinySan, tiny_spec, tiny_tensors
from parity.seeded_weights import read_manifest
from torch import Tensor

from ovss_personal.bases import competitors
from ovss_personal.bases.bank import build_bank, write_bank
from ovss_personal.bases.san.base import SanBase, SanViTB16, SanViTLarge14
from ovss_personal.bases.san.network import SanNetwork, canvas_of, preprocess
from ovss_personal.bases.san.text import WordEncoder
from ovss_personal.bases.weights import WEIGHTS
from ovss_personal.config import BaseConfig, FitConfig
from ovss_personal.errors import UsageError, VocabularyError, WeightsError
from ovss_personal.personal.fit import Example, FitWords, fit
from ovss_personal.store.words import WordCache
from ovss_personal.structures import Proposals, RGBImage


def picture(height: int, width: int, seed: int = 0) -> RGBImage:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return coarse.repeat(-(-height // 4), 0).repeat(-(-width // 4), 1)[:height, :width]


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return tiny_tensors()


@pytest.fixture(scope="module", autouse=True)
def published(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tiny SAN's manifest among the known weights, and a cache of the tests' own."""
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WEIGHTS, TinySan.name, tiny_spec(folder, tensors))
        patch.setenv("OVSS_PERSONAL_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="module")
def weights(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save({"model": tensors, "iteration": 60000}, path)
    return str(path)


@pytest.fixture(scope="module")
def tiny(weights: str) -> SanBase:
    return TinySan(BaseConfig(base="tiny_san", weights=weights))


@pytest.fixture(scope="module")
def seen(tiny: SanBase) -> Proposals:
    return tiny.propose([picture(96, 128)])[0]


@pytest.mark.parametrize(
    ("size", "resized", "padded"),
    [
        ((640, 640), (640, 640), (640, 640)),
        ((480, 640), (640, 853), (640, 864)),
        ((333, 500), (640, 961), (640, 992)),
        ((500, 333), (961, 640), (992, 640)),
        ((1280, 1281), (640, 641), (640, 672)),
        ((100, 1000), (256, 2560), (256, 2560)),
        ((16, 4000), (10, 2560), (32, 2560)),
    ],
)
def test_the_canvas(size: tuple[int, int], resized: tuple[int, int], padded: tuple[int, int]) -> None:
    canvas = canvas_of(*size)
    assert (canvas.original, canvas.resized, canvas.padded) == (size, resized, padded)


def test_the_padding_has_the_mean_colour() -> None:
    canvas = canvas_of(100, 1010)
    pixels = preprocess(picture(100, 1010), canvas)
    assert canvas.resized == (253, 2560) and tuple(pixels.shape) == (3, 256, 2560)
    assert (pixels[:, 253:] == 0).all() and (pixels[:, 252] != 0).any()


@pytest.mark.parametrize(
    ("resolution", "side", "expected"),
    [(0.7, 864, 604), (0.7, 640, 448), (0.7, 1120, 784), (0.7, 704, 492), (0.5, 864, 432)],
)
def test_the_size_of_clip_s_input(resolution: float, side: int, expected: int) -> None:
    with torch.device("meta"):
        network = SanNetwork(dataclasses.replace(TINY, resolution=resolution))
        assert network.clip_input(torch.empty(1, 3, 32, side)).shape[3] == expected


def test_a_proposal_s_shapes(tiny: SanBase, seen: Proposals) -> None:
    assert seen.canvas.padded == (640, 864)
    assert tuple(seen.masks.shape) == (tiny.num_proposals, 40, 54)
    assert tuple(seen.embeddings.shape) == (100, tiny.dim)
    assert tuple(seen.features.shape) == (tiny.dim, 20, 27)
    for vectors in (seen.embeddings, seen.features.flatten(1).T):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)
    assert not any(parameter.requires_grad for parameter in tiny.network.parameters())


@pytest.mark.parametrize(("batch", "passes"), [(1, [1, 1, 1]), (8, [1, 2])])
def test_neighbours_change_nothing(
    tiny: SanBase, seen: Proposals, batch: int, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(tiny, "batch", batch)
    forward = tiny.network.forward
    monkeypatch.setattr(tiny.network, "forward", lambda pixels: sizes.append(len(pixels)) or forward(pixels))
    pictures = [picture(64, 64, 1), picture(96, 128), picture(96, 128, 2)]
    found = tiny.propose(pictures)
    assert sizes == passes
    assert [p.canvas.original for p in found] == [image.shape[:2] for image in pictures]
    for name in ("masks", "embeddings", "features"):
        mine, alone = getattr(found[1], name), getattr(seen, name)
        assert torch.allclose(mine, alone, atol=1e-4) if batch > 1 else torch.equal(mine, alone)


def test_lower_precision_is_near_and_comes_back_as_float32(weights: str, tiny: SanBase, seen: Proposals) -> None:
    lower = TinySan(BaseConfig(base="tiny_san", weights=weights, dtype="bfloat16"))
    assert lower.fingerprint != tiny.fingerprint
    found = lower.propose([picture(96, 128)])[0]
    for name in ("masks", "embeddings", "features"):
        assert getattr(found, name).dtype == torch.float32
    assert (found.embeddings * seen.embeddings).sum(1).min() > 0.99
    assert torch.equal(lower.encode(["mug"]), tiny.encode(["mug"]))


def test_words_are_encoded_once_in_their_order(tiny: SanBase, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny.encode(["cup", "tree"])
    assert tuple(first.shape) == (2, tiny.dim)
    assert torch.allclose(first.norm(dim=1), torch.ones(2))
    assert tiny.encode([]).shape == (0, tiny.dim)
    monkeypatch.setattr(tiny._words, "prompts", None)
    assert torch.equal(tiny.encode(["tree", "cup", "tree"]), first[[1, 0, 1]])


def test_words_are_read_from_disk_in_another_run(tiny: SanBase, monkeypatch: pytest.MonkeyPatch) -> None:
    first = WordEncoder(tiny._words.tower, WordCache(tiny.fingerprint))(["cup", "tree"])
    again = WordEncoder(tiny._words.tower, WordCache(tiny.fingerprint))
    monkeypatch.setattr(again, "prompts", None)
    assert torch.equal(again(["cup", "tree"]), first)


def test_a_word_that_would_be_cut_is_an_error(tiny: SanBase) -> None:
    with pytest.raises(VocabularyError, match="too long for CLIP"):
        tiny.encode(["mug " * 70])


def test_probabilities_with_room_for_nothing(tiny: SanBase, seen: Proposals) -> None:
    text = tiny.encode(["cup", "tree"])
    scores = tiny.word_scores(seen, text)
    assert tiny.traits.void is not None and tiny.traits.logit_scale == pytest.approx(100)
    rows = torch.cat((text, tiny.traits.void))
    assert torch.allclose(scores, (100 * seen.embeddings @ rows.T).softmax(1)[:, :2], atol=1e-5)
    assert (scores.sum(1) < 1).any()
    assert tiny.word_scores(seen, text[:0]).shape == (100, 0)


def test_competitors(tiny: SanBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(competitors, "sibling_names", lambda name, count: ("mug", "teapot", "cup"))
    assert tiny.competitors("cup", "none").shape == (0, tiny.dim)
    rows = tiny.competitors("cup", "siblings")
    words = tiny.encode(["mug", "teapot", "cup"])
    assert len(rows) in (1, 2) and all(any(torch.equal(row, word) for word in words[:2]) for row in rows)
    for kind in ("bank", "both"):
        with pytest.raises(UsageError, match=rf"tiny_san has no bank of competitors \('{kind}'\)") as caught:
            tiny.competitors("cup", kind)
        assert "ovss-personal competitors build PHOTOS --base tiny_san" in str(caught.value.hint)


def test_a_bank_of_one_s_own(tiny: SanBase, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(competitors, "sibling_names", lambda name, count: ("mug", "teapot"))
    rows = build_bank(tiny, [picture(64, 64, seed) for seed in range(2)], centres=7)
    assert rows.shape == (7, tiny.dim)
    write_bank(tmp_path / "bank.safetensors", rows, tiny)
    config = BaseConfig(base="tiny_san", weights=weights, bank=str(tmp_path / "bank.safetensors"))
    with_bank = TinySan(config)
    assert torch.equal(with_bank.competitors("cup", "bank"), rows)
    both = torch.cat((tiny.competitors("cup", "siblings"), rows))
    assert torch.equal(with_bank.competitors("cup", "both"), both)
    assert with_bank.fingerprint not in (tiny.fingerprint, TinySan(config).fingerprint[::-1])
    assert with_bank.fingerprint == TinySan(config).fingerprint, "a concept is of the base with its bank"
    with pytest.raises(WeightsError, match="with other weights or settings"):
        TinySan(dataclasses.replace(config, dtype="bfloat16"))


def test_words_are_on_the_base_s_device(tiny: SanBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands in for a GPU."""
    monkeypatch.setattr(tiny, "device", torch.device("meta"))
    assert tiny.encode(["cup"]).is_meta and tiny.competitors("cup", "none").is_meta


def test_it_has_the_paper_s_fit(tiny: SanBase) -> None:
    assert tiny.fit_defaults == FitConfig()
    assert tiny.traits.positives == "bipartite" and tiny.traits.paper_threshold is None


def test_a_concept_is_fitted_on_it(tiny: SanBase, seen: Proposals) -> None:
    mask = np.zeros((96, 128), bool)
    mask[20:60, 30:80] = True
    words = FitWords(tiny.encode(["cup"])[0], tiny.encode(["tree"]), tiny.competitors("cup", "none"))
    config = dataclasses.replace(tiny.fit_defaults, iterations=3)
    head, losses = fit([Example(seen, mask)], words, tiny.traits, config)
    assert set(losses) == {"seg", "neg_embedding", "neg_mask"}
    assert torch.isfinite(head.word).all()


def test_the_fingerprint_is_of_the_weights_wherever_they_lie(
    weights: str, tiny: SanBase, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    shutil.copy(weights, tmp_path / "copy.pth")
    assert TinySan(BaseConfig(base="tiny_san", weights=str(tmp_path / "copy.pth"))).fingerprint == tiny.fingerprint
    other = tensors | {"clip_rec_head.proj": tensors["clip_rec_head.proj"] + 1e-3}
    torch.save(other, tmp_path / "other.pth")
    assert TinySan(BaseConfig(base="tiny_san", weights=str(tmp_path / "other.pth"))).fingerprint != tiny.fingerprint


@pytest.mark.parametrize("base", [SanViTB16, SanViTLarge14])
def test_the_state_dict_is_named_as_published(base: type[SanBase]) -> None:
    published = read_manifest(Path(__file__).parents[3] / "third_party" / "san" / f"{base.name}.keys.tsv")
    del published["criterion.empty_weight"]  # of the training loss alone
    with torch.device("meta"):
        ours = {key: tuple(tensor.shape) for key, tensor in SanNetwork(base.variant).state_dict().items()}
    assert ours == published


def test_a_pseudo_word_reads_as_the_word_whose_vector_it_has(tiny: SanBase) -> None:
    vector = tiny.encode(["mug"])[0]
    again = tiny.read_phrase(("", ""), [vector])
    assert again.norm().item() == pytest.approx(1, abs=1e-5) and (again @ vector).item() > 0.99
    phrase = tiny.read_phrase(("cup on a ", " in a tree"), [vector])
    true, other = tiny.encode(["cup on a mug in a tree", "cup on a dog in a tree"])
    assert (phrase @ true).item() > (phrase @ other).item()
    assert torch.equal(phrase, tiny.read_phrase(("cup on a ", " in a tree"), [vector]))


def test_a_phrase_that_would_be_cut_is_an_error(tiny: SanBase) -> None:
    with pytest.raises(VocabularyError, match="too long for CLIP"):
        tiny.read_phrase(("cup " * 70, ""), [tiny.encode(["mug"])[0]])
