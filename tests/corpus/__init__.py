"""Files as users have them, good and bad, written by code so that no binary file is committed.

Every function writes to the path that it is given and returns it. The standard photo is 40 pixels wide and 24
high, the standard mask a rectangle in it that no flip or turn maps onto itself.
"""

from corpus.annotations import (
    coco_annotation,
    coco_image,
    labelme_shape,
    write_coco,
    write_labelme,
)
from corpus.masks import MASK, write_array, write_mask
from corpus.pictures import BROKEN_PICTURES, HEIC_HEAD, PHOTO, png_header, write_broken, write_photo

__all__ = [
    "BROKEN_PICTURES",
    "HEIC_HEAD",
    "MASK",
    "PHOTO",
    "coco_annotation",
    "coco_image",
    "labelme_shape",
    "png_header",
    "write_array",
    "write_broken",
    "write_coco",
    "write_labelme",
    "write_mask",
    "write_photo",
]
