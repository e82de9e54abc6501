"""What the paper compares, by the paper's names; nearly all are settings of one and the same fit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ovss_personal.config import FitConfig

Kind = Literal["text", "fit", "knn", "seggpt"]
TEXT = "text"
FULL = "full"
COMPETITORS = "full+competitors"
SEGGPT = "seggpt"


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Attributes:
        name: in tables and results.
        kind: text: no personalisation, the class word stands for the personal one; fit: the paper's head; knn:
            retrieval among the shots' proposals; seggpt: another model, with the shots in its context.
        config: of the fit; None for the other kinds.
        album: whether the fit sees the concept's unlabelled photos.
    """

    name: str
    kind: Kind
    config: FitConfig | None = None
    album: bool = False


def known_methods(
    default: FitConfig, paper: FitConfig, changes: Mapping[str, float] | None = None
) -> dict[str, Method]:
    """Name -> method, in the order of the tables.

    Args:
        default: the base's own settings of a fit (`Base.fit_defaults`), which COMPETITORS has; siblings, which
            every base has, are switched on if it has no competitors.
        paper: the paper's method on that base (`Base.paper_defaults`), which all others vary.
        changes: settings of the fit that take the place of the paper's and the base's.
    """
    paper = replace(paper, **(changes or {}))  # type: ignore[arg-type]
    ours = default if default.has_competitors else replace(default, competitors="siblings", negative=False)
    fits = {
        # Nothing is learned that takes part: one iteration is as good as 200.
        "visual": replace(paper, visual="replace", negative=False, iterations=1),
        "prompt": replace(paper, visual="none", negative=False),
        "prompt+visual": replace(paper, negative=False),
        "prompt+negative": replace(paper, visual="none"),
        FULL: paper,
        COMPETITORS: replace(ours, **(changes or {})),  # type: ignore[arg-type]
    }
    methods = [Method(TEXT, "text"), *(Method(name, "fit", config) for name, config in fits.items())]
    methods += [Method(f"{name}+album", "fit", fits[name], album=True) for name in (FULL, COMPETITORS)]
    return {method.name: method for method in (*methods, Method("knn", "knn"), Method(SEGGPT, "seggpt"))}


def ablated(method: Method, values: Mapping[str, Sequence[float]]) -> list[Method]:
    """The method with every combination of these values of its fit's settings; itself if it has no fit.

    >>> full = known_methods(FitConfig(), FitConfig())["full"]
    >>> [method.name for method in ablated(full, {"alpha": (0.1, 0.2), "iterations": (50,)})]
    ['full, alpha 0.1, iterations 50', 'full, alpha 0.2, iterations 50']
    """
    if method.config is None or not values:
        return [method]
    combinations = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    return [
        replace(
            method,
            name=", ".join([method.name, *(f"{key} {value:g}" for key, value in row.items())]),
            config=replace(method.config, **row),  # type: ignore[arg-type]
        )
        for row in combinations
    ]
