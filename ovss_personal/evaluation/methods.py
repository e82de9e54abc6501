"""What the paper's ablation compares, as settings of one and the same fit."""

from __future__ import annotations

from dataclasses import replace

from ovss_personal.config import FitConfig

TEXT_ONLY = "text only"  # no fit: the class word stands for the personal one


def methods(default: FitConfig) -> dict[str, FitConfig | None]:
    """Name -> settings (None: no fit), in the order of the paper's tables, the base's default last but one."""
    paper = FitConfig.preset("paper")
    return {
        TEXT_ONLY: None,
        "prompt": replace(paper, visual="none", negative=False),
        "prompt + visual": replace(paper, negative=False),
        "prompt + negative": replace(paper, visual="none"),
        "full, as in the paper": paper,
        "full, hidden competitors": default,
        "visual replaces text": replace(paper, visual="replace"),
    }
