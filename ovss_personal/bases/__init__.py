"""The frozen bases, by name."""

from __future__ import annotations

import dataclasses
import difflib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ovss_personal.config import BaseConfig, FitConfig, load_config
from ovss_personal.errors import UsageError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

# Name -> (module, class, one line about it). Resolved when loaded, so that listing them costs nothing.
BASES = {
    "embedded": (
        "ovss_personal.bases.embedded.base",
        "EmbeddedBase",
        "small, runs anywhere from PyPI alone; objects, not stuff",
    ),
}


def load_base(name_or_yaml: str | Path = "embedded", *, device: str | None = None, tiles: int | None = None) -> Base:
    """Load a frozen base by name, or from a YAML of settings.

    Args:
        name_or_yaml: a key of `BASES`, or the path of a YAML (see `configs/bases/`). In a YAML, `base` may also be
            the dotted path of a class of your own, `package.module.Class`, called with (BaseConfig, FitConfig).
        device: as torch names it; overrides the YAML.
        tiles: overrides the YAML.

    Raises:
        UsageError: no base of that name, or the device is not there.
        ConfigError: the YAML is broken.
        WeightsError: the weights are missing or corrupt.
    """
    text = str(name_or_yaml)
    if text.endswith((".yaml", ".yml")):
        config, fit = load_config(text)
        fit_defaults: FitConfig | None = fit
    elif text in BASES:
        config, fit_defaults = BaseConfig(base=text), None
    else:
        raise _unknown(text)
    if device is not None:
        config = dataclasses.replace(config, device=device)
    if tiles is not None:
        config = dataclasses.replace(config, tiles=tiles)
    _check_device(config.device)
    if config.base in BASES:
        module, cls, _ = BASES[config.base]
    elif "." in config.base:
        module, _, cls = config.base.rpartition(".")
    else:
        raise _unknown(config.base)
    try:
        factory = getattr(import_module(module), cls)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"the base '{config.base}' cannot be imported ({error}).") from error
    base: Base = factory(config, fit_defaults)
    return base


def _unknown(name: str) -> UsageError:
    close = difflib.get_close_matches(name, BASES, n=1)
    return UsageError(
        f"there is no base '{name}'.",
        hint=f"did you mean '{close[0]}'?" if close else f"the bases are: {', '.join(BASES)}; or name a .yaml file.",
    )


def _check_device(device: str) -> None:
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise UsageError(f"'{device}' is not a device.", hint=f"devices here: {', '.join(there)}.") from None
    if wanted.type not in {d.split(":")[0] for d in there} or (wanted.index or 0) >= max(1, len(there) - 1):
        raise UsageError(f"the device '{device}' is not on this machine.", hint=f"devices here: {', '.join(there)}.")
