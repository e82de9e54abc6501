"""The text encoder: all-MiniLM-L6-v2, a BERT of six layers (Wang et al., 2020; Reimers and Gurevych, 2019)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.embedded.files import REINSTALL, fill, load
from ovss_personal.errors import VocabularyError, WeightsError

DIM = 384
VOCABULARY = 30522
MAX_TOKENS = 256  # the length that the model was trained for
EPSILON = 1e-12


class MiniLM(nn.Module):
    """(L,) token ids of one text -> (384,), unit norm: the mean of the last layer."""

    def __init__(self) -> None:
        super().__init__()
        # Given as they are, since drawing random numbers on the meta device would import torch's compiler, a second.
        self.words = nn.Embedding(VOCABULARY, DIM, _weight=torch.empty(VOCABULARY, DIM))
        self.positions = nn.Embedding(MAX_TOKENS, DIM, _weight=torch.empty(MAX_TOKENS, DIM))
        self.norm = nn.LayerNorm(DIM, EPSILON)
        layer = nn.TransformerEncoderLayer(
            DIM, nhead=12, dim_feedforward=4 * DIM, activation="gelu", layer_norm_eps=EPSILON, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=6, enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        tokens = self.norm(self.words(ids) + self.positions.weight[: len(ids)])
        return F.normalize(self.encoder(tokens[None])[0].mean(0), dim=0)


class TextEncoder:
    """Texts -> unit vectors.

    Args:
        folder: holds `text.safetensors` and `tokenizer.json`.

    Raises:
        WeightsError: they are missing, broken or another model's.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        except Exception as error:  # the library raises no narrower class
            raise WeightsError(f"cannot be read ({error}).", path=folder / "tokenizer.json", hint=REINSTALL) from error
        with torch.device("meta"):
            self.model = MiniLM()
        path = folder / "text.safetensors"
        fill(self.model, load(path), path)
        self.model.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, text: str) -> Tensor:
        """(384,), unit norm. Raises VocabularyError if the text is too long to be read whole."""
        ids = self.tokenizer.encode(text).ids
        if len(ids) > MAX_TOKENS:
            raise VocabularyError(f"'{text[:40]}…' has more than {MAX_TOKENS} tokens.", hint="use a shorter name.")
        vector: Tensor = self.model(torch.tensor(ids))
        return vector
