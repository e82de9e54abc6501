"""What the values of a mask mean: which are the object, which are void. The rule is told in `pixels.masks`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import MaskError, OvssWarning

BoolMask = npt.NDArray[np.bool_]  # (H, W)
Labels = npt.NDArray[Any]  # (h, w) bool or integers

VOID = 255
WHITES = (255, 65535)  # of 8 and of 16 bits
MOST_LABEL = 32  # of 255; a value up to here may be the number of a class, one above is a grey
UNSURE = (112, 143)  # of 255; greys from the one to the other say neither object nor background
_NEAR_WHITE = VOID - MOST_LABEL
_DARK, _LIGHT = 64, 191  # of 255; what blurring and JPEG make of black and of white
_FEW = 8  # values that a picture holds; one with more was blurred
_LISTED = 8  # values in a message

OPTIONS = "Choose the object's value with --label, and what does not count with --ignore."


class Values(NamedTuple):
    """A mask as numbers.

    Attributes:
        array: (h, w) bool, or integers of which 0 is the background.
        graded: whether larger is brighter, up to white; if not, a number is the name of a class.
        lossy: whether the numbers are blurred, so that none is to be taken by itself.
        say: how to write a number in a message.
    """

    array: Labels
    graded: bool = False
    lossy: bool = False
    say: Callable[[int], str] = str


def the_object(
    values: Values, path: object, *, label: int | None = None, ignore: int | None = None, remedy: str = OPTIONS
) -> tuple[BoolMask, BoolMask | None]:
    """(h, w) bool of the object, which may be empty, and of what is void, or None.

    Args:
        values: of the mask.
        path: the file, or what to call the mask, in messages.
        label, ignore: what the user says is the object, and void.
        remedy: the hint where the values do not say which is the object.

    Raises:
        MaskError: there is no such label, nothing but what is ignored, or it is not clear which value is the object.
    """
    array, say = values.array, values.say
    found, counts = tallied(array)
    listing = shares(found, counts, say)
    if label is not None:
        if label not in found:
            raise MaskError(
                f"label {say(label)} is not in the mask, which holds {listing}.",
                path=str(path),
                hint="Pass one of those as --label.",
            )
        void = void_among(found) if ignore is None and label != VOID else ignore
        return array == label, array == void if void in found else None
    ignored = array == ignore if ignore in found else None
    rest = [value for value in found if value != ignore]
    objects = [value for value in rest if value != 0]
    if ignored is not None and not objects:
        raise MaskError(
            f"nothing but label {say(ignore or 0)} is marked, and that is ignored.",
            path=str(path),
            hint="Drop --ignore.",
        )
    if len(objects) < 2:
        return array == (objects[0] if objects else 1), ignored
    meant = _shades(array, rest, values.lossy, path) if values.graded else _classes(array, rest)
    if meant is None:
        if values.lossy:
            remedy = "Save the mask as a black and white PNG."
        elif values.graded and len(found) > _FEW:
            remedy = f"If its edges are soft, or it is a photo, save the mask as black and white. {remedy}"
        elif found == [1, 2, 3]:
            remedy += " In the masks of Oxford's pets 1 is the object and 3 its edge: --label 1 --ignore 3."
        raise MaskError(
            f"the mask holds several labels: {listing}; which is the object is not clear.",
            path=str(path),
            hint=remedy,
        )
    mask, unsure = meant
    if ignored is not None:
        mask, unsure = mask & ~ignored, ignored if unsure is None else ignored | unsure
    return mask, unsure


def void_among(found: Sequence[int]) -> int | None:
    """255 where it is the largest of several labels, as VOC and ADE have it: "do not count".

    Args:
        found: all labels of a mask, rising.
    """
    return VOID if found[-1] == VOID and set(found) - {0, VOID} else None


def tallied(array: Labels) -> tuple[list[int], list[int]]:
    """The values that an array holds, rising, and how many pixels have each."""
    if array.dtype == np.uint8:  # ten times as fast as sorting
        counts = np.bincount(array.ravel(), minlength=256)
        return np.flatnonzero(counts).tolist(), counts[counts > 0].tolist()
    found, of_each = np.unique(array, return_counts=True)
    return [int(value) for value in found], of_each.tolist()


def shares(found: Sequence[int], counts: Sequence[int], say: Callable[[int], str] = str) -> str:
    """The commonest values in rising order, each with its share of the pixels."""
    chosen = sorted(sorted(range(len(found)), key=lambda i: -counts[i])[:_LISTED])
    text = ", ".join(f"{say(found[i])} ({counts[i] / sum(counts):.1%})" for i in chosen)
    return text if len(found) <= _LISTED else f"{text} and {len(found) - _LISTED} more"


def _classes(array: Labels, found: list[int]) -> tuple[BoolMask, BoolMask | None] | None:
    """The one class beside background and void, if it is one."""
    void = void_among(found)
    objects = [value for value in found if value not in (0, void)]
    if 0 not in found or len(objects) != 1:
        return None
    return array == objects[0], None if void is None else array == void


def _shades(array: Labels, found: list[int], lossy: bool, path: object) -> tuple[BoolMask, BoolMask | None] | None:
    """The object in a picture of several greys, if it is clear which that is."""
    white, blurred = found[-1], lossy or len(found) > _FEW
    if len(found) == 2 and found[0] != 0:  # a 255 beside a number may be VOC's void
        return (array == white, None) if found[0] <= MOST_LABEL and _NEAR_WHITE <= white < VOID else None
    if not lossy and not (white in WHITES or (blurred and _NEAR_WHITE <= white < VOID)):
        return None
    scale = 255 / (white if white in WHITES else VOID)
    if not blurred and 0 not in found:
        return None
    if len(found) == 3 and not blurred:
        return _three(array, found, scale, path)
    levels = [value * scale for value in found]
    if blurred:
        light = array >= _LIGHT / scale
        middle = (array > _DARK / scale) & ~light
        graded = lossy or any(_DARK < level < _LIGHT for level in levels) or sum(x >= _LIGHT for x in levels) > 1
    else:
        light, middle = array == white, (array != 0) & (array != white)
        graded = levels[-2] > _DARK
    if not graded or not light.any() or light.all() or not _edges(middle, light, ~light & ~middle):
        return None  # `graded` is false of numbers of classes beside void
    if not lossy:  # told already
        _warn_of(path, "those brighter than half were taken, and those of about half do not count: its edges are soft")
    low, high = (limit / scale for limit in UNSURE)
    return array > high, _or_none((array >= low) & (array <= high))


def _three(array: Labels, found: list[int], scale: float, path: object) -> tuple[BoolMask, BoolMask | None] | None:
    """Black, a value between and white: a trimap or a soft edge, VOC's class and void, or None."""
    grey, level = found[1], found[1] * scale
    black, middle, light = (array == value for value in found)
    side = _between(black, middle, light)
    if side is light or (side is None and level <= MOST_LABEL):
        if level > MOST_LABEL:
            _warn_of(path, f"{found[2]} lies between black and {grey} and does not count; {grey} is the object")
        return middle, light
    if side is None or level <= MOST_LABEL:  # the edge of an object has no number of a class
        return None
    if UNSURE[0] <= level <= UNSURE[1]:
        _warn_of(path, f"{grey} lies between black and white and does not count; white is the object")
        return light, middle
    if middle.sum() > light.sum():
        return None
    taken = level > UNSURE[1]
    _warn_of(path, f"{grey} lies between black and white and was taken as {'white' if taken else 'black'}")
    return light | middle if taken else light, None


