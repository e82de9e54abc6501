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
    from ovss_personal.bases import load_base
    from ovss_personal.config import FitConfig
    from ovss_personal.engine.find import segment, segment_many
    from ovss_personal.engine.learn import personalize
    from ovss_personal.engine.see import Seen, SeenShot, see, see_shots
    from ovss_personal.errors import OvssError
    from ovss_personal.io.shots import load_shots
    from ovss_personal.painting.segmentation import Segmentation
    from ovss_personal.store.concept import Concept
    from ovss_personal.structures import Proposals, Shot

__version__ = "0.1.0"

__all__ = [
    "Concept",
    "FitConfig",
    "OvssError",
    "Proposals",
    "Seen",
    "SeenShot",
    "Segmentation",
    "Shot",
    "__version__",
    "load_base",
    "load_shots",
    "personalize",
    "see",
    "see_shots",
    "segment",
    "segment_many",
]

_HOME = {
    "Concept": "ovss_personal.store.concept",
    "FitConfig": "ovss_personal.config",
    "OvssError": "ovss_personal.errors",
    "Proposals": "ovss_personal.structures",
    "Seen": "ovss_personal.engine.see",
    "SeenShot": "ovss_personal.engine.see",
    "Segmentation": "ovss_personal.painting.segmentation",
    "Shot": "ovss_personal.structures",
    "load_base": "ovss_personal.bases",
    "load_shots": "ovss_personal.io.shots",
    "personalize": "ovss_personal.engine.learn",
    "see": "ovss_personal.engine.see",
    "see_shots": "ovss_personal.engine.see",
    "segment": "ovss_personal.engine.find",
    "segment_many": "ovss_personal.engine.find",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
