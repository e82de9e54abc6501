from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.files import WEIGHTS, save
from ovss_personal.bases.embedded.word_rows import NAME_TEMPERATURE, OWN_NAME, WordRows
from ovss_personal.bases.embedded.words import WordSpace, words_fingerprint
from ovss_personal.config import BaseConfig
from ovss_personal.errors import WeightsError

SHIPPED = WEIGHTS / "word_rows.safetensors"


def plain(base: EmbeddedBase) -> WordSpace:
    return WordSpace(base.encoder.class_rows.detach(), base.words.texts, base.words.vectors)


def small(**other: torch.Tensor) -> WordRows:
    tensors = {
        "seen": torch.tensor([2]),
        "shifts": torch.tensor([[0.0, 5.0]]),
        "kinds": torch.eye(2),
        "names": torch.eye(3),
        "owner": torch.tensor([0, 1, 1]),
    }
    return WordRows(**(tensors | other))


def test_a_word_is_as_near_as_the_best_of_a_kind_s_names() -> None:
    found = small().logits(torch.tensor([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]]))
    expected = [[OWN_NAME - 1 / NAME_TEMPERATURE, OWN_NAME - 0.2 / NAME_TEMPERATURE], [OWN_NAME, -9.0]]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-5)


def test_only_classes_that_were_seen_are_shifted() -> None:
    rows = torch.arange(8.0).reshape(4, 2)
    assert small().shifted(rows).tolist() == [[0, 1], [2, 3], [4, 10], [6, 7]] and rows[2, 1] == 5


def test_a_name_of_a_kind_is_that_kind_and_a_stranger_is_not(embedded: EmbeddedBase) -> None:
    learned = embedded.words.learned
    assert learned is not None
    person = learned.kinds[0]  # the first line of kind_names.txt
    near = {word: float(embedded.words.encode([word])[0] @ person) for word in ("person", "woman", "pizza", "violin")}
    assert min(near["person"], near["woman"]) > 0.8 and max(near["pizza"], near["violin"]) < 0.3


def test_general_words_are_no_longer_those_of_the_rows_alone(embedded: EmbeddedBase) -> None:
    words = ["animal", "violin"]  # names of no kind, so that the shifts alone are seen
    assert not torch.allclose(embedded.words.encode(words), plain(embedded).encode(words), atol=0.01)


def test_without_what_was_learned_words_are_mixed_of_the_rows(embedded: EmbeddedBase) -> None:
    space = plain(embedded)
    similarity = space.texts.similarity(space.vectors(["violin"]))
    by_hand = F.normalize((similarity / 0.10).softmax(1) @ space.rows, dim=1)
    assert torch.allclose(space.encode(["violin"]), by_hand, atol=1e-4)


def test_siblings_are_what_they_were(embedded: EmbeddedBase) -> None:
    assert torch.equal(embedded.words.sibling_classes("mug"), plain(embedded).sibling_classes("mug"))


def test_the_fingerprint_of_words_covers_the_file(weights: Path) -> None:
    def here() -> str:
        return EmbeddedBase(BaseConfig(weights=str(weights))).fingerprint

    def of_words(rows: Path) -> str:
        return words_fingerprint(WEIGHTS / "encoder.safetensors", WEIGHTS / "class_texts.safetensors", rows, WEIGHTS)

    without = here()
    own = weights / "word_rows.safetensors"
    save(own, asdict(small(shifts=torch.ones(1, 1280), kinds=torch.ones(2, 1280), names=torch.ones(3, 384))), {})
    assert here() != without and of_words(own) != of_words(SHIPPED)


@pytest.mark.parametrize("missing", ["seen", "kinds", "owner"])
def test_a_file_that_lacks_something_is_one_error(weights: Path, missing: str) -> None:
    own = weights / "word_rows.safetensors"
    save(own, {name: tensor for name, tensor in asdict(small()).items() if name != missing}, {})
    with pytest.raises(WeightsError, match=f"does not hold this base's tensors .*{missing}"):
        EmbeddedBase(BaseConfig(weights=str(weights)))
