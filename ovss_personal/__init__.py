"""Teach a frozen open-vocabulary segmenter a personal concept ("my mug") from one to five photos.

::

    import ovss_personal as op

    base = op.load_base("embedded")
    concept = op.personalize(base, op.load_shots("my_bird/"), concept="my bird", class_name="bird")
    concept.save_pretrained("concepts/my_bird")
    result = op.segment(base, "garden.jpg", words=["bird", "tree"], concepts=[concept])
    result.overlay().save("out.png")

Every name below is imported when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovss_personal.config import FitConfig
    from ovss_personal.engine.api import load_base, load_shots, personalize, segment
    from ovss_personal.errors import OvssError
    from ovss_personal.painting.segmentation import Segmentation
    from ovss_personal.store.concept import Concept
    from ovss_personal.structures import Proposals, Shot

__version__ = "0.1.0"

__all__ = [
    "Concept",
    "FitConfig",
    "OvssError",
    "Proposals",
    "Segmentation",
    "Shot",
    "__version__",
    "load_base",
    "load_shots",
    "personalize",
    "segment",
]

_HOME = {
    "Concept": "ovss_personal.store.concept",
    "FitConfig": "ovss_personal.config",
    "OvssError": "ovss_personal.errors",
    "Proposals": "ovss_personal.structures",
    "Segmentation": "ovss_personal.painting.segmentation",
    "Shot": "ovss_personal.structures",
    "load_base": "ovss_personal.engine.api",
    "load_shots": "ovss_personal.engine.api",
    "personalize": "ovss_personal.engine.api",
    "segment": "ovss_personal.engine.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
