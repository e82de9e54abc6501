"""One adaptation from folders to a folder: lists, pseudo labels, the training, and its scores as it goes."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from ovss_personal.errors import UsageError
from ovss_personal.pss.adapt import NETWORK, Photos, adapt
from ovss_personal.pss.album import Photo, annotated, cluster_list, grouped_photos, read_list, source_photos
from ovss_personal.pss.checkpoint import load_network, save_network
from ovss_personal.pss.evaluate import evaluate_album, logits_of
from ovss_personal.pss.methods import AdaptConfig
from ovss_personal.pss.network import NetworkConfig, Segmenter
from ovss_personal.pss.pixels import EVALUATION_SIDE
from ovss_personal.pss.pseudo_labels import EASY, make_pseudo_labels
from ovss_personal.pss.runtime import Precision, accelerator_for
from ovss_personal.store.files import atomic_write, locked
from ovss_personal.structures import Progress

SCORES, BEST = "scores.json", "best.safetensors"
Row = dict[str, float]


@dataclass(frozen=True)
class Task:
    """What is adapted to what.

    Attributes:
        config: how.
        source: the labelled source's folder.
        album: the user's.
        out: where everything goes.
        weights: a network to start from; step 2 makes its pseudo labels with it.
        groups: which of the album's lists of groups.
        side: the shorter side of a photo in evaluation, in pixels.
        imagenet: start the encoder from ImageNet weights where `weights` are not given.
    """

    config: AdaptConfig
    source: Path
    album: Path
    out: Path
    weights: Path | None = None
    groups: int | None = None
    side: int = EVALUATION_SIDE
    imagenet: bool = True


def adapt_album(
    task: Task,
    *,
    device: str = "cpu",
    precision: Precision = "no",
    workers: int = 0,
    evaluates: bool = False,
    progress: Progress | None = None,
) -> list[Row]:
    """Train, or go on with, one adaptation; returns the scores of its saves, if it `evaluates`, as shares in [0, 1].

    The scores are those of fixed iterations. Beside the last network, `best.safetensors` keeps the one whose
    FIoU or MIoU was the highest so far, which is how published numbers were chosen.

    Raises:
        UsageError: the album or source has no groups and the method needs them, or step 2 has no `weights`.
        WeightsError: the network to start from cannot be loaded.
        OutputError: another process is writing to `task.out`.
    """
    config = task.config
    accelerator = accelerator_for(device, precision)
    grouped = config.recipe.grouped
    if grouped and cluster_list(task.album, task.groups) is None:
        raise UsageError(
            "the album has no groups, which this method needs.",
            path=task.album,
            hint=f"Run: ovss-personal pss group {task.album}",
        )
    source, target = source_photos(task.source, grouped=grouped), grouped_photos(task.album, task.groups)
    truth = annotated(task.album) if evaluates else []
    with locked(task.out) if accelerator.is_main_process else nullcontext():
        start, pseudo = _start(task), []
        if config.step == 2:
            with accelerator.main_process_first():
                pseudo = _pseudo_labelled(task, target, device, progress)
        history = _read_history(task.out / SCORES)

        def on_save(iteration: int, network: Segmenter) -> Row:
            predict = logits_of(network)
            scores = evaluate_album(predict, target, truth, side=task.side, device=accelerator.device)
            history[:] = [row for row in history if row["iteration"] < iteration]
            row = {"iteration": float(iteration), "fiou": scores.fiou, "miou": scores.miou}
            if any(all(row[name] > old[name] for old in history) for name in ("fiou", "miou")):
                save_network(task.out / BEST, network, config.to_json())
            history.append(row)
            atomic_write(task.out / SCORES, json.dumps(history).encode())
            return {"album/FIoU": scores.fiou, "album/MIoU": scores.miou}

        adapt(
            config,
            start,
            Photos(_apart(source, grouped), _apart(target, grouped), _apart(pseudo, grouped)),
            task.out,
            accelerator=accelerator,
            workers=workers,
            on_save=on_save if evaluates else None,
            progress=progress,
        )
    return history


def _start(task: Task) -> Segmenter:
    """The network that the training begins with."""
    config = task.config
    torch.manual_seed(config.seed)  # the heads start from random weights
    wanted = NetworkConfig(config.backbone, config.recipe.context, config.rule)
    if config.step == 2 and task.weights is None:
        raise UsageError("step 2 needs step 1's network.", hint=f"Pass --weights STEP1/{NETWORK}.")
    # The published step 2 begins at ImageNet again; its --weights only make the pseudo labels.
    if task.weights is None or (config.step == 2 and config.rule == "compat"):
        return Segmenter(wanted, imagenet=task.imagenet and not (task.out / NETWORK).is_file())
    trained = load_network(task.weights, config.backbone)
    network = Segmenter(wanted)
    network.load_state_dict(trained.state_dict())
    return network


def _pseudo_labelled(task: Task, target: list[Photo], device: str, progress: Progress | None) -> list[Photo]:
    """The photos with pseudo labels: those that an earlier start of this training made, or new ones."""
    if (task.out / EASY).is_file():
        return read_list(task.out / EASY, task.album, task.out)
    assert task.weights is not None  # `_start` has seen to it
    network = load_network(task.weights, task.config.backbone, device)
    return make_pseudo_labels(
        logits_of(network),
        target,
        task.album,
        task.out,
        task.config,
        side=task.side,
        device=device,
        progress=progress,
    )


def _apart(photos: list[Photo], grouped: bool) -> list[Photo]:
    """As they are, or all in one group where the method takes no notice of groups."""
    return photos if grouped else [Photo(photo.image, photo.mask) for photo in photos]


def _read_history(path: Path) -> list[Row]:
    return json.loads(path.read_text()) if path.is_file() else []
