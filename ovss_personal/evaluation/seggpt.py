"""SegGPT, which the paper compares with: another model, shown the shots and their masks beside the test image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ovss_personal.bases.weights import FOLDER_VARIABLE
from ovss_personal.config import BaseConfig
from ovss_personal.errors import UsageError, WeightsError
from ovss_personal.structures import BoolMask, RGBImage, Shot

REPOSITORY = "BAAI/seggpt-vit-large"


class SegGpt:
    """transformers' SegGPT with its image processor; K shots are averaged in its features, as its authors do."""

    def __init__(self, model: Any, processor: Any):
        self._model = model.eval()
        self._processor = processor

    @classmethod
    def load(cls, config: BaseConfig) -> SegGpt:
        """From the folder `seggpt-vit-large` below OVSS_PERSONAL_WEIGHTS, or the hub's cache. Nothing is downloaded.

        Raises:
            WeightsError: it is in neither place, or broken.
            UsageError: transformers is not installed.
        """
        try:
            from transformers import SegGptForImageSegmentation, SegGptImageProcessor
        except ImportError:
            raise UsageError(
                "the method 'seggpt' needs transformers, which is not installed.",
                hint="Run: pip install 'ovss-personal[bench]'",
            ) from None

        own = Path(os.environ.get(FOLDER_VARIABLE, "")) / REPOSITORY.rpartition("/")[2]
        source = str(own) if os.environ.get(FOLDER_VARIABLE) and own.is_dir() else REPOSITORY
        try:
            model: Any = SegGptForImageSegmentation.from_pretrained(source, local_files_only=True)
            processor = SegGptImageProcessor.from_pretrained(source, local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"SegGPT's weights are not at hand or broken ({' '.join(str(error).split())[:100]}).",
                hint=f"hf download {REPOSITORY}; or leave the method 'seggpt' out.",
            ) from error
        return cls(model.to(config.device), processor)

    def segment(self, image: RGBImage, shots: Sequence[Shot]) -> BoolMask:
        """(H, W, 3) image, K shots -> (H, W) bool, where their object is."""
        import torch
        from PIL import Image

        inputs = self._processor(
            images=[Image.fromarray(image)] * len(shots),
            prompt_images=[Image.fromarray(shot.image) for shot in shots],
            prompt_masks=[Image.fromarray(shot.mask.astype(np.uint8)) for shot in shots],
            num_labels=1,
            return_tensors="pt",
        ).to(self._model.device)
        # With several prompts the model averages them itself, and gives the same answer once for each.
        with torch.inference_mode():
            outputs = self._model(**inputs, feature_ensemble=len(shots) > 1)
        size = (image.shape[0], image.shape[1])
        masks = self._processor.post_process_semantic_segmentation(outputs, [size] * len(shots), num_labels=1)
        return np.asarray(masks[0].cpu().numpy() == 1)
