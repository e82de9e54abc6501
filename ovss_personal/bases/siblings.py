"""Names of kinds of things near to a given one, for bases that hide such names among the words they compare with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ovss_personal.bases.embedded.base import WEIGHTS, load
from ovss_personal.bases.embedded.encoder import Encoder
from ovss_personal.bases.embedded.words import ClassTexts, WordSpace

CLASSES = Path(__file__).parent / "embedded" / "imagenet_classes.txt"  # a class a line: its names, the usual one first


def sibling_names(class_name: str, count: int = 40) -> tuple[str, ...]:
    """ImageNet classes whose names and definitions are nearest to `class_name`, nearest first.

    Of the `count` nearest, those that mean the thing itself are left out (`WordSpace.sibling_classes`): "mug" has the
    siblings coffeepot, cup, teapot and so on, but not coffee mug. Kinds of the thing may be among them: a beagle is a
    sibling of "dog".

    Raises:
        VocabularyError: the class name is too long to be read.
        WeightsError: the text encoder's weights are missing or broken.
    """
    names = CLASSES.read_text("utf-8").splitlines()
    nearest = _space().sibling_classes(class_name, count).tolist()
    return tuple(dict.fromkeys(names[index].split(", ")[0] for index in nearest))  # two classes are called crane


@cache
def _space() -> WordSpace:
    texts = load(WEIGHTS / "class_texts.safetensors")
    owner = texts.pop("owner").long()
    rows = Encoder().class_rows.detach()
    return WordSpace(rows, ClassTexts(owner=owner, **{name: tensor.float() for name, tensor in texts.items()}))
