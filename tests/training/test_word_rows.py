from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.encoder import Encoder
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.bases.embedded.pooling import contrast_pool
from ovss_personal.bases.embedded.word_rows import WordRows
from ovss_personal.bases.embedded.words import ClassTexts, TextVectors, WordSpace
from ovss_personal.training import word_rows as module
from ovss_personal.training.word_rows import class_shifts, embed, instances, learn, learn_kinds


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(WEIGHTS / "encoder.safetensors")


def test_a_class_moves_to_where_its_masks_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 32, generator=generator)
    rows = rows - rows.mean(0)
    aside = F.normalize(torch.randn(6, 32, generator=generator), dim=1)
    # Masks of four classes: each lies between its row and a direction that the classifier knows nothing of.
    owner = torch.arange(400) % 4
    noise = 0.1 * torch.randn(400, 32, generator=generator)
    masks = F.normalize(F.normalize(rows, dim=1)[owner] + aside[owner] + noise, dim=1)
    seen, shifts = class_shifts(rows, masks)
    assert seen.tolist() == [0, 1, 2, 3, 4, 5]
    moved = rows.index_add(0, seen, shifts)
    for k in range(4):
        assert F.cosine_similarity(moved[k], aside[k], dim=0) > F.cosine_similarity(rows[k], aside[k], dim=0) + 0.2
    assert shifts[4:].norm(dim=1).max() < shifts[:4].norm(dim=1).min()


def test_kinds_are_told_apart_by_more_than_their_means() -> None:
    generator = torch.Generator().manual_seed(0)
    # What all masks share is long, what tells the kinds apart is short.
    owner = torch.arange(300) % 3
    masks = 0.3 * torch.eye(16)[owner] + 0.4 * torch.randn(300, 1, generator=generator) * torch.ones(16)
    masks = F.normalize(masks + 0.15 * torch.randn(300, 16, generator=generator), dim=1)
    text = F.normalize(torch.randn(3, 16, generator=generator), dim=1)

    def right(vectors: torch.Tensor) -> float:
        return float(((masks @ vectors.T).argmax(1) == owner).float().mean())

    found = learn_kinds(masks, owner, text, torch.tensor([True, True, False]))
    assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    assert right(found) > right(text) + 0.1
    again = learn_kinds(masks, owner, torch.cat((text[:2], -text[2:])), torch.tensor([True, True, False]))
    assert torch.equal(found, again)  # the third kind's text does not count


def write_set(folder: Path, name: str, count: int) -> None:
    (folder / name / "images").mkdir(parents=True)
    (folder / name / "masks").mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        mask = np.zeros((40, 60), np.uint8)
        mask[5:25, 10:30], mask[30:38, 40:55], mask[0, 0], mask[:, 59] = 1, 2, 3, 255
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(folder / name / "images" / f"p{i}.jpg")
        Image.fromarray(mask).save(folder / name / "masks" / f"p{i}.png")


def test_every_mask_large_enough_is_embedded_as_a_proposal_is(tmp_path: Path, encoder: Encoder) -> None:
    write_set(tmp_path, "voc_sbd", 4)
    write_set(tmp_path, "others", 1)
    found = instances(encoder, tmp_path)
    names = ["others/p0", "voc_sbd/p0", "voc_sbd/p3"]  # one photo in three of the larger set
    assert list(found) == [(name, n) for name in names for n in (1, 2)]
    base = EmbeddedBase()
    image = np.asarray(Image.open(tmp_path / "others" / "images" / "p0.jpg"))
    mask = np.asarray(Image.open(tmp_path / "others" / "masks" / "p0.png")) == 1
    ((row),) = embed(encoder, image, [mask])
    assert torch.allclose(row, found["others/p0", 1], atol=1e-5)  # sums of other lengths
    with torch.no_grad():
        (view,) = base._views([image])  # its features are centred by the calibration's mean
        small = np.array(Image.fromarray(mask).resize((128, 128), Image.Resampling.BOX))
        logits = torch.where(torch.from_numpy(small), 12.0, -12.0)[None]
        expected = contrast_pool(logits, view.features[:1280], torch.zeros(1280))[0]
    assert F.cosine_similarity(row, expected, dim=0) > 0.99


def test_a_folder_without_photographs(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(SystemExit, match=r"holds no SET/images/\*\.jpg"):
        instances(encoder, tmp_path)


def test_what_is_marked_twice_is_learned_and_written(tmp_path: Path, encoder: Encoder) -> None:
    rng = torch.Generator().manual_seed(0)
    found = {(f"s/{i}", 1): F.normalize(torch.randn(1280, generator=rng), dim=0) for i in range(6)}
    kinds = ("person", "person", "oven", "oven", "kite")
    marked = dict(zip(found, kinds, strict=False))
    texts = ClassTexts.load(WEIGHTS / "class_texts.safetensors")
    space = WordSpace(encoder.class_rows.detach(), texts, TextVectors(WEIGHTS))
    learned = learn(space.rows, space, found, marked)
    assert learned.kinds.shape == (2, 1280) and learned.shifts.shape == (module.SHIFTED, 1280)
    module.write(tmp_path / "rows.safetensors", learned)
    read = WordRows.load(tmp_path / "rows.safetensors")
    assert torch.equal(read.owner, learned.owner) and torch.equal(read.seen, learned.seen)
    assert torch.allclose(read.kinds, learned.kinds, atol=1e-3)
    after = WordSpace(encoder.class_rows.detach(), texts, space.vectors, read).encode(["stove", "woman"])
    assert (after[0] @ read.kinds[1]) > 0.5 and (after[1] @ read.kinds[0]) > 0.5


def test_what_is_marked_has_a_kind_with_names() -> None:
    marked, names = module.read_kinds(), module.read_names()
    first = [own[0] for own in names]
    assert first[0] == "person" and len(set(first)) == len(first)
    spelled = [name for own in names for name in own]
    assert len(set(spelled)) == len(spelled)
    counts = {kind: list(marked.values()).count(kind) for kind in set(marked.values())}
    assert set(first) <= set(counts) and {kind for kind, n in counts.items() if kind not in first} <= {
        "frisbee",
        "snowboard",
        "surfboard",
    }
