"""The trainer: every method runs, a training that was cut off goes on as if it had not been."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ovss_personal.errors import InputError, UsageError, WeightsError
from ovss_personal.pss.adapt import NETWORK, STATE, Photos, adapt
from ovss_personal.pss.album import grouped_photos, source_photos
from ovss_personal.pss.methods import METHODS, AdaptConfig
from ovss_personal.pss.runtime import accelerator_for
from ovss_personal.store.tensors import read_with_metadata

CONFIG = AdaptConfig(backbone="lite2", iterations=4, batch=2, crop=64, learning_rate=0.05, save_every=2)


@pytest.fixture
def photos(source: Path, album: Path) -> Photos:
    target = grouped_photos(album)
    return Photos(source_photos(source, grouped=True), target, target[:3])


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize(("step", "rule"), [(1, "intended"), (2, "compat")])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(tiny, photos: Photos, tmp_path: Path, method: str, step: int, rule: str) -> None:  # type: ignore[no-untyped-def]
    config = replace(CONFIG, method=method, step=step, rule=rule, iterations=1)
    before = weights(tiny)
    adapt(config, tiny, photos, tmp_path / "run", accelerator=accelerator_for("cpu", "no"))
    assert "main.weight" in changed(before, weights(tiny))
    assert not tiny.training
    tensors, metadata = read_with_metadata(tmp_path / "run" / NETWORK)
    assert not changed(tensors, tiny.state_dict())
    assert json.loads(metadata["training"])["method"] == method


def test_it_learns_the_source(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from ovss_personal.pss.evaluate import evaluate_album, logits_of

    config = replace(CONFIG, method="no-da", iterations=40, save_every=100, learning_rate=0.5)
    before = evaluate_album(logits_of(tiny.eval()), photos.source, photos.source, side=48)
    adapt(config, tiny, photos, tmp_path / "run", accelerator=accelerator_for("cpu", "no"))
    after = evaluate_album(logits_of(tiny), photos.source, photos.source, side=48)
    assert after.class_iou[0] > 0.7 > before.class_iou[0]


def test_a_training_that_was_cut_off_goes_on(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from copy import deepcopy

    accelerator = accelerator_for("cpu", "no")
    first, second, third = tiny, deepcopy(tiny), deepcopy(tiny)
    adapt(CONFIG, first, photos, tmp_path / "whole", accelerator=accelerator)

    def cut_off(done: int, total: int, stage: str) -> None:
        if done == 3:  # after the state of iteration 2
            raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        adapt(CONFIG, second, photos, tmp_path / "cut", accelerator=accelerator, progress=cut_off)
    assert read_with_metadata(tmp_path / "cut" / STATE)[1]["iteration"] == "2"
    adapt(CONFIG, third, photos, tmp_path / "cut", accelerator=accelerator)
    assert not changed(first.state_dict(), third.state_dict())
    one, other = (read_with_metadata(tmp_path / run / STATE)[0] for run in ("whole", "cut"))
    assert one.keys() == other.keys() and not changed(one, other)


def test_the_scale_of_half_precision_goes_on_too(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from copy import deepcopy

    def trained(network: torch.nn.Module, out: str, config: AdaptConfig) -> dict[str, float]:
        accelerator = accelerator_for("cpu", "no")
        # As on a GPU in half precision; the scale doubles after every three steps of an optimiser.
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
        adapt(config, network, photos, tmp_path / out, accelerator=accelerator)
        return accelerator.scaler.state_dict()

    config = replace(CONFIG, method="no-da", save_every=1)
    whole = trained(deepcopy(tiny), "whole", config)
    tensors, metadata = read_with_metadata(tmp_path / "whole" / STATE)
    assert whole["scale"] == tensors["scaler.scale"].item() == 8.0
    assert whole["_growth_tracker"] == 1
    # Nothing is left to do, so what is there now was restored.
    assert metadata["iteration"] == "4" and trained(deepcopy(tiny), "whole", config) == whole


def test_an_interruption_saves_first(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def press(done: int, total: int, stage: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            adapt(CONFIG, tiny, photos, tmp_path / "run", accelerator=accelerator_for("cpu", "no"), progress=press)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert read_with_metadata(tmp_path / "run" / STATE)[1]["iteration"] == "2"


def test_other_settings_do_not_go_on(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    accelerator = accelerator_for("cpu", "no")
    adapt(CONFIG, tiny, photos, tmp_path, accelerator=accelerator)
    with pytest.raises(UsageError, match="begun with another seed"):
        adapt(replace(CONFIG, seed=5), tiny, photos, tmp_path, accelerator=accelerator)
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(WeightsError, match="cannot be read"):
        adapt(CONFIG, tiny, photos, tmp_path, accelerator=accelerator)


def test_a_loss_that_is_not_finite_stops_it(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tiny.main.weight.data.fill_(torch.nan)
    with pytest.raises(InputError, match="the source loss stopped being finite in iteration 1"):
        adapt(CONFIG, tiny, photos, tmp_path, accelerator=accelerator_for("cpu", "no"))
    assert not (tmp_path / STATE).exists()


def test_the_logs_are_tensorboard_s(tiny, photos: Photos, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    adapt(
        CONFIG, tiny, photos, tmp_path, accelerator=accelerator_for("cpu", "no"), on_save=lambda i, n: {"FIoU": i / 8}
    )
    events = event_accumulator.EventAccumulator(str(tmp_path / "logs")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("FIoU")] == [(2, 0.25), (4, 0.5)]
    assert {f"loss/{name}" for name in ("source", "target", "discriminators_source")} <= set(events.Tags()["scalars"])


def test_the_presets() -> None:
    assert (AdaptConfig().learning_rate, AdaptConfig().weight_decay, AdaptConfig().keep) == (2.5e-4, 1e-4, 0.5)
    compat = AdaptConfig.preset("compat", keep=0.7)
    assert (compat.learning_rate, compat.weight_decay, compat.keep) == (2.5e-3, 5e-4, 0.7)
    second = AdaptConfig.preset("compat", step=2)
    assert [second.uses_pseudo_labels(i) for i in range(3)] == [True, False, True]
    assert AdaptConfig(step=2).uses_pseudo_labels(1) and not AdaptConfig().uses_pseudo_labels(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "--method must be one of no-da, adaptseg"),
        ({"crop": 100}, "--crop must be a multiple of 8"),
        ({"batch": 1}, "--batch must be 2 or more"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0"),
        ({"keep": 0.0}, "--keep must be above 0"),
        ({"iterations": 300_000}, "--horizon must be no smaller than the iterations"),
    ],
)
def test_settings_out_of_range(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AdaptConfig(**change)
