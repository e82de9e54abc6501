"""What each method trains with, and the settings of a training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from ovss_personal.errors import UsageError
from ovss_personal.pss.group_context import Context, Rule
from ovss_personal.pss.losses import (
    entropy_loss,
    image_wise_max_square,
    max_square,
    memory_regulariser,
    robust_entropy,
)
from ovss_personal.pss.network import BACKBONES, Backbone, Output

MAIN_ADVERSARIAL, AUX_ADVERSARIAL = 0.001, 0.0002
COSEGMENTATION = 0.001
FDA_BETA = 0.01  # half the swapped window's side, as a share of the photo's

TargetLoss = Callable[[Output, Rule], Tensor]
Step = Literal[1, 2]


@dataclass(frozen=True)
class Method:
    """How a method differs from training on the source alone. Every weight is its publication's.

    Attributes:
        context: what the network sees beside a photo's own features.
        aux_weight: of the auxiliary head's cross-entropy.
        adversary: what the discriminators look at.
        target: a loss of the unlabelled photos, already weighted.
        target_from: share of the iterations before it sets in.
        swaps: source photos take the low frequencies of target photos (FDA).
        cosegments: add the co-segmentation loss between each source photo and the target batch.
        rectifies: pseudo labels count by how far the two heads agree, without adversary (MRNet's second stage).
    """

    context: Context = "none"
    aux_weight: float = 0.4
    adversary: Literal["entropy", "probability"] | None = None
    target: TargetLoss | None = None
    target_from: float = 0.0
    swaps: bool = False
    cosegments: bool = False
    rectifies: bool = False

    @property
    def grouped(self) -> bool:
        """Whether a batch must hold photos of one group."""
        return self.context == "group" or self.cosegments

    @property
    def looks_at_target(self) -> bool:
        return self.adversary is not None or self.target is not None or self.cosegments


METHODS: Mapping[str, Method] = {
    "no-da": Method(),
    "adaptseg": Method(aux_weight=0.1, adversary="probability"),
    "maxsquare": Method(aux_weight=0.1, target=lambda out, rule: 0.1 * max_square(out.main, rule)),
    "maxsquare-iw": Method(aux_weight=0.1, target=lambda out, rule: 0.1 * image_wise_max_square(out.main)),
    "fda": Method(swaps=True, target=lambda out, rule: 0.005 * robust_entropy(out.main, rule=rule)),
    "minent": Method(
        aux_weight=0.1,
        target=lambda out, rule: MAIN_ADVERSARIAL * entropy_loss(out.main) + AUX_ADVERSARIAL * entropy_loss(out.aux),
    ),
    "advent": Method(adversary="entropy"),
    "mrnet": Method(
        aux_weight=0.5,
        adversary="probability",
        target=lambda out, rule: 0.1 * memory_regulariser(out.main, out.aux),
        target_from=15 / 120,
        rectifies=True,
    ),
    "coseg": Method(cosegments=True),
    "global": Method(context="global", adversary="entropy"),
    "group": Method(context="group", adversary="entropy"),
}


@dataclass(frozen=True)
class AdaptConfig:
    """How a network is adapted; the defaults are the paper's where it says, else the published code's.

    Attributes:
        method: a name in `METHODS`.
        step: 1 adapts; 2 refines what step 1 made with its own pseudo labels.
        rule: `intended`, the paper's equations, or `compat`, the published code's.
        iterations: steps of the optimisers.
        horizon: the iteration at which the learning rates would reach 0.
        batch: photos of each kind a step.
        crop: side of a training picture in pixels, a multiple of 8.
        learning_rate, weight_decay: of the segmenter's SGD.
        discriminator_rate: of the discriminators' Adam.
        keep: share of photos, or of each photo's pixels, whose pseudo labels are used.
        per_pixel: choose pixels within every photo instead of whole photos.
        save_every: iterations between two saved states.
        seed: of everything random.

    Raises:
        UsageError: an unknown name, or a number out of its range.
    """

    method: str = "group"
    step: Step = 1
    rule: Rule = "intended"
    backbone: Backbone = "resnet50"
    iterations: int = 120_000
    horizon: int = 250_000
    batch: int = 8
    crop: int = 320
    learning_rate: float = 2.5e-4
    weight_decay: float = 1e-4
    discriminator_rate: float = 1e-4
    keep: float = 0.5
    per_pixel: bool = False
    save_every: int = 2_000
    seed: int = 1234

    def __post_init__(self) -> None:
        self._require("method", self.method in METHODS, f"one of {', '.join(METHODS)}")
        self._require("step", self.step in (1, 2), "1 or 2")
        self._require("rule", self.rule in ("intended", "compat"), "intended or compat")
        self._require("backbone", self.backbone in BACKBONES, f"one of {', '.join(BACKBONES)}")
        self._require("iterations", self.iterations >= 1, "1 or more")
        self._require("horizon", self.horizon >= self.iterations, "no smaller than the iterations")
        self._require("batch", self.batch >= 2, "2 or more, since batch norm sees one number a photo")
        self._require("crop", self.crop >= 64 and self.crop % 8 == 0, "a multiple of 8 from 64 on")
        for name in ("learning_rate", "discriminator_rate"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and 0 < value <= 1, "above 0 and at most 1")
        self._require("weight_decay", 0 <= self.weight_decay < 1, "from 0 to 1")
        self._require("keep", 0 < self.keep <= 1, "above 0 and at most 1")
        self._require("save_every", self.save_every >= 1, "1 or more")
        self._require("seed", 0 <= self.seed < 2**32, "0 or more and below 2**32")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} must be {expected}, not {getattr(self, name)!r}.")

    @classmethod
    def preset(cls, rule: Rule, **changes: Any) -> AdaptConfig:
        """The defaults of a rule, with the given fields changed."""
        defaults: dict[str, Any] = {"rule": rule}
        if rule == "compat":
            defaults |= {"learning_rate": 2.5e-3, "weight_decay": 5e-4, "keep": 0.6}
        return cls(**(defaults | changes))

    @property
    def recipe(self) -> Method:
        return METHODS[self.method]

    def uses_pseudo_labels(self, iteration: int) -> bool:
        """`compat` looks at them in every second iteration, `intended` in all."""
        return self.step == 2 and (self.rule == "intended" or iteration % 2 == 0)

    def to_json(self) -> str:
        return json.dumps(asdict(self))
