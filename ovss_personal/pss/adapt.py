"""The trainer: from a labelled source to one user's unlabelled photos, by any of the methods.

One iteration adds up the gradients of a source batch, in step 2 of a pseudo-labelled batch, and of a target batch
with the discriminators frozen; then those of the discriminators. Batch norm sees the batches one by one, in this order.
Everything random depends on the seed and the iteration, so a training that was cut off goes on as if it had not been.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ovss_personal.errors import InputError, UsageError, WeightsError
from ovss_personal.pss.album import Photo
from ovss_personal.pss.batches import Batch, CropBatches
from ovss_personal.pss.checkpoint import save_network, write_tensors
from ovss_personal.pss.classes import MEAN, STD
from ovss_personal.pss.cosegmentation import cosegmentation_of_batches
from ovss_personal.pss.losses import (
    SOURCE,
    TARGET,
    domain_loss,
    entropy_map,
    poly_rate,
    rectified_loss,
    segmentation_loss,
    swap_low_frequencies,
)
from ovss_personal.pss.methods import AUX_ADVERSARIAL, COSEGMENTATION, FDA_BETA, MAIN_ADVERSARIAL, AdaptConfig
from ovss_personal.pss.network import Discriminator, Output, Segmenter
from ovss_personal.pss.runtime import interruption, training_log
from ovss_personal.store.tensors import read_with_metadata
from ovss_personal.structures import Progress

OnSave = Callable[[int, Segmenter], dict[str, float]]

STATE, NETWORK, LOGS = "state.safetensors", "network.safetensors", "logs"
_LOG_EVERY = 10
_PSEUDO_AUX = 0.4


@dataclass(frozen=True)
class Photos:
    """What is trained on.

    Attributes:
        source: labelled.
        target: the user's, unlabelled.
        pseudo: the user's with pseudo labels; for step 2.
    """

    source: Sequence[Photo]
    target: Sequence[Photo]
    pseudo: Sequence[Photo] = ()


def adapt(
    config: AdaptConfig,
    network: Segmenter,
    photos: Photos,
    out: Path,
    *,
    accelerator: Any,
    workers: int = 0,
    on_save: OnSave | None = None,
    progress: Progress | None = None,
) -> Segmenter:
    """Train `network` in place, from where the state in `out` left off if there is one.

    Writes `network.safetensors`, `state.safetensors` and TensorBoard's `logs/` below `out`, every `config.save_every`
    iterations, at the end, and when interrupted.

    Args:
        accelerator: as `runtime.accelerator_for` makes it.
        workers: processes that read photos, for each kind of batch.
        on_save: called with (iteration, network) at every save; what it returns is logged.
        progress: called with (done, total, stage).

    Raises:
        UsageError: tensorboard is not installed, or the state in `out` is of other settings.
        WeightsError: the state is broken.
        ImageError, MaskError: a photo or mask cannot be used.
        InputError: the loss stopped being finite.
        KeyboardInterrupt: after the state was saved.
    """
    torch.manual_seed(config.seed)
    trainer = _Trainer(config, network, accelerator)
    start = trainer.restore(out / STATE)
    loaders = _loaders(config, photos, start, workers, accelerator)
    main_process: bool = accelerator.is_main_process
    with training_log(out / LOGS, start, main_process) as log, interruption() as interrupted:
        for iteration, together in enumerate(zip(*loaders.values(), strict=True), start=start):
            batches = {kind: _to(b, accelerator.device) for kind, b in zip(loaders, together, strict=True)}
            losses = trainer.iterate(iteration, batches)
            done = iteration + 1
            if iteration % _LOG_EVERY == 0 or done == config.iterations:
                log(done, {f"loss/{name}": value.item() for name, value in losses.items()})
            stop = interrupted()
            if done % config.save_every == 0 or done == config.iterations or stop:
                if main_process:
                    trainer.save(out, done)
                if on_save and not stop and main_process:
                    log(done, on_save(done, network.eval()))
                accelerator.wait_for_everyone()
            if progress:
                progress(done, config.iterations, f"{config.method}, step {config.step}")
            if stop:
                raise KeyboardInterrupt
    return network.eval()


class _Trainer:
    """The networks and their optimisers, and one iteration of them."""

    def __init__(self, config: AdaptConfig, network: Segmenter, accelerator: Any) -> None:
        self.config, self.method, self.accelerator, self.network = config, config.recipe, accelerator, network
        plain = [Discriminator(), Discriminator()] if self.method.adversary else []
        sgd = torch.optim.SGD(
            network.parameters(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay
        )
        adams = [torch.optim.Adam(d.parameters(), config.discriminator_rate, betas=(0.9, 0.99)) for d in plain]
        self.plain, self.inner_optimisers = plain, [sgd, *adams]
        self.segmenter = accelerator.prepare(network)
        self.discriminators = [accelerator.prepare(d) for d in plain]
        self.optimisers = [accelerator.prepare(optimiser) for optimiser in self.inner_optimisers]

    def iterate(self, iteration: int, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """One step on batches of "source" and, where the method and step look at them, "target" and "pseudo".

        Returns the losses by name.

        Raises:
            InputError: a loss is not finite.
        """
        config, method = self.config, self.method
        torch.manual_seed(config.seed + iteration)
        self.network.train()
        images, labels = batches["source"]
        adversary = method.adversary if not (config.step == 2 and method.rectifies) else None
        self._begin(iteration)
        losses: dict[str, Tensor] = {}
        for discriminator in self.plain:
            discriminator.requires_grad_(False)

        source = self.segmenter(_under_target_light(images, batches["target"][0]) if method.swaps else images)
        self._learn("source", self._labelled_loss(source, labels, method.aux_weight), losses)
        if config.uses_pseudo_labels(iteration):
            pseudo_images, pseudo_labels = batches["pseudo"]
            self._learn("pseudo", self._pseudo_loss(self.segmenter(pseudo_images), pseudo_labels), losses)
        target = self.segmenter(batches["target"][0]) if method.looks_at_target else None
        if target is not None:
            loss = target.main.sum() * 0
            if adversary:
                for view, plain, weight in zip(
                    self._views(target), self.plain, (MAIN_ADVERSARIAL, AUX_ADVERSARIAL), strict=True
                ):
                    loss = loss + weight * domain_loss(plain(view), SOURCE)
            if method.target and iteration >= method.target_from * config.iterations:
                loss = loss + method.target(target, config.rule)
            if method.cosegments:
                loss = loss + COSEGMENTATION * cosegmentation_of_batches(source, labels, target)
            self._learn("target", loss, losses)
        if target is not None and adversary:
            for discriminator in self.plain:
                discriminator.requires_grad_(True)
            for output, domain in ((source, SOURCE), (target, TARGET)):
                views = [view.detach() for view in self._views(output)]
                verdicts = [d(view) for d, view in zip(self.discriminators, views, strict=True)]
                loss = sum((0.5 * domain_loss(verdict, domain) for verdict in verdicts), target.main.new_zeros(()))
                self._learn("discriminators_source" if domain == SOURCE else "discriminators_target", loss, losses)
        for optimiser in self.optimisers:
            optimiser.step()
        self._check(iteration, losses)
        return losses

    def _begin(self, iteration: int) -> None:
        bases = (self.config.learning_rate, *[self.config.discriminator_rate] * len(self.plain))
        for optimiser, base in zip(self.optimisers, bases, strict=True):
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = poly_rate(base, iteration, self.config.horizon)

    def _learn(self, name: str, loss: Tensor, losses: dict[str, Tensor]) -> None:
        self.accelerator.backward(loss)
        losses[name] = loss.detach()

    def _labelled_loss(self, output: Output, labels: Tensor, aux_weight: float) -> Tensor:
        return segmentation_loss(output.main, labels) + aux_weight * segmentation_loss(output.aux, labels)

    def _pseudo_loss(self, output: Output, labels: Tensor) -> Tensor:
        if not self.method.rectifies:
            return self._labelled_loss(output, labels, _PSEUDO_AUX)
        main, aux = output.main, output.aux
        return rectified_loss(main, aux, labels) + 0.5 * rectified_loss(aux, main, labels)

    def _views(self, output: Output) -> list[Tensor]:
        """What the discriminators of the main and the auxiliary head look at."""
        if self.method.adversary == "entropy":
            return [entropy_map(output.main), entropy_map(output.aux)]
        return [output.main.softmax(1), output.aux.softmax(1)]

    def _check(self, iteration: int, losses: dict[str, Tensor]) -> None:
        for name, loss in losses.items():
            if not bool(loss.isfinite()):
                raise InputError(
                    f"the {name} loss stopped being finite in iteration {iteration + 1}.",
                    hint="Give the same command a lower --learning-rate and another --out; the last state is kept.",
                )

    def save(self, out: Path, iteration: int) -> None:
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for number, discriminator in enumerate(self.plain):
            tensors |= {f"discriminator{number}.{name}": v for name, v in discriminator.state_dict().items()}
        for number, optimiser in enumerate(self.inner_optimisers):
            for index, slots in optimiser.state_dict()["state"].items():
                tensors |= {
                    f"optimiser{number}.{index}.{name}": torch.as_tensor(value)
                    for name, value in slots.items()
                    if value is not None
                }
        if self.accelerator.scaler is not None:  # half precision on a GPU
            scaler = self.accelerator.scaler.state_dict().items()
            tensors |= {f"scaler.{name}": torch.tensor(value, dtype=torch.float64) for name, value in scaler}
        metadata = {"config": self.config.to_json(), "iteration": str(iteration)}
        write_tensors(out / STATE, tensors, metadata)
        save_network(out / NETWORK, self.network, self.config.to_json())

    def restore(self, path: Path) -> int:
        """The iteration to go on from: 0 where there is no state."""
        if not path.is_file():
            return 0
        tensors, metadata = read_with_metadata(path)
        try:
            settings = json.loads(metadata["config"])
            iteration = int(metadata["iteration"])
        except (KeyError, ValueError):
            raise WeightsError("this is no state of `pss adapt`.", path=path, hint="Choose another --out.") from None
        wanted = json.loads(self.config.to_json())
        if settings != wanted:
            changed = [name for name in wanted if settings.get(name) != wanted[name]]
            raise UsageError(
                f"the training here was begun with another {', '.join(changed)}.",
                path=path.parent,
                hint="Give the settings that it was begun with, or choose another --out.",
            )
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = value
        try:
            self.network.load_state_dict(parts["network"])
            for number, discriminator in enumerate(self.plain):
                discriminator.load_state_dict(parts[f"discriminator{number}"])
            for number, optimiser in enumerate(self.inner_optimisers):
                _restore_optimiser(optimiser, parts.get(f"optimiser{number}", {}))
            if self.accelerator.scaler is not None and "scaler" in parts:
                now = self.accelerator.scaler.state_dict()
                saved = {name: type(now[name])(value.item()) for name, value in parts["scaler"].items()}
                self.accelerator.scaler.load_state_dict(saved)
        except (KeyError, RuntimeError, ValueError) as error:
            raise WeightsError(f"the state does not fit: {str(error).splitlines()[0]}.", path=path) from error
        return iteration


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state = optimiser.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict({**state, "state": slots})


def _loaders(config: AdaptConfig, photos: Photos, start: int, workers: int, accelerator: Any) -> dict[str, Any]:
    """The batches that the method and step look at; each process of several takes its own."""
    kinds = {"source": (photos.source, True)}
    if config.recipe.looks_at_target:
        kinds["target"] = (photos.target, False)
    if config.step == 2:
        kinds["pseudo"] = (photos.pseudo, True)
    count, rank = accelerator.num_processes, accelerator.process_index
    numbers = range(start * count + rank, config.iterations * count, count)
    return {
        kind: CropBatches(
            some, labelled=labelled, crop=config.crop, batch=config.batch, seed=(config.seed, number)
        ).loader(numbers, workers)
        for number, (kind, (some, labelled)) in enumerate(kinds.items())
    }


def _to(batch: Batch, device: torch.device) -> Batch:
    images, labels = batch
    return images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def _under_target_light(source: Tensor, target: Tensor) -> Tensor:
    """FDA on normalised photos, which is FDA on their pixels: it is worked out on 0 … 255."""
    mean, std = (torch.tensor(v, device=source.device)[:, None, None] for v in (MEAN, STD))
    pixels = [255 * (images * std + mean) for images in (source, target)]
    swapped: Tensor = (swap_low_frequencies(pixels[0], pixels[1], FDA_BETA) / 255 - mean) / std
    return swapped
