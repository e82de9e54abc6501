from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ovss_personal import personalize, segment
from ovss_personal.bases import competitors
from ovss_personal.bases.checkpoint import load_strictly
from ovss_personal.bases.odise.base import PHOTO, OdiseCaption, OdiseLabel, OdiseTiny
from ovss_personal.bases.odise.ensemble import CAPTION, LABEL, ensemble, final_logits
from ovss_personal.bases.odise.heads import cosine_logits
from ovss_personal.bases.odise.network import Network, Seen, Trained
from ovss_personal.bases.odise.seeded import seeded_like
from ovss_personal.bases.odise.sizes import TINY
from ovss_personal.bases.words import Words
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest
from ovss_personal.config import BaseConfig, FitConfig, load_config
from ovss_personal.engine.see import propose
from ovss_personal.errors import UsageError, VocabularyError, WeightsError
from ovss_personal.evaluation.examiner import Examiner
from ovss_personal.evaluation.methods import Method
from ovss_personal.evaluation.runner import evaluate
from ovss_personal.store.cache import ProposalCache
from ovss_personal.store.words import WordCache
from ovss_personal.structures import Canvas, Proposals, RGBImage, Shot

CONFIGS = Path(__file__).parents[3] / "configs" / "bases"
WORDS = ("bird", "zebra crossing", "sky-other", "my mug")


def ball(image: RGBImage, name: str = "1.png") -> Shot:
    """The picture's red ball."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    mask = (y - 65) ** 2 + (x - 55) ** 2 < 25**2
    return Shot(image=image, mask=mask, name=name, sha256=hashlib.sha256(image.tobytes()).hexdigest())


def test_one_look_gives_100_proposals(odise: OdiseTiny, looked: Proposals) -> None:
    assert looked.masks.shape == (odise.num_proposals, 64, 64) == (100, 64, 64)
    assert looked.embeddings.shape == (100, odise.dim) == (100, 256 + 48)
    assert looked.features.shape == (odise.dim, 8, 8)
    assert looked.canvas == Canvas((120, 120), (256, 256), (256, 256)) and not looked.extras
    assert torch.allclose(looked.embeddings.norm(dim=1), torch.ones(100), atol=1e-5)
    assert torch.allclose(looked.features.norm(dim=0), torch.ones(8, 8), atol=1e-5)
    for tensor in (looked.masks, looked.embeddings, looked.features):
        assert tensor.dtype == torch.float32 and bool(torch.isfinite(tensor).all()) and not tensor.requires_grad


def test_words_are_of_unit_norm_in_the_order_given_and_the_same_in_any_company(
    odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = odise.encode(WORDS)
    assert text.shape == (4, odise.dim) and torch.allclose(text.norm(dim=1), torch.ones(4), atol=1e-5)
    again = odise.encode(["my mug", "bird", "my mug"])
    assert torch.equal(again, text[[3, 0, 3]])
    monkeypatch.setattr(odise, "_words", Words(odise._row, odise.dim))  # as in another process without a cache
    assert torch.equal(odise.encode(["my mug"]), text[3:]) and odise.encode([]).shape == (0, odise.dim)


def test_a_word_is_encoded_once_ever(odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odise, "_words", Words(odise._row, odise.dim, WordCache(odise.fingerprint)))
    text = odise.encode(["bird", "unheard of"])

    def row(word: str) -> torch.Tensor:
        pytest.fail("encoded again")

    monkeypatch.setattr(odise, "_words", Words(row, odise.dim, WordCache(odise.fingerprint)))  # as in another process
    assert torch.equal(odise.encode(["bird", "unheard of"]), text)


def test_a_sentence_beyond_clip_s_tokens_is_refused(odise: OdiseTiny) -> None:
    with pytest.raises(VocabularyError, match="more than the 75 tokens"):
        odise.encode(["mug " * 74])  # fits by itself, and not as a photo of it


def test_word_scores_are_odise_s_own(odise: OdiseTiny, looked: Proposals) -> None:
    """Against the ensemble of the halves, computed without the joint space."""
    trained, clip = looked.embeddings.tensor_split([256], 1)
    head = odise.network.trained.category_head
    with torch.no_grad():
        names = [word.removesuffix("-other") for word in WORDS]
        bare = head.embed(odise.network.clip.text(names))
        photos = F.normalize(odise.network.clip.text([PHOTO.format(name) for name in names]), dim=1)
        logits = cosine_logits(trained, torch.cat((bare, head.null())), odise.space.trained_scale)
        from_clip = cosine_logits(clip, photos, odise.network.clip.logit_scale)
    seen = torch.tensor([True, False, True, False])
    expected = final_logits(ensemble(logits[:, :-1], from_clip, seen, LABEL), logits.softmax(1)[:, -1]).exp()
    scores = odise.word_scores(looked, odise.encode(WORDS))
    assert scores.shape == (100, 4) and torch.allclose(scores, expected[:, :-1], atol=1e-4)


def test_a_personal_word_is_unseen_even_of_a_seen_class(odise: OdiseTiny, looked: Proposals) -> None:
    text = odise.encode(["my mug", "bird", "bird"])
    text[2] = F.normalize(text[2] + 1e-4 * text[0], dim=0)
    trained, clip = odise.space.logits(looked.embeddings, text)
    scores = odise.word_scores(looked, text)
    expected = ensemble(trained, clip, torch.tensor([False, True, False]), LABEL).softmax(1)
    assert torch.allclose(scores / scores.sum(1, keepdim=True), expected, atol=1e-5)


def test_scores_depend_on_no_word_that_was_encoded_before(
    odise: OdiseTiny, looked: Proposals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors from elsewhere, such as a file, are read as they would be in the process that made them."""
    text = odise.encode(["bird", "my mug", "sky-other-merged"])
    scores = odise.word_scores(looked, text)
    monkeypatch.setattr(odise, "_words", Words(odise._row, odise.dim))
    monkeypatch.delitem(vars(odise), "_seen_rows")
    assert torch.equal(odise.word_scores(looked, text.clone()), scores)
    assert torch.equal(odise.encode(["sky"])[0], text[2]), "what data sets append to a word is not read"


