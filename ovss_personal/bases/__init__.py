"""The frozen bases, by name."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.config import BaseConfig, load_config
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
    "san_vit_b_16": ("ovss_personal.bases.san.base", "SanViTB16", "SAN, ViT-B/16; objects and stuff; a download"),
    "san_vit_large_14": ("ovss_personal.bases.san.base", "SanViTLarge14", "SAN, ViT-L/14; slower, better; a download"),
    "odise_label": (
        "ovss_personal.bases.odise.base",
        "OdiseLabel",
        "ODISE, trained on labels; objects and stuff; slow; a download, not for commercial use",
    ),
    "odise_caption": (
        "ovss_personal.bases.odise.base",
        "OdiseCaption",
        "ODISE, trained on captions; objects and stuff; slow; a download, not for commercial use",
    ),
    "odise_tiny": (
        "ovss_personal.bases.odise.base",
        "OdiseTiny",
        "ODISE, reduced and without training: for tests, it sees nothing in particular",
    ),
}

# What a class of one's own must have.
METHODS = ("encode", "propose", "word_scores", "competitors")
ATTRIBUTES = (
    *("name", "fingerprint", "config", "device", "fit_defaults", "paper_defaults"),
    *("traits", "num_proposals", "dim", "extra_words"),
)
_ASKED_FOR = "ovss_personal/bases/base.py says what a base has."

# Name -> (the extra that installs what the base needs beside the program, modules of that).
_SAN, _ODISE = ("san", "open_clip"), ("odise", "diffusers", "open_clip")
EXTRAS: dict[str, tuple[str, ...]] = {
    "san_vit_b_16": _SAN,
    "san_vit_large_14": _SAN,
    "odise_label": _ODISE,
    "odise_caption": _ODISE,
    "odise_tiny": _ODISE,
}


def load_base(name_or_yaml: str | Path = "embedded", *, trust: bool = False, **options: Any) -> Base:
    """Load a frozen base by name, or from a YAML of settings.

    Args:
        name_or_yaml: a key of `BASES`, or the path of a YAML (see `configs/bases/`). In a YAML, `base` may also be
            the dotted path of a class of your own, `package.module.Class`, called with a BaseConfig. What the YAML
            says of a fit is laid over the base's `fit_defaults`.
        trust: import and call the class of a dotted path, which is to run the code of whoever wrote it. Never taken
            from a file.
        options: fields of `BaseConfig` but `base`; they override the YAML. None leaves one as it is.

    Raises:
        UsageError: no base or option of that name, the device is not there, or an extra is not installed; a dotted
            path that is not trusted, or names no class with all that a base has.
        ConfigError: the YAML is broken, or an option of the wrong type or range.
        WeightsError: the weights are missing or corrupt.
        ResourceError: the disk has no room for them.
    """
    given = _given(options)
    text = str(name_or_yaml)
    if text.endswith((".yaml", ".yml")):
        config, fit = load_config(text)
    elif text in BASES:
        config, fit = BaseConfig(base=text), {}
    else:
        raise _unknown(text)
    config = dataclasses.replace(config, **given)
    _check_device(config.device)
    missing = missing_modules(config.base)
    if missing:
        raise UsageError(
            f"the base '{config.base}' needs {missing[0]}, which is not installed.",
            hint=f"pip install 'ovss-personal[{EXTRAS[config.base][0]}]'",
        )
    if config.base not in BASES:
        base = _own_base(config, trust)
    else:
        module, cls, _ = BASES[config.base]
        base = getattr(import_module(module), cls)(config)
    base.fit_defaults = dataclasses.replace(base.fit_defaults, **fit)
    return base


def _own_base(config: BaseConfig, trust: bool) -> Base:
    """A base of the user's own class. Raises UsageError unless that is trusted, there, and a base."""
    if "." not in config.base:
        raise _unknown(config.base)
    if not trust:
        raise UsageError(
            f"the base '{config.base}' is a class that does not come with the program, and to load it runs its code.",
            hint="If you trust whoever wrote it, pass --trust-base (in Python: load_base(..., trust=True)).",
        )
    module, _, name = config.base.rpartition(".")
    try:
        cls = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(f"the base '{config.base}' cannot be imported ({error}).") from error
    if not isinstance(cls, type):
        raise UsageError(f"'{config.base}' is no class, so it is no base.", hint=_ASKED_FOR)
    _check_has(config.base, cls, METHODS)
    base: Base = cls(config)
    _check_has(config.base, base, (*METHODS, *ATTRIBUTES))
    return base


def _check_has(name: str, found: object, wanted: Sequence[str]) -> None:
    missing = [member for member in wanted if not hasattr(found, member)]
    missing += [m for m in wanted if m in METHODS and m not in missing and not callable(getattr(found, m))]
    if missing:
        raise UsageError(f"'{name}' has no {', '.join(missing)}, so it is no base.", hint=_ASKED_FOR)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say something. Raises UsageError for one that there is not."""
    known = [option.name for option in dataclasses.fields(BaseConfig) if option.name != "base"]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"a base has no option '{name}'.",
                hint=f"did you mean '{close[0]}'?" if close else f"the options are: {', '.join(known)}.",
            )
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in options.items()
        if value is not None
    }


def missing_modules(name: str) -> list[str]:
    """What the base of that name needs beside the program, and is not installed."""
    return [module for module in EXTRAS.get(name, ())[1:] if find_spec(module) is None]


def _unknown(name: str) -> UsageError:
    close = difflib.get_close_matches(name, BASES, n=1)
    return UsageError(
        f"there is no base '{name}'.",
        hint=f"did you mean '{close[0]}'?" if close else f"the bases are: {', '.join(BASES)}; or name a .yaml file.",
    )


def _check_device(device: str) -> None:
    """Raises UsageError for a device that is not on this machine."""
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise UsageError(f"'{device}' is not a device.", hint=f"devices here: {', '.join(there)}.") from None
    # Without a number it is the first of its kind.
    if (wanted.type, wanted.index or 0) not in {(d.type, d.index or 0) for d in map(torch.device, there)}:
        raise UsageError(f"the device '{device}' is not on this machine.", hint=f"devices here: {', '.join(there)}.")
