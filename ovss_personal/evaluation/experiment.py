"""An experiment as one flat YAML: which methods are measured on which benchmark, with which base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ovss_personal.config import BaseConfig, FieldError, FitConfig, require
from ovss_personal.errors import ConfigError, UsageError
from ovss_personal.evaluation.methods import COMPETITORS, SEGGPT, Method, ablated, known_methods
from ovss_personal.settings import check_keys, read_mapping

BASE_KEYS = tuple(option.name for option in fields(BaseConfig) if option.name != "base")
FIT_KEYS = ("alpha", "learning_rate", "iterations", "lambda_z", "lambda_m")
NOT_IN_YAML = ("options", "trust_base")
MAX_VALUES = 100  # of a key that takes several
MAX_SHOTS = 10_000
TABLES = (1, 2, 4, 6, 7)  # of the paper


@dataclass(frozen=True)
class Experiment:
    """What a YAML of `configs/experiments/` says; raises ConfigError for a value of the wrong type or range.

    Attributes:
        manifest: path of a benchmark's manifest.json, from the working folder.
        base: a base's name or YAML.
        options: of the base, as in `BaseConfig`; in the YAML they stand beside the other keys. Those that are left out
            are the base's own.
        methods: names; empty is all but SegGPT, another model, whose weights few have, and competitors on a
            base whose own fit has none.
        shots, seeds: numbers of shots K and seeds of the fit.
        alpha, learning_rate, iterations, lambda_z, lambda_m: as in `FitConfig`, for every method that is fitted; of
            several values, each is measured. Empty is the method's own.
        table: of the paper, whose numbers the report puts beside ours.
        by_concept: whether the report also has a table with a row for each concept.
        trust_base: as `load_base`'s trust; never in a YAML.
    """

    manifest: str
    base: str = "embedded"
    options: Mapping[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    shots: tuple[int, ...] = (1, 3, 5)
    seeds: tuple[int, ...] = (0,)
    alpha: tuple[float, ...] = ()
    learning_rate: tuple[float, ...] = ()
    iterations: tuple[int, ...] = ()
    lambda_z: tuple[float, ...] = ()
    lambda_m: tuple[float, ...] = ()
    table: int | None = None
    by_concept: bool = False
    trust_base: bool = False

    def __post_init__(self) -> None:
        for name in ("manifest", "base"):
            value = getattr(self, name)
            require(isinstance(value, str) and bool(value.strip()), name, value, "text")
        BaseConfig(**self.options)
        names = known_methods(FitConfig(), FitConfig())
        for name in ("methods", "shots", "seeds", *FIT_KEYS):
            values = getattr(self, name)
            require(len(values) <= MAX_VALUES, name, values, f"at most {MAX_VALUES} values")
        for method in self.methods:
            require(isinstance(method, str) and method in names, "methods", method, f"among {', '.join(names)}")
        for name in ("shots", "seeds"):
            values = getattr(self, name)
            least, most = (1, MAX_SHOTS) if name == "shots" else (0, 2**63 - 1)
            require(
                bool(values) and all(type(value) is int and value >= least for value in values),
                name,
                list(values),
                f"whole numbers from {least} up",
            )
            require(max(values) <= most, name, list(values), f"at most {most}")
        for name, values in self._fit_values().items():
            for value in values:
                try:
                    FitConfig(**{name: value})
                except FieldError as error:
                    raise FieldError(name, value, error.expected) from None
        require(
            self.table is None or (type(self.table) is int and self.table in TABLES),
            "table",
            self.table,
            f"one of {TABLES}",
        )
        require(isinstance(self.by_concept, bool), "by_concept", self.by_concept, "true or false")

    def base_options(self) -> dict[str, Any]:
        """What `load_base` is called with."""
        trust = {"trust": True} if self.trust_base else {}
        return {"name_or_yaml": self.base, **trust, **self.options}

    def chosen(self, default: FitConfig, paper: FitConfig) -> tuple[Method, ...]:
        """The methods, every value of an ablation as one of its own; `default` and `paper` as in `known_methods`."""
        values = self._fit_values()
        fixed = {name: of[0] for name, of in values.items() if len(of) == 1}
        varied = {name: of for name, of in values.items() if len(of) > 1}
        known = known_methods(default, paper, fixed)
        # SegGPT is another model, whose weights few have; an album, few benchmarks have.
        left_out = {SEGGPT} if default.has_competitors else {SEGGPT, COMPETITORS}
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
    listed = {key.name for key in fields(Experiment) if str(key.type).startswith("tuple")}
    check_keys(path, lines, {key.name for key in fields(Experiment) if key.name not in NOT_IN_YAML} | set(BASE_KEYS))
    if "manifest" not in values:
        raise ConfigError(
            "'manifest' is missing.", path=path, hint="Build a benchmark, then add: manifest: FOLDER/manifest.json"
        )
    given: dict[str, Any] = {key: _as_tuple(value) if key in listed else value for key, value in values.items()}
    given["options"] = {key: given.pop(key) for key in BASE_KEYS if key in given}
    try:
        return Experiment(**given)
    except FieldError as error:
        raise error.at(path, lines, values) from None


def overridden(experiment: Experiment, options: Mapping[str, Any], **given: Any) -> Experiment:
    """The experiment with what a command line gave, None being nothing. Raises UsageError for an impossible value.

    Args:
        options: of the base; those of the experiment that are not among them stay.
        given: other fields.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        return replace(experiment, options={**experiment.options, **options}, **changes)
    except FieldError as error:
        raise UsageError(error.message) from None


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
