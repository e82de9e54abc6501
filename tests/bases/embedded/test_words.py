from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from ovss_personal.bases.embedded import words as module
from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.files import WEIGHTS, save
from ovss_personal.benchmarks import ade
from ovss_personal.errors import VocabularyError, WeightsError
from ovss_personal.io.vocabulary import named_words
from ovss_personal.training.carry_weights import text_tensors


def test_words_are_unit_vectors_in_the_order_given(embedded: EmbeddedBase) -> None:
    found = embedded.encode(["cat", "truck", "cat"])
    assert found.shape == (3, embedded.dim)
    assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.equal(found[0], found[2]) and torch.equal(embedded.encode(["truck"])[0], found[1])
    assert embedded.encode([]).shape == (0, embedded.dim)


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [("tabby cat", "cat", "truck"), ("lorry", "truck", "cat"), ("teacup", "cup", "bird"), ("sparrow", "bird", "shoe")],
)
def test_what_is_alike_lies_near(embedded: EmbeddedBase, word: str, near: str, far: str) -> None:
    w, n, f = embedded.encode([word, near, far])
    assert float(w @ n) > float(w @ f) + 0.2


def test_a_word_is_encoded_once_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    first = EmbeddedBase()
    found = first.encode(["guitar that nobody has heard of"])
    monkeypatch.setattr(module, "TextEncoder", lambda folder: pytest.fail("read again"))
    for base in (first, EmbeddedBase()):
        assert torch.equal(base.encode(["guitar that nobody has heard of", "cat"])[:1], found)


def test_words_that_ship_need_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TextEncoder", lambda folder: pytest.fail("read"))
    words = [*named_words("coco-stuff"), *ade.words(), *(name for names in module.imagenet_names() for name in names)]
    assert len(named_words("coco-stuff")) == 171 and len(ade.words()) == 847
    assert EmbeddedBase().encode(words).shape == (len(words), 1408)


def test_the_words_of_coco_stuff_are_there_at_once(embedded: EmbeddedBase, monkeypatch: pytest.MonkeyPatch) -> None:
    words = named_words("coco-stuff")
    files = (WEIGHTS / f"{name}.safetensors" for name in ("encoder", "class_texts", "word_rows"))
    here = module.words_fingerprint(*files, WEIGHTS)
    known = module.fit_words(WEIGHTS, here)
    assert tuple(known) == words and not module.fit_words(WEIGHTS, "of others")
    words_of = embedded.words
    space = module.WordSpace(embedded.encoder.class_rows, words_of.texts, words_of.vectors, words_of.learned)
    assert torch.allclose(torch.stack(list(known.values())), space.encode(words), atol=1e-5, rtol=0)
    fresh = EmbeddedBase()
    monkeypatch.setattr(module.ClassTexts, "similarity", lambda *args: pytest.fail("computed"))
    began = time.perf_counter()
    fresh.encode(words)
    assert time.perf_counter() - began < 0.02


def test_shipped_vectors_are_the_encoder_s_to_its_rounding() -> None:
    table, encode = module.read_table(WEIGHTS / module.TABLE), module.TextEncoder(WEIGHTS)
    words = ("person", "wall-brick", "tench", "Tinca tinca", "crt screen", "traffic light")
    halves = torch.stack([encode(word) for word in words])
    shipped = torch.stack([table[word] for word in words])
    assert torch.allclose(halves, shipped, atol=5e-4, rtol=0)
    encode.model.load_state_dict(text_tensors())
    wholes = torch.stack([encode(word) for word in words])
    assert torch.allclose(wholes, shipped, atol=1e-6, rtol=0)


def test_a_word_does_not_depend_on_its_company(embedded: EmbeddedBase) -> None:
    words = list(named_words("coco-stuff"))

    def encode(words: list[str]) -> torch.Tensor:
        of = embedded.words
        space = module.WordSpace(embedded.encoder.class_rows, of.texts, of.vectors, of.learned)
        return space.encode(words)

    several = encode([*words[60:], *words[:60]])
    alone = torch.cat([encode([word]) for word in (words[0], words[60], words[100], words[-1])])
    assert torch.equal(several[[111, 0, 40, 110]], alone)


