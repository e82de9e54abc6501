"""An experiment as one flat YAML: which methods are measured on which benchmark, with which base."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ovss_personal.config import FieldError, FitConfig, check_keys, read_mapping, require
from ovss_personal.errors import ConfigError, UsageError
from ovss_personal.evaluation.methods import COMPETITORS, SEGGPT, Method, ablated, known_methods

BASE_KEYS = ("device", "tiles", "dtype", "weights", "offline", "low_memory")
FIT_KEYS = ("alpha", "learning_rate", "iterations", "lambda_z", "lambda_m")
TABLES = (1, 2, 4, 6, 7)  # of the paper


@dataclass(frozen=True)
class Experiment:
    """What a YAML of `configs/experiments/` says; raises ConfigError for a value of the wrong type or range.

    Attributes:
        manifest: path of a benchmark's manifest.json, from the working folder.
        base: a base's name or YAML.
        device, tiles, dtype, weights, offline, low_memory: as in `BaseConfig`; None is the base's own.
        methods: names; empty is all but SegGPT, another model, whose weights few have, and hidden competitors on a
            base whose own fit has none.
        shots, seeds: numbers of shots K and seeds of the fit.
        alpha, learning_rate, iterations, lambda_z, lambda_m: as in `FitConfig`, for every method that is fitted; of
            several values, each is measured. Empty is the method's own.
        table: of the paper, whose numbers the report puts beside ours.
    """

    manifest: str
    base: str = "embedded"
    device: str | None = None
    tiles: int | None = None
    dtype: str | None = None
    weights: str | None = None
    offline: bool | None = None
    low_memory: bool | None = None
    methods: tuple[str, ...] = ()
    shots: tuple[int, ...] = (1, 3, 5)
    seeds: tuple[int, ...] = (0,)
    alpha: tuple[float, ...] = ()
    learning_rate: tuple[float, ...] = ()
    iterations: tuple[int, ...] = ()
    lambda_z: tuple[float, ...] = ()
    lambda_m: tuple[float, ...] = ()
    table: int | None = None

    def __post_init__(self) -> None:
        for name in ("manifest", "base"):
            value = getattr(self, name)
            require(isinstance(value, str) and bool(value.strip()), name, value, "text")
        names = known_methods(FitConfig())
        for method in self.methods:
            require(method in names, "methods", method, f"among {', '.join(names)}")
        for name in ("shots", "seeds"):
            values = getattr(self, name)
            least = 1 if name == "shots" else 0
            require(
                bool(values) and all(type(value) is int and value >= least for value in values),
                name,
                list(values),
                f"whole numbers from {least} up",
            )
        for name, values in self._fit_values().items():
            for value in values:
                try:
                    FitConfig(**{name: value})
                except FieldError as error:
                    raise FieldError(name, value, error.expected) from None
        require(self.table is None or self.table in TABLES, "table", self.table, f"one of {TABLES}")

    def base_options(self) -> dict[str, Any]:
        """What `load_base` is called with."""
        return {"name_or_yaml": self.base, **{key: getattr(self, key) for key in BASE_KEYS}}

    def chosen(self, default: FitConfig) -> tuple[Method, ...]:
        """The methods, every value of an ablation as one of its own; `default` as in `known_methods`."""
        values = self._fit_values()
        fixed = {name: of[0] for name, of in values.items() if len(of) == 1}
        varied = {name: of for name, of in values.items() if len(of) > 1}
        known = known_methods(default, fixed)
        # SegGPT is another model, whose weights few have; an album, few benchmarks have.
        left_out = {SEGGPT} if default.hidden else {SEGGPT, COMPETITORS}
        names = self.methods or [name for name, method in known.items() if not (name in left_out or method.album)]
        return tuple(one for name in names for one in ablated(known[name], varied))

    def _fit_values(self) -> dict[str, tuple[Any, ...]]:
        return {name: getattr(self, name) for name in FIT_KEYS if getattr(self, name)}


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment's YAML.

    Raises:
        ConfigError: the file cannot be read, is not YAML or not a mapping, or holds an unknown key, a key twice, or
            a value of the wrong type or range; `manifest` is missing.
    """
    path = Path(path)
    values, lines = read_mapping(path)
    listed = {field.name for field in fields(Experiment) if str(field.type).startswith("tuple")}
    check_keys(path, lines, {field.name for field in fields(Experiment)})
    if "manifest" not in values:
        raise ConfigError(
            "'manifest' is missing.", path=path, hint="Build a benchmark, then add: manifest: FOLDER/manifest.json"
        )
    given: dict[str, Any] = {key: _as_tuple(value) if key in listed else value for key, value in values.items()}
    try:
        return Experiment(**given)
    except FieldError as error:
        raise error.at(path, lines, values) from None


def overridden(experiment: Experiment, **given: Any) -> Experiment:
    """The experiment with what a command line gave, None being nothing. Raises UsageError for an impossible value."""
    try:
        return replace(experiment, **{name: value for name, value in given.items() if value is not None})
    except FieldError as error:
        raise UsageError(error.message) from None


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
