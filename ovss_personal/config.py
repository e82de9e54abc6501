"""The settings of a base and of a fit, and their reading from one flat YAML.

A YAML holds keys of `BaseConfig` and `FitConfig` side by side (no key is in both). What it leaves out of the former
keeps its default; of the latter, what the base has for its own fits. Anything else in it is an error that names the
key and its line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from ovss_personal.errors import ConfigError
from ovss_personal.settings import check_keys, read_mapping
from ovss_personal.text import brief

Competitors = Literal["none", "siblings", "bank", "both"]
VisualMode = Literal["inject", "none", "replace"]
Dtype = Literal["float32", "bfloat16", "float16"]


def _told(
    help: str, *, bounds: tuple[int, int] | None = None, path: bool = False, changes_output: bool = False
) -> dict[str, Any]:
    """What is known of a field of `BaseConfig` beside its type and default.

    Args:
        help: what the command line says of it.
        bounds: the least and the greatest number.
        path: whether it is one.
        changes_output: whether a concept that was learned with it can only be used with the same value.
    """
    return {"help": help, "bounds": bounds, "path": path, "changes_output": changes_output}


@dataclass(frozen=True)
class BaseConfig:
    """Which frozen base to load, and how. Raises ConfigError for a value of the wrong type or range.

    The one declaration of these options: the command line, the YAMLs and `load_base` all take them from here.

    Attributes:
        base: name of a base that the program ships, or the dotted path of a class.
        device: as torch names it, e.g. `cpu`, `cuda:0`.
        tiles: overlapping crops that are passed beside the whole image, at most 64; 0 is none.
        weights: a file or folder to read the weights from in place of the base's own.
        bank: a file of competitors (`ovss-personal competitors build`), in place of the base's own, if any.
        dtype: precision of the network; scores are float32.
        offline: open no connection, even if weights are missing.
        low_memory: keep on the device only the part of the network that is at work. Slower, the same result; ODISE
            takes part, the other bases are small.
    """

    base: str = field(
        default="embedded",
        metadata=_told("A base's name (see `ovss-personal bases`) or a YAML file."),
    )
    device: str = field(
        default="cpu",
        metadata=_told("cpu, cuda, cuda:1, …; the base's own if left out."),
    )
    tiles: int = field(
        default=0,
        metadata=_told(
            "Overlapping crops to look at as well: finds small objects, takes longer.",
            bounds=(0, 64),
            changes_output=True,
        ),
    )
    weights: str | None = field(
        default=None,
        metadata=_told(
            "Read the base's weights from this file (ODISE: folder), not where they are kept.",
            path=True,
            changes_output=True,
        ),
    )
    bank: str | None = field(
        default=None,
        metadata=_told(
            "Competitors from this file (see `ovss-personal competitors build`).",
            path=True,
            changes_output=True,
        ),
    )
    dtype: Dtype = field(
        default="float32",
        metadata=_told("Precision of the base; the base's own if left out.", changes_output=True),
    )
    offline: bool = field(
        default=False,
        metadata=_told("Open no connection, even if weights have to be downloaded first."),
    )
    low_memory: bool = field(
        default=False,
        metadata=_told("Keep only the part of a large base on the GPU that is at work; slower."),
    )

    def __post_init__(self) -> None:
        _check_types(self)
        require(bool(self.base.strip()), "base", self.base, "a name")
        require(bool(self.device.strip()), "device", self.device, "a device such as 'cpu'")
        for option in fields(self):
            if option.metadata["bounds"]:
                least, most = option.metadata["bounds"]
                value = getattr(self, option.name)
                require(least <= value <= most, option.name, value, f"from {least} to {most}")


@dataclass(frozen=True)
class FitConfig:
    """How a concept is fitted. Raises ConfigError for a value of the wrong type or range.

    The defaults are the paper's; what is better for a base is the base's to say (`Base.fit_defaults`).

    Attributes:
        alpha: share of the visual embedding in the personal word, in [0, 1].
        learning_rate: of AdamW, in (0, 1].
        iterations: steps, from 1 to 100,000.
        lambda_z: weight of the negative embedding's loss, eq. 3; at most a million, as lambda_m.
        lambda_m: weight of the negative mask's loss, eq. 5.
        competitors: which embeddings compete with the personal word.
        visual: whether the visual embedding is mixed in, left out, or replaces the learned one.
        negative: whether the negative mask takes part at inference.
        threshold: share of a pixel above which it is personal, in (0, 1); None is the base's own, which
            leave-one-out moves.
        unique: whether a photo holds at most one of it, so that only the likeliest thing can be it; None: if every shot
            shows it in one piece, which the base sees as one. A concept without competitors cannot be.
        views: a fit on fewer pictures than this, at most 64, is filled up with mirrored, closer and farther views of
            its shots.
        seed: of everything random in the fit.
    """

    alpha: float = 0.1
    learning_rate: float = 5e-4
    iterations: int = 200
    lambda_z: float = 0.1
    lambda_m: float = 10.0
    competitors: Competitors = "none"
    visual: VisualMode = "inject"
    negative: bool = True
    threshold: float | None = None
    unique: bool | None = None
    views: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_types(self)
        require(0 <= self.alpha <= 1, "alpha", self.alpha, "in [0, 1]")
        require(0 < self.learning_rate <= 1, "learning_rate", self.learning_rate, "above 0 and at most 1")
        require(1 <= self.iterations <= 100_000, "iterations", self.iterations, "from 1 to 100000")
        require(0 <= self.lambda_z <= 1e6, "lambda_z", self.lambda_z, "from 0 to 1000000")
        require(0 <= self.lambda_m <= 1e6, "lambda_m", self.lambda_m, "from 0 to 1000000")
        if self.threshold is not None:
            require(0 < self.threshold < 1, "threshold", self.threshold, "in (0, 1)")
        require(1 <= self.views <= 64, "views", self.views, "from 1 to 64")
        require(0 <= self.seed < 2**63, "seed", self.seed, "0 or more and below 2**63")

    @property
    def has_competitors(self) -> bool:
        """Whether the concept is scored against competitors, apart from the open words."""
        return self.competitors != "none"


def load_config(path: str | Path) -> tuple[BaseConfig, dict[str, Any]]:
    """Read the settings of a base, and those of a fit that are given, from one flat YAML file.

    Returns:
        the base's; and name -> value of fields of `FitConfig`, sound but for their place in one.

    Raises:
        ConfigError: the file cannot be read, is not YAML or not a mapping, or holds an unknown key, a key
            twice, or a value of the wrong type or range.
    """
    path = Path(path)
    values, lines = read_mapping(path)
    base_keys, fit_keys = ({f.name for f in fields(cls)} for cls in (BaseConfig, FitConfig))
    check_keys(path, lines, base_keys | fit_keys)
    fit = {key: value for key, value in values.items() if key in fit_keys}
    try:
        FitConfig(**fit)
        return BaseConfig(**{key: value for key, value in values.items() if key in base_keys}), fit
    except FieldError as error:
        raise error.at(path, lines, values) from None


class FieldError(ConfigError):
    """A ConfigError that knows its field, so that the reader of a file can add the line."""

    def __init__(self, field: str, value: object, expected: str):
        super().__init__(f"{field} must be {expected}, not {brief(value)}.")
        self.field = field
        self.expected = expected

    def at(self, path: Path, lines: Mapping[str, int], values: Mapping[str, Any]) -> ConfigError:
        """The same error, of a file that has the field in one of its lines."""
        hint = None
        if re.fullmatch(r"[-+]?\d+e[-+]?\d+", brief(values[self.field]).strip("'"), re.IGNORECASE):
            hint = "YAML takes a number with an exponent for text unless it has a dot: 5.0e-4, not 5e-4."
        return ConfigError(f"line {lines[self.field]}: {self.message}", path=path, hint=hint)


def require(holds: bool, field: str, value: object, expected: str) -> None:
    """Raises FieldError unless the value is as expected."""
    if not holds:
        raise FieldError(field, value, expected)


def _check_types(config: BaseConfig | FitConfig) -> None:
    """Hold every field to its annotation, with one leniency: a whole number is a fine float."""
    hints = get_type_hints(type(config))
    for name, hint in hints.items():
        value = getattr(config, name)
        choices = [item for item in get_args(hint) if isinstance(item, str)]
        if choices:
            require(value in choices, name, value, f"one of {', '.join(choices)}")
            continue
        kinds = get_args(hint) or (hint,)
        if float in kinds and type(value) is int and abs(value) < 2**53:
            value = float(value)
            object.__setattr__(config, name, value)  # frozen: the only way in, and only from __post_init__
        expected = " or ".join(_KIND_NAMES[kind] for kind in kinds)
        # `type is`, because True is an int to isinstance.
        require(type(value) in kinds, name, value, expected)
        require(type(value) is not float or math.isfinite(value), name, value, "finite")


_KIND_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}
