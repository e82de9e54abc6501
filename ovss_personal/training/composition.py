"""Does "apple on my bird" find the apple on my bird, and not the one on the bird beside it? (The paper's section 5.2.)

    python -m ovss_personal.training.composition [--base embedded] [--stamps FOLDER] [--birds 24]

Two birds of Stamps^per stand side by side, one of them mine, and the same small thing lies on the back of each. The
concept is learned from the benchmark's five shots. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ovss_personal.bases import load_base
from ovss_personal.benchmarks.composites.sources import RGB, SHOT_BACKGROUNDS, Sources, fetch
from ovss_personal.benchmarks.stamps import WORDS, Painter
from ovss_personal.engine.find import Finder, way_of
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import see
from ovss_personal.evaluation.metrics import PersonalCounts, mean_and_interval
from ovss_personal.painting.grid import to_grid
from ovss_personal.painting.pieces import grow
from ovss_personal.structures import BoolMask, Proposals, Shot

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.store.concept import Concept

SHOTS = 5
# Things that no decoder was trained on and that words of the benchmark name. All of them would lie on a bird's back.
THINGS = {
    "apple": "food/fruit/apple_red",
    "banana": "food/fruit/banana",
    "lemon": "food/fruit/lemon",
    "orange": "food/fruit/orange",
    "pineapple": "food/fruit/pineapple",
    "strawberry": "food/fruit/strawberry",
}
NAME = "my bird"
PLAIN, PHRASE, BESIDE, NEAR = "plain words", "phrase", "phrase, the plain word beside it", "plain words, by touch"


@dataclass
class Found:
    """What one way of asking found over the pictures of one bird.

    Attributes:
        counts: pixels of the thing on my bird.
        equal: pixels of its equal on the other bird: how many there are, and how many were found.
    """

    counts: PersonalCounts = field(default_factory=PersonalCounts)
    equal: PersonalCounts = field(default_factory=PersonalCounts)


@dataclass
class BirdResult:
    """One bird: what was found by each way of asking, and in how many pictures the better proposal ranks first.

    `ranked` counts the pictures in which the best proposal of the thing on my bird scores higher than the best one of
    its equal, for the phrase; half of them is what chance gives.
    """

    found: dict[str, Found]
    ranked: int = 0
    pictures: int = 0


def measure(base: Base, sources: Sources, birds: int = 24, seed: int = 0) -> Iterator[BirdResult]:
    """Bird after bird of Stamps^per, each with every thing in both orders. Same seed, same pictures."""
    painter = Painter(sources)
    names = sources.stamps("birds")
    for index, target in enumerate(sorted(np.random.default_rng([seed, 1]).permutation(names)[:birds].tolist())):
        shots = [_shot(*picture) for picture in _shots(painter, target, seed, index)]
        concept = personalize(base, shots, concept=NAME, class_name="bird")
        rng = np.random.default_rng([seed, 3, index])
        others = [name for name in names if name != target]
        result = BirdResult({way: Found() for way in (PLAIN, PHRASE, BESIDE, NEAR)})
        for word, thing in THINGS.items():
            for image, mine, equal in painter.touching(rng, target, str(rng.choice(others)), thing):
                _ask(base, concept, word, image, mine, equal, result)
        yield result


def _shots(painter: Painter, target: str, seed: int, index: int) -> list[tuple[RGB, BoolMask]]:
    """The very shots of the benchmark, which draws them first from this generator."""
    rng = np.random.default_rng([seed, 2, index])
    return [painter.single(rng, target, SHOT_BACKGROUNDS, corner=False) for _ in range(SHOTS)]


def _shot(image: RGB, mask: BoolMask) -> Shot:
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    return Shot(image=image, mask=mask, name=digest[:8], sha256=digest)


def _ask(
    base: Base, concept: Concept, word: str, image: RGB, mine: BoolMask, equal: BoolMask, result: BirdResult
) -> None:
    seen, phrase = see(base, image), f"{word} on {NAME}"
    others = [other for other in WORDS if other != word]
    plain = Finder(base, [word, *others], [concept]).find(seen)
    masks = {PLAIN: plain.mask(word), NEAR: touching_parts(plain.mask(word), plain.mask(NAME))}
    for way, words in ((PHRASE, [phrase, *others]), (BESIDE, [phrase, word, *others])):
        masks[way] = Finder(base, words, [concept]).find(seen).mask(phrase)
    for way, mask in masks.items():
        result.found[way].counts.add(mask, mine)
        result.found[way].equal.add(mask, equal)
    score = Finder(base, [phrase, *others], [concept]).score(seen.proposals).words[:, 0]
    result.ranked += bool(score[best_proposal(seen.proposals, mine)] > score[best_proposal(seen.proposals, equal)])
    result.pictures += 1


def best_proposal(proposals: Proposals, truth: BoolMask) -> int:
    """Which proposal has the largest IoU with the truth (H, W), on the proposals' grid."""
    masks = proposals.masks > 0
    target = to_grid(truth, proposals.canvas, masks)
    iou = (masks & target).flatten(1).sum(1) / (masks | target).flatten(1).sum(1).clamp(min=1)
    return int(iou.argmax())


def touching_parts(mask: BoolMask, owner: BoolMask) -> BoolMask:
    """Those connected parts of the mask (H, W) that come within a hundredth of the longer side of `owner` (H, W)."""
    from skimage.measure import label

    parts = label(mask, connectivity=1)  # type: ignore[no-untyped-call]
    near = np.unique(parts[grow(owner, max(1, max(mask.shape) // 100)) & mask])
    return np.isin(parts, near[near > 0])


def table(results: Sequence[BirdResult]) -> str:
    """Markdown: percent, mean over the birds and 95 % bootstrap interval."""
    lines = ["| asked for | IoU | precision | recall | of its equal |", "|---|---|---|---|---|"]
    for way in results[0].found:
        found = [result.found[way] for result in results]
        iou, low, high = mean_and_interval([100 * one.counts.iou for one in found])
        columns = [
            [one.counts.precision for one in found],
            [one.counts.recall for one in found],
            [one.equal.recall for one in found],
        ]
        rest = " | ".join(f"{100 * mean_and_interval(column)[0]:.1f}" for column in columns)
        lines.append(f"| {way} | {iou:.1f} [{low:.1f}, {high:.1f}] | {rest} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="embedded", help="a base's name, or a YAML")
    parser.add_argument("--stamps", type=Path, help="where the Debian packages are unpacked; fetched if left out")
    parser.add_argument("--birds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    base = load_base(args.base)
    sources = Sources(args.stamps) if args.stamps else fetch()
    results = list(tqdm(measure(base, sources, args.birds, args.seed), total=args.birds, desc="birds", disable=None))
    pictures = sum(result.pictures for result in results)
    print(f"{len(results)} birds, {pictures} pictures; composed by the {way_of(base)} way\n\n{table(results)}")
    ranked = sum(result.ranked for result in results)
    print(f"\nThe proposal on my bird scores higher than its equal in {ranked} of {pictures} pictures.")


if __name__ == "__main__":
    main()