def test_the_void_stands_in_the_joint_space(odise: OdiseTiny) -> None:
    void = odise.traits.void
    assert void is not None and void.shape == (1, odise.dim) and void.norm().item() == pytest.approx(1, abs=1e-5)
    assert odise.traits.logit_scale == pytest.approx(100) and odise.traits.positives == "bipartite"
    share = void[0, :256].square().sum().item()
    assert share == pytest.approx(1 - LABEL.unseen, abs=1e-5)


def test_the_caption_model_says_itself_whether_a_proposal_is_anything(
    odise: OdiseTiny, square: RGBImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Trained(TINY, labels=False)
    load_strictly(trained, seeded_like(trained.state_dict(), "trained."))
    network = dataclasses.replace(odise.network, trained=trained)
    monkeypatch.setattr(OdiseCaption, "size", TINY)
    monkeypatch.setattr(OdiseCaption, "_load", lambda self, folder: (network, "seeded"))
    base = OdiseCaption()
    assert base.traits.void is None and base.space.shares == CAPTION and base.fingerprint != odise.fingerprint
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 100, 64, 64), (1, 100, 256), (1, 256, 64, 64), (1, 100, 256))
    seen = Seen(*(torch.randn(shape, generator=generator) for shape in shapes))
    monkeypatch.setattr(Network, "__call__", lambda self, images: seen)
    (proposals,) = base.propose([square])
    objects = proposals.extras["object"]
    assert torch.equal(objects, trained.sem_seg_head.predictor.class_embed(seen.queries[0]).softmax(1)[:, 0].detach())
    negative = torch.cat((proposals.embeddings, proposals.embeddings[:1]))
    scores = base.word_scores(dataclasses.replace(proposals, embeddings=negative), base.encode(WORDS))
    assert torch.allclose(scores.sum(1), torch.cat((objects, torch.ones(1))), atol=1e-5)