def _warn_of(path: object, meaning: str) -> None:
    warnings.warn(f"{path}: of the mask's values {meaning}.", OvssWarning, stacklevel=4)


def _between(black: BoolMask, middle: BoolMask, light: BoolMask) -> BoolMask | None:
    """`middle` or `light`, whichever separates the other from black; None if neither does."""
    inner, of_light, of_middle = _contact(middle, light), _contact(black, light), _contact(black, middle)
    if not inner:
        return None
    if of_light <= 0.1 * of_middle or _thin(middle, light, black):
        return middle
    return light if of_middle <= 0.1 * of_light or _thin(light, middle, black) else None


def _thin(edge: BoolMask, one: BoolMask, other: BoolMask) -> bool:
    """Whether nearly every pixel of an edge touches both sides."""
    return bool((edge & _grown(one) & _grown(other)).sum() >= 0.9 * edge.sum())


def _edges(middle: BoolMask, light: BoolMask, dark: BoolMask) -> bool:
    """Whether what is neither light nor dark is no more than the edge of what is light."""
    if middle.sum() > light.sum():
        return False
    inner = _contact(middle, light)
    near = middle & _grown(_grown(light))
    return bool(2 * inner >= inner + _contact(dark, light) or near.sum() >= 0.8 * middle.sum())


def _contact(one: BoolMask, other: BoolMask) -> int:
    """How many pairs of neighbours have one pixel in each."""
    return int(
        (one[1:] & other[:-1]).sum()
        + (one[:-1] & other[1:]).sum()
        + (one[:, 1:] & other[:, :-1]).sum()
        + (one[:, :-1] & other[:, 1:]).sum()
    )


def _grown(mask: BoolMask) -> BoolMask:
    """A mask with its eight neighbours."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    grown = rows.copy()
    grown[:, 1:] |= rows[:, :-1]
    grown[:, :-1] |= rows[:, 1:]
    return grown


def _or_none(mask: BoolMask) -> BoolMask | None:
    return mask if mask.any() else None
