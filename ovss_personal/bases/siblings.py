"""Names of kinds of things near to a given one, for bases that hide such names among the words they compare with."""

from __future__ import annotations

from functools import cache

from ovss_personal.bases.embedded.files import WEIGHTS, load
from ovss_personal.bases.embedded.words import ClassTexts, TextVectors, WordSpace, imagenet_names


def sibling_names(class_name: str, count: int = 40) -> tuple[str, ...]:
    """ImageNet classes whose names and definitions are nearest to `class_name`, nearest first.

    Of the `count` nearest, those that mean the thing itself are left out (`WordSpace.sibling_classes`): "mug" has the
    siblings coffeepot, cup, teapot and so on, but not coffee mug. Kinds of the thing may be among them: a beagle is a
    sibling of "dog".

    Raises:
        VocabularyError: the class name is too long to be read.
        WeightsError: the embedded base's weights are missing or broken.
    """
    names = imagenet_names()
    nearest = _space().sibling_classes(class_name, count).tolist()
    return tuple(dict.fromkeys(names[index][0] for index in nearest))  # two classes are called crane


@cache
def _space() -> WordSpace:
    rows = load(WEIGHTS / "encoder.safetensors")["classifier.weight"]
    return WordSpace(rows, ClassTexts.load(WEIGHTS / "class_texts.safetensors"), TextVectors(WEIGHTS))