@pytest.mark.parametrize("words", ["a\nb", "a\nb\nc\nd"])
def test_a_table_of_another_length(tmp_path: Path, words: str) -> None:
    for name in ("text.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(WEIGHTS / name)
    save(tmp_path / "words.safetensors", {"vectors": torch.zeros(3, 384)}, {"words": words})
    with pytest.raises(WeightsError, match="is no table of words"):
        module.TextVectors(tmp_path)(["a"])


def test_without_a_table_words_are_encoded(embedded: EmbeddedBase, tmp_path: Path) -> None:
    for name in ("text.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(WEIGHTS / name)
    found = module.TextVectors(tmp_path)(["bicycle"])
    assert torch.allclose(found, embedded.words.vectors(["bicycle"]), atol=5e-4, rtol=0)


def test_the_fingerprint_of_texts_covers_every_file(tmp_path: Path) -> None:
    for name in ("text.safetensors", "tokenizer.json", "words.safetensors"):
        (tmp_path / name).symlink_to(WEIGHTS / name)
    found = {module.text_fingerprint(tmp_path)}
    assert found == {module.text_fingerprint(WEIGHTS)}
    save(tmp_path / "words.safetensors.new", {"vectors": torch.zeros(1, 384)}, {"words": "a"})
    (tmp_path / "words.safetensors.new").replace(tmp_path / "words.safetensors")
    found.add(module.text_fingerprint(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").write_text("{}")
    found.add(module.text_fingerprint(tmp_path))
    (tmp_path / "text.safetensors").unlink()
    save(tmp_path / "text.safetensors", {"words.weight": torch.zeros(1)}, {})
    found.add(module.text_fingerprint(tmp_path))
    assert len(found) == 4


def test_siblings_are_near_but_do_not_mean_the_thing_itself(embedded: EmbeddedBase) -> None:
    siblings = embedded.words.siblings("mug")
    assert 10 < len(siblings) <= 40
    assert torch.allclose(siblings.norm(dim=1), torch.ones(len(siblings)), atol=1e-5)
    plain = module.WordSpace(embedded.encoder.class_rows, embedded.words.texts, embedded.words.vectors)
    mug = plain.encode(["mug"])[0]
    assert (siblings @ mug).max() <= 0.5
    everything = embedded.words.sibling_classes("mug", near=1.1)
    assert len(everything) == 40 > len(siblings)
    rows = torch.nn.functional.normalize(embedded.words.rows[everything], dim=1)
    assert (rows @ mug).max() > 0.5


def test_competitors_by_kind(embedded: EmbeddedBase) -> None:
    siblings, bank = embedded.space.padded(embedded.words.siblings("bird")), embedded.bank
    assert bank.shape == (512, embedded.dim)
    assert embedded.competitors("bird", "none").shape == (0, embedded.dim)
    assert torch.equal(embedded.competitors("bird", "siblings"), siblings)
    assert torch.equal(embedded.competitors("bird", "bank"), bank)
    assert torch.equal(embedded.competitors("bird", "both"), torch.cat((siblings, bank)))


def test_a_text_too_long_to_be_read_whole_is_an_error(embedded: EmbeddedBase) -> None:
    with pytest.raises(VocabularyError, match="more than 256 tokens") as caught:
        embedded.encode(["犬 " * 299])
    assert caught.value.exit_code == 3


def test_similarity_by_hand() -> None:
    # Class 0 has two names, of which the better counts; every other class none: -1.
    texts = module.ClassTexts(
        names=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        owner=torch.tensor([0, 0]),
        glosses=torch.tensor([[0.6, 0.8]]).repeat(module.CLASSES, 1),
        both=torch.tensor([[0.0, 1.0]]).repeat(module.CLASSES, 1),
    )
    found = texts.similarity(torch.tensor([[0.0, 1.0]]))
    assert found[0, :2].tolist() == pytest.approx([(1 + 0.8 + 1) / 3, (-1 + 0.8 + 1) / 3])


def test_every_class_has_one_line_of_names() -> None:
    names = module.imagenet_names()
    assert len(names) == 1000 and names[0] == ("tench", "Tinca tinca") and names[504] == ("coffee mug",)
