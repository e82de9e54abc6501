"""Pictures of labels and masks: the overlay of a segmentation, the contact sheet of an album, the index PNG.

Knows arrays and words only; nothing of bases, concepts or files.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ovss_personal.painting.pieces import grow

Colour = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Okabe and Ito's and Tol's colours, told apart by colour-blind readers; magenta is kept for concepts.
_WORD_COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (51, 34, 136),
    (153, 153, 51),
    (68, 170, 153),
    (221, 204, 119),
    (102, 37, 6),
    (17, 119, 51),
)
_CONCEPT_COLOURS: tuple[Colour, ...] = ((255, 0, 110), (255, 221, 0), (0, 229, 255))
BACKGROUND_WORDS = frozenset({"other", "background"})  # dimmed instead of tinted
_INK, _PAPER, _RED, _GREY = (34, 34, 34), (250, 250, 250), (200, 0, 0), (128, 128, 128)
_ROWS = 256  # blended at a time, so that a 12 Mpx photo needs no float copy of itself


def word_colour(index: int) -> Colour:
    """The colour of the word at `index`, the same in every picture."""
    if index < len(_WORD_COLOURS):
        return _WORD_COLOURS[index]
    hue = index * 0.618034 % 0.8  # the golden ratio spreads hues; 0.8 to 1 would be a concept's magenta
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.85, 0.5, 0.7)[index % 3], (0.9, 0.7, 0.45)[index // 3 % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


def word_colours(words: Sequence[str], concepts: Sequence[str] = ()) -> list[Colour]:
    """The colour of every word in the legend of a picture; `concepts` are those of the words that are personal."""
    colours = [word_colour(index) for index in range(len(words))]
    for index, word in enumerate(words):
        if word in concepts:
            colours[index] = _CONCEPT_COLOURS[concepts.index(word) % len(_CONCEPT_COLOURS)]
        elif word in BACKGROUND_WORDS:
            colours[index] = _GREY
    return colours


def draw_overlay(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    words: Sequence[str],
    *,
    concepts: Sequence[str] = (),
    opacity: float = 0.55,
) -> Image.Image:
    """The image tinted by label above a legend of the words that occur, with their share of the area.

    Concepts are outlined; `other` and `background` are dimmed and keep their own colours. The top left
    (H, W) pixels of the picture are the image's own; the legend lies below, so it hides nothing.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integer, an index into `words`.
        words: the vocabulary.
        concepts: those of `words` that are personal.
        opacity: of the tint, in [0, 1].
    """
    colours = word_colours(words, concepts)
    tints = np.array(colours, dtype=np.float32)  # (V, 3)
    tints[[word in BACKGROUND_WORDS for word in words]] = 0.0

    picture = np.empty_like(image)
    for top in range(0, len(image), _ROWS):
        rows, at = image[top : top + _ROWS], labels[top : top + _ROWS]
        picture[top : top + _ROWS] = rows + opacity * (tints[at] - rows) + 0.5
    width = max(2, round(max(image.shape[:2]) / 600))
    for concept in concepts:
        _outline(picture, np.asarray(labels == words.index(concept)), width)

    counts = np.bincount(labels.ravel(), minlength=len(words))
    personal = frozenset(concepts)

    def rank(index: int) -> tuple[bool, bool, int]:
        return words[index] not in personal, words[index] in BACKGROUND_WORDS, -int(counts[index])

    entries = [
        (f"{words[index]} {_percent(counts[index] / labels.size)}", colours[index])
        for index in sorted(np.flatnonzero(counts).tolist(), key=rank)
    ]
    legend = _draw_legend(entries, max(image.shape[1], 220), max(image.shape[:2]))
    sheet = Image.new("RGB", (legend.width, image.shape[0] + legend.height), _PAPER)
    sheet.paste(Image.fromarray(picture), (0, 0))
    sheet.paste(legend, (0, image.shape[0]))
    return sheet


def contact_sheet(
    pictures: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None, str]],
    *,
    columns: int = 4,
    side: int = 240,
) -> Image.Image:
    """A grid of photos, each with its mask tinted and outlined and a caption below.

    Args:
        pictures: (H, W, 3) uint8 RGB photo, (H, W) bool mask, caption. A photo that has no usable mask comes
            with None and the reason as its caption, and gets a red frame.
        columns: photos in a row, at most.
        side: side of the square that a photo is fitted into, in pixels.
    """
    gap, size = max(4, side // 20), max(11, side // 17)
    font = ImageFont.load_default(size)
    line = round(size * 1.35)
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    step_x, step_y = side + gap, side + 3 * line + gap
    sheet = Image.new("RGB", (columns * step_x + gap, rows * step_y + gap), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (image, mask, caption) in enumerate(pictures):
        left, top = gap + number % columns * step_x, gap + number // columns * step_y
        photo = ImageOps.contain(Image.fromarray(image), (side, side))
        if mask is not None:
            small = Image.fromarray(mask.astype(np.uint8) * 255).resize(photo.size, Image.Resampling.BOX)
            photo = _mark(photo, np.asarray(small) > 63, width=max(2, side // 120))
        sheet.paste(photo, (left + (side - photo.width) // 2, top + (side - photo.height) // 2))
        ink = _INK
        if mask is None:
            ink = _RED
            draw.rectangle((left, top, left + side - 1, top + side - 1), outline=_RED, width=max(3, side // 60))
        for row, text in enumerate(_wrap(caption, font, side, lines=3)):
            draw.text((left, top + side + gap // 2 + row * line), text, fill=ink, font=font)
    return sheet


def shrunk(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None, side: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
    """Copies of photo and mask that fit into `side` pixels a side: a sheet of many cannot hold them at full size."""
    photo = ImageOps.contain(Image.fromarray(image), (side, side))
    if mask is None:
        return np.asarray(photo), None
    share = Image.fromarray(mask.astype(np.uint8) * 255).resize(photo.size, Image.Resampling.BOX)
    return np.asarray(photo), np.asarray(share) > 63


def index_png(labels: npt.NDArray[np.integer]) -> bytes:
    """(H, W) labels as a PNG whose values are the labels.

    Up to 256 labels are a palette PNG in the overlay's colours; more are 16-bit grey.
    """
    if labels.max(initial=0) < 256:
        png = Image.fromarray(labels.astype(np.uint8)).convert("P")
        png.putpalette([channel for index in range(256) for channel in word_colour(index)])
    else:
        png = Image.fromarray(labels.astype(np.uint16))
    buffer = io.BytesIO()
    png.save(buffer, format="PNG")
    return buffer.getvalue()


def _mark(photo: Image.Image, mask: npt.NDArray[np.bool_], width: int) -> Image.Image:
    """The photo with one mask tinted and outlined."""
    picture = np.array(photo)
    tint = np.array(_CONCEPT_COLOURS[0], dtype=np.float32)
    picture[mask] = (0.6 * picture[mask] + 0.4 * tint).astype(np.uint8)
    _outline(picture, mask, width)
    return Image.fromarray(picture)


def _outline(picture: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], width: int) -> None:
    """Draw, in place, a white line just inside the mask's border and a dark one, half as wide, outside."""
    if not mask.any():
        return
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    # Only the mask's box is worked on: a small concept in a large photo should cost little.
    top, left = max(0, int(rows[0]) - width), max(0, int(columns[0]) - width)
    box = slice(top, int(rows[-1]) + width + 1), slice(left, int(columns[-1]) + width + 1)
    inside = mask[box]
    picture[box][grow(inside, max(1, width // 2)) & ~inside] = _INK
    picture[box][grow(~inside, width) & inside] = (255, 255, 255)


def _draw_legend(entries: Sequence[tuple[str, Colour]], width: int, side: int) -> Image.Image:
    """A band of that width and as many lines as it needs; its letters grow with the image's longer side."""
    size = max(12, min(side // 45, width // 18))
    font, gap, line = ImageFont.load_default(size), size // 2, round(size * 1.5)
    spots: list[tuple[int, int, str, Colour]] = []
    x, y = gap, gap
    for entry, colour in entries:
        word, _, share = entry.rpartition(" ")
        room = width - 2 * gap - round(1.4 * size) - _length(f" {share}", font)
        text = f"{_ellipsize(word, font, room)} {share}"
        extent = round(1.4 * size) + _length(text, font)
        if x > gap and x + extent > width - gap:
            x, y = gap, y + line
        spots.append((x, y, text, colour))
        x += extent + 2 * gap
    band = Image.new("RGB", (width, y + line + gap // 2), _PAPER)
    draw = ImageDraw.Draw(band)
    for x, y, text, colour in spots:
        draw.rectangle((x, y, x + size, y + size), fill=colour, outline=_INK)
        draw.text((x + round(1.4 * size), y + size / 2), text, fill=_INK, font=font, anchor="lm")
    return band


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _length(text: str, font: _Font) -> int:
    return int(np.ceil(font.getlength(text)))


def _ellipsize(text: str, font: _Font, room: int) -> str:
    """The text on one line, cut with an ellipsis where it is wider than `room` pixels."""
    text = " ".join(text.split())
    if _length(text, font) <= room:
        return text
    while text and _length(f"{text}…", font) > room:
        text = text[:-1]
    return f"{text}…"


def _wrap(text: str, font: _Font, room: int, lines: int) -> list[str]:
    """The text broken between words into at most so many lines, the last one cut to fit."""
    wrapped: list[str] = []
    rest = text.split()
    while rest and len(wrapped) < lines - 1:
        taken = 1
        while taken < len(rest) and _length(" ".join(rest[: taken + 1]), font) <= room:
            taken += 1
        wrapped.append(_ellipsize(" ".join(rest[:taken]), font, room))
        rest = rest[taken:]
    return [*wrapped, _ellipsize(" ".join(rest), font, room)] if rest else wrapped
