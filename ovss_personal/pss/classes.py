"""The 21 classes of PASCAL VOC in their order, and the pixel statistics of ImageNet."""

from __future__ import annotations

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
IGNORE = 255  # a mask's value for "do not count"
MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels in [0, 1]
STD = (0.229, 0.224, 0.225)
