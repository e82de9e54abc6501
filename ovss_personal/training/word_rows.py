"""Learn from photographs with instance masks what words look like: `word_rows.safetensors` of the embedded base.

    python -m ovss_personal.training.word_rows --photos PHOTOS --out ovss_personal/bases/embedded/weights

PHOTOS holds sets, SET/images/NAME.jpg with SET/masks/NAME.png: grey, 0 background, 1 … instances, 255 unknown. Two
things are learned, both of the true masks' embeddings, whatever the decoder is:

* the 1000 classes' shifts, without any label: the ridge regression of the classifier's own verdict on each mask;
* vectors of the kinds that `kinds.txt` tells of (SET/NAME instance kind, marked by eye), by softmax regression from the
  mean embedding of a kind. `kind_names.txt` has a line of names for each kind that is learned, the kind itself first.

Afterwards COCO-Stuff's words are placed anew. Minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ovss_personal.bases.embedded.base import square
from ovss_personal.bases.embedded.encoder import Encoder, normalise
from ovss_personal.bases.embedded.files import WEIGHTS, save
from ovss_personal.bases.embedded.pooling import contrast_pool
from ovss_personal.bases.embedded.word_rows import WordRows
from ovss_personal.bases.embedded.words import ClassTexts, TextVectors, WordSpace
from ovss_personal.training.carry_weights import place_fit_words

KINDS = Path(__file__).parent / "kinds.txt"
KIND_NAMES = Path(__file__).parent / "kind_names.txt"
LEAST_SHARE = 0.004  # of a photo; smaller masks fall between the cells of the feature map
EVERY = {"voc_sbd": 3, "ccp_person": 2, "weizmann_horses": 2}  # one photo in so many; these sets have few kinds
SIZE = 128  # of a mask

# Chosen on five folds of the marked photos and on cut-outs of 92 other kinds, which get worse if shifts are longer.
SHARPNESS = 45.0
RIDGE = 10.0
SHIFT = 10.0
SHIFTED = 400  # classes; the others are hardly ever seen
SCALE = 20.0
DECAY = 3e-3
STEPS = 60
RATE = 2e-3
TEXT = 4.0  # weight of what the text says of a kind, beside its mean embedding
LEAST = 2  # instances of a kind, or it is not learned

Instance = tuple[str, int]  # SET/NAME, and the number in the mask


def instances(encoder: Encoder, folder: Path) -> dict[Instance, Tensor]:
    """Of every mask that is large enough its embedding (1280,), unit norm. Exits unless there is one."""
    found: dict[Instance, Tensor] = {}
    for path in tqdm(list(photos(folder)), desc="photos", mininterval=5):
        with Image.open(path) as image, Image.open(path.parents[1] / "masks" / f"{path.stem}.png") as stored:
            pixels, mask = np.asarray(image.convert("RGB")), np.asarray(stored)
        own = [n for n in np.unique(mask).tolist() if 0 < n < 255 and (mask == n).mean() > LEAST_SHARE]
        if own:
            name = f"{path.parents[1].name}/{path.stem}"
            embeddings = embed(encoder, pixels, [mask == n for n in own])
            found |= {(name, n): row for n, row in zip(own, embeddings, strict=True)}
    if not found:
        raise SystemExit(f"{folder} holds no SET/images/*.jpg with SET/masks/*.png and a thing in them.")
    return found


def photos(folder: Path) -> Iterator[Path]:
    for images in sorted(folder.glob("*/images")):
        yield from sorted(images.glob("*.jpg"))[:: EVERY.get(images.parent.name, 1)]


@torch.inference_mode()
def embed(encoder: Encoder, image: np.ndarray, masks: Sequence[np.ndarray]) -> Tensor:
    """(H, W, 3) uint8 and N of (H, W) bool -> (N, 1280), unit norm."""
    _, dense = encoder(normalise(torch.from_numpy(square(image)).permute(2, 0, 1)[None]))
    small = [Image.fromarray(m.astype(np.uint8) * 255).resize((SIZE, SIZE), Image.Resampling.BOX) for m in masks]
    logits = torch.stack([torch.from_numpy(np.asarray(m).astype(np.float32)) for m in small]) - 127.5
    # The mean of features, which calibration measures, cancels out where all of the outside is subtracted.
    return contrast_pool(logits.clamp(-12, 12), dense[0], dense.new_zeros(dense.shape[1]))


def class_shifts(rows: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """The classes that embeddings show best, and how far their rows have to move.

    Shape: centred rows (1000, D), embeddings (N, D) -> (SHIFTED,), (SHIFTED, D).
    """
    verdict = (SHARPNESS * embeddings @ F.normalize(rows, dim=1).T).softmax(1)
    gram = embeddings.T @ embeddings + RIDGE * torch.eye(embeddings.shape[1])
    shifts = SHIFT * torch.linalg.solve(gram, embeddings.T @ (verdict - verdict.mean(0))).T
    seen = shifts.norm(dim=1).topk(min(SHIFTED, len(rows))).indices.sort().values
    return seen, shifts[seen]


def learn_kinds(embeddings: Tensor, kinds: Tensor, text: Tensor, known: Tensor) -> Tensor:
    """One vector a kind, so that a softmax over them tells marked masks apart.

    Shape: (N, D), (N,) int64, (K, D) what the text says of each kind -> (K, D), unit norm.

    Args:
        known: (K,) bool; the text of the others is wrong about them and does not count.
    """
    means = torch.stack([F.normalize(embeddings[kinds == k].mean(0), dim=0) for k in range(len(text))])
    start = F.normalize(means + TEXT * known[:, None] * text, dim=1)
    change = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=RATE)
    for _ in range(STEPS):
        logits = SCALE * embeddings @ F.normalize(start + change, dim=1).T
        loss = F.cross_entropy(logits, kinds) + DECAY * change.square().sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return F.normalize(start + change.detach(), dim=1)


def read_kinds(path: Path = KINDS) -> dict[Instance, str]:
    """Lines "SET/NAME instance kind" -> the kind of each instance."""
    lines = [line.split(" ", 2) for line in path.read_text("utf-8").splitlines()]
    return {(name, int(number)): kind for name, number, kind in lines}


def read_names(path: Path = KIND_NAMES) -> list[list[str]]:
    return [line.split(", ") for line in path.read_text("utf-8").splitlines()]


def learn(rows: Tensor, space: WordSpace, found: Mapping[Instance, Tensor], marked: Mapping[Instance, str]) -> WordRows:
    """
    Args:
        rows: (1000, D) centred rows of the classifier.
        space: words mixed of these rows alone.
        found: embeddings of all masks.
        marked: the kinds of some.
    """
    seen, shifts = class_shifts(rows, torch.stack(list(found.values())))
    corrected = WordRows(seen, shifts, rows[:0], torch.zeros(0, 384), seen[:0])
    counts = {kind: sum(marked.get(one) == kind for one in found) for kind in set(marked.values())}
    names = [own for own in read_names() if counts.get(own[0], 0) >= LEAST]
    index = {own[0]: k for k, own in enumerate(names)}
    chosen = [one for one in found if marked.get(one) in index]
    text = WordSpace(rows, space.texts, space.vectors, corrected).encode([own[0] for own in names])
    kinds = learn_kinds(
        torch.stack([found[one] for one in chosen]),
        torch.tensor([index[marked[one]] for one in chosen]),
        text,
        torch.tensor([own[0] != "person" for own in names]),  # of which ImageNet has three professions
    )
    spelled = [(name, k) for k, own in enumerate(names) for name in own]
    vectors = space.vectors([name for name, _ in spelled])
    return WordRows(seen, shifts, kinds, vectors, torch.tensor([k for _, k in spelled]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of sets of photographs with masks")
    parser.add_argument("--out", type=Path, required=True, help="folder of weights to write into")
    args = parser.parse_args()
    encoder = Encoder.load(WEIGHTS / "encoder.safetensors")
    texts = ClassTexts.load(WEIGHTS / "class_texts.safetensors")
    space = WordSpace(encoder.class_rows.detach(), texts, TextVectors(WEIGHTS))
    write(args.out / "word_rows.safetensors", learn(space.rows, space, instances(encoder, args.photos), read_kinds()))
    place_fit_words(args.out)


def write(path: Path, learned: WordRows) -> None:
    tensors = {name: tensor.half() for name, tensor in vars(learned).items() if tensor.is_floating_point()}
    whole = {"seen": learned.seen.short(), "owner": learned.owner.short()}
    save(path, {**tensors, **whole}, {"source": "true masks of photographs; see training/word_rows.py"})


if __name__ == "__main__":
    main()
