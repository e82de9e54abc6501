"""The methods side by side on the made-up user, start to finish: the table of pss/README.md.

    python -m ovss_personal.training.pss_one_user --out runs/pss

Photos, groups, trainings and scores go below --out; the same command goes on where it was cut off. A network learns the
source alone, from ImageNet weights; every method of step 1 goes on from it for as many iterations, `no-da` with the
source as before; step 2 fine-tunes what `group` learned.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ovss_personal.benchmarks.composites.sources import Sources, fetch
from ovss_personal.pss import synth
from ovss_personal.pss.adapt import NETWORK
from ovss_personal.pss.album import album_photos, annotated, cluster_list, grouped_photos, write_list
from ovss_personal.pss.checkpoint import load_network
from ovss_personal.pss.evaluate import evaluate_album, logits_of
from ovss_personal.pss.grouping import group_photos, photo_features
from ovss_personal.pss.methods import AdaptConfig, Step
from ovss_personal.pss.run import Task, adapt_album
from ovss_personal.pss.tables import Result, paper_tables, user_row, user_table
from ovss_personal.store.files import atomic_write

RUNS: tuple[tuple[str, Step], ...] = (("no-da", 1), ("advent", 1), ("global", 1), ("group", 1), ("group", 2))
SOURCE_GROUPS, OCCASIONS = 24, 10


@dataclass(frozen=True)
class Plan:
    """One run of the experiment.

    Attributes:
        first: iterations on the source alone.
        iterations: of every method after it.
        side: the shorter side of a photo in evaluation.
    """

    out: Path
    first: int
    iterations: int
    crop: int = 96
    batch: int = 8
    side: int = 160
    learning_rate: float = 4e-2
    seed: int = 1234
    device: str = "cpu"

    def config(self, method: str, step: Step, iterations: int, learning_rate: float) -> AdaptConfig:
        return AdaptConfig(
            method=method,
            step=step,
            backbone="lite2",
            iterations=iterations,
            horizon=2 * iterations,
            batch=self.batch,
            crop=self.crop,
            learning_rate=learning_rate,
            save_every=max(1, iterations // 4),
            seed=self.seed,
        )


def make_data(out: Path, sources: Sources) -> tuple[Path, Path]:
    """The source and the album, both grouped, below `out`; made unless they are there."""
    source, album = out / synth.SOURCE, out / synth.ALBUM
    if not (album / "val_all.txt").is_file():
        synth.build(out, sources, occasions=OCCASIONS)
    for folder, groups in ((source, SOURCE_GROUPS), (album, OCCASIONS)):
        if cluster_list(folder) is None:
            photos = album_photos(folder)
            grouped = group_photos(photos, photo_features(photos), groups)
            write_list(folder / f"train_cluster{groups}.txt", grouped, folder)
    return source, album


def run(plan: Plan, source: Path, album: Path) -> list[Result]:
    """Train and score every method; results are kept as JSON in `plan.out`."""
    photos, truth = grouped_photos(album), annotated(album)
    learned = plan.out / "source-only"
    _train(plan, Task(plan.config("no-da", 1, plan.first, plan.learning_rate), source, album, learned))
    results = []
    for method, step in RUNS:
        out = plan.out / f"{method}-step{step}"
        # Where the schedule before it ended.
        config = plan.config(method, step, plan.iterations, plan.learning_rate / 2**step)
        weights = (plan.out / "group-step1" if step == 2 else learned) / NETWORK
        _train(plan, Task(config, source, album, out, weights=weights, side=plan.side))
        network = load_network(out / NETWORK, device=plan.device)
        scores = evaluate_album(logits_of(network), photos, truth, side=plan.side, device=plan.device)
        groups = len({photo.group for photo in photos})
        users = {album.name: user_row(scores)}
        result = Result(method, step, "lite2", network.config.context, groups, "personal", users)
        atomic_write(plan.out / f"{out.name}.json", json.dumps(result.to_json(), indent=1).encode())
        results.append(result)
    return results


def _train(plan: Plan, task: Task) -> None:
    bar: tqdm[Any]
    with tqdm(total=task.config.iterations, desc=task.out.name) as bar:
        adapt_album(task, device=plan.device, progress=lambda done, total, stage: _show(bar, done, stage))


def _show(bar: tqdm[Any], done: int, stage: str) -> None:
    if stage != "segment":
        bar.update(done - bar.n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data, trainings and results")
    parser.add_argument("--first", type=int, default=800, help="iterations on the source alone")
    parser.add_argument("--iterations", type=int, default=150, help="of every method after it")
    parser.add_argument("--stamps", type=Path, help="folder that holds the unpacked Debian packages (default: fetch)")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    source, album = make_data(args.out, Sources(args.stamps) if args.stamps else fetch())
    results = run(Plan(args.out, args.first, args.iterations, seed=args.seed, device=args.device), source, album)
    for result in results:
        print(f"\n{result.row}\n\n{user_table(result)}")
    print(f"\n{paper_tables(results)}")


if __name__ == "__main__":
    main()