def test_competitors(odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(competitors, "sibling_names", lambda name, count: ("cup", "teapot", "bird"))
    assert odise.competitors("mug", "none").shape == (0, odise.dim)
    rows = odise.competitors("mug", "siblings")
    assert 0 < len(rows) <= 3 and rows.shape[1] == odise.dim
    with pytest.raises(UsageError, match=r"odise_tiny has no bank of competitors \('both'\)") as caught:
        odise.competitors("mug", "both")
    assert "competitors build PHOTOS --base odise_tiny" in str(caught.value.hint)


@pytest.mark.parametrize("batch", [1, 2])
def test_neighbours_change_nothing(
    odise: OdiseTiny, square: RGBImage, looked: Proposals, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SAN's: on the CPU each image passes alone, to the same last bits."""
    passes: list[int] = []
    call = Network.__call__
    monkeypatch.setattr(odise, "batch", batch)
    monkeypatch.setattr(Network, "__call__", lambda self, images: passes.append(len(images)) or call(self, images))
    wide = np.ascontiguousarray(square[:100])
    found = odise.propose([square[::-1].copy(), wide, square])
    assert passes == ([1, 1, 1] if batch == 1 else [2, 1])
    assert [seen.canvas.original for seen in found] == [(120, 120), (100, 120), (120, 120)]
    for name in ("masks", "embeddings", "features"):
        mine, alone = getattr(found[2], name), getattr(looked, name)
        assert torch.equal(mine, alone) if batch == 1 else torch.allclose(mine, alone, atol=1e-3, rtol=1e-3)


def test_words_are_on_the_base_s_device(odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands in for a GPU."""
    monkeypatch.setattr(odise, "device", torch.device("meta"))
    assert odise.encode(["bird"]).is_meta and odise.encode([]).is_meta
    assert odise.competitors("mug", "none").is_meta


def test_personalize_and_segment_look_at_an_image_once(
    odise: OdiseTiny, square: RGBImage, looked: Proposals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OdiseTiny, "propose", lambda self, images: [looked for _ in images])
    cache = ProposalCache(tmp_path)
    propose(odise, square, cache)
    monkeypatch.setattr(OdiseTiny, "propose", lambda self, images: pytest.fail("looked again"))
    shot = ball(square)
    settings = dataclasses.replace(odise.fit_defaults, iterations=20)
    concept = personalize(odise, [shot], concept="my ball", class_name="ball", config=settings, cache=cache)
    assert concept.base_name == "odise_tiny" and np.isfinite(list(concept.report.losses.values())).all()
    found = segment(odise, square, words=WORDS, concepts=[concept], cache=cache)
    assert found.labels.shape == (120, 120) and found.words == (*WORDS, "my ball")
    again = personalize(odise, [shot], concept="my ball", class_name="ball", config=settings, cache=cache)
    assert all(torch.equal(a, b) for a, b in zip(*(c.head.tensors().values() for c in (concept, again)), strict=True))


def test_threads_take_turns(odise: OdiseTiny, square: RGBImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hooks of `extractor` belong to the networks, not to a thread."""
    at_work, most = set(), []

    def look(self: OdiseTiny, images: list[RGBImage], resized: tuple[int, int]) -> list[int]:
        at_work.add(threading.get_ident())
        most.append(len(at_work))
        time.sleep(0.02)
        at_work.remove(threading.get_ident())
        return [len(image) for image in images]

    monkeypatch.setattr(OdiseTiny, "_look", look)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(odise.propose, [[square]] * 6)) == [[120]] * 6
    assert most == [1] * 6


def test_precision_is_in_the_fingerprint_and_low_memory_is_not(
    odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def to(self: Network, device: torch.device, dtype: torch.dtype, low_memory: bool) -> Network:
        asked.append((device.type, dtype, low_memory))
        return self

    monkeypatch.setattr(Network, "to", to)
    monkeypatch.setattr(OdiseTiny, "_load", lambda self, folder: (odise.network, "seeded"))
    monkeypatch.setattr(OdiseTiny, "_void", lambda self: None)
    configs = (BaseConfig(), BaseConfig(low_memory=True), BaseConfig(dtype="bfloat16"))
    prints = [OdiseTiny(dataclasses.replace(config, device="meta")).fingerprint for config in configs]
    assert prints[0] == prints[1] == odise.fingerprint != prints[2]
    OdiseTiny(BaseConfig(low_memory=True))
    plain = torch.float32
    assert asked == [
        ("meta", plain, False),
        ("meta", plain, True),
        ("meta", torch.bfloat16, False),
        ("cpu", plain, False),
    ]


@pytest.mark.slow
def test_lower_precision_labels_the_same(odise: OdiseTiny, square: RGBImage) -> None:
    lower = OdiseTiny(BaseConfig(base="odise_tiny", dtype="bfloat16"))
    (proposals,) = lower.propose([square])
    assert {tensor.dtype for tensor in (proposals.masks, proposals.embeddings, proposals.features)} == {torch.float32}
    found = [segment(base, square, words=WORDS).labels for base in (odise, lower)]
    assert (found[0] == found[1]).mean() > 0.9


@pytest.mark.slow
def test_evaluate(odise: OdiseTiny, square: RGBImage, tmp_path: Path) -> None:
    """Four looks: a shot, and a test of each kind."""
    items = []
    for number, image in enumerate((square, square[::-1], square[:, ::-1])):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{number}.png")
        mask = ball(square).mask[::-1] if number == 1 else ball(square).mask
        Image.fromarray(np.ascontiguousarray(mask).astype(np.uint8) * 255).save(tmp_path / f"{number}_mask.png")
        digest = hashlib.sha256((tmp_path / f"{number}.png").read_bytes()).hexdigest()
        items.append(Item(f"{number}.png", f"{number}_mask.png", digest))
    negative = dataclasses.replace(items[2], mask=None)
    concept = ConceptSet("my ball", "ball", shots=(items[0],), positives=(items[1],), negatives=(negative,))
    manifest = Manifest("small", WORDS, (concept,), tmp_path)
    methods = [Method("text", "text"), Method("fit", "fit", dataclasses.replace(odise.fit_defaults, iterations=5))]
    results = evaluate(Examiner(odise, manifest, methods, (1,), (0,), ProposalCache(tmp_path / "cache")))
    assert [(r.method, r.shots) for r in results] == [("text", 0), ("fit", 1)]
    assert all(0 <= r.iou <= 1 and 0 <= r.recall <= 1 for r in results)


@pytest.mark.parametrize("base", [OdiseLabel, OdiseCaption])
def test_without_weights_it_says_where_to_get_them(base: type[OdiseLabel], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"the weights {base.name}_coco_.*offline nothing is downloaded") as caught:
        base(BaseConfig(base=base.name, offline=True))
    assert f"weights pull {base.name}" in str(caught.value.hint)
    with pytest.raises(WeightsError, match="there is no such file"):
        base(BaseConfig(base=base.name, weights=str(tmp_path)))


@pytest.mark.parametrize("name", ["odise_label", "odise_caption", "odise_tiny"])
def test_the_shipped_settings_are_the_paper_s(name: str) -> None:
    config, fit = load_config(CONFIGS / f"{name}.yaml")
    assert config == BaseConfig(base=name)
    assert FitConfig(**fit) == FitConfig(learning_rate=2e-3) == OdiseLabel.fit_defaults == OdiseLabel.paper_defaults
