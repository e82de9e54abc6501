"""SAN's text classifier: CLIP's text tower, fourteen prompts a word, and the learned row for "nothing"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.words import Words
from ovss_personal.errors import VocabularyError
from ovss_personal.store.words import WordCache

PROMPTS = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    "a photo of a small {}.",
    "a photo of a medium {}.",
    "a photo of a large {}.",
    "This is a photo of a small {}.",
    "This is a photo of a medium {}.",
    "This is a photo of a large {}.",
    "There is a small {} in the scene.",
    "There is a medium {} in the scene.",
    "There is a large {} in the scene.",
)


def text_classifier(clip: str) -> nn.Module:
    """open_clip's model of that name without its vision tower, plus `bg_embed` (1, D), the row for "nothing".

    SAN's checkpoints hold the causal mask, which open_clip does not save: it becomes part of the state dict.
    """
    import open_clip

    tower: nn.Module = open_clip.CLIP(**open_clip.get_model_config(clip))
    del tower.visual
    tower.register_buffer("attn_mask", tower.get_buffer("attn_mask"), persistent=True)
    tower.bg_embed = nn.Parameter(torch.empty(1, tower.get_parameter("text_projection").shape[1]))
    return tower


class WordEncoder:
    """Words -> unit vectors (D,) of the joint space, computed once a word.

    Args:
        tower: `text_classifier` with its weights.
        cache: where the vectors are kept from one run to the next; None keeps them for this one.
    """

    def __init__(self, tower: nn.Module, cache: WordCache | None = None) -> None:
        import open_clip

        self.tower = tower
        self.tokenizer = open_clip.SimpleTokenizer()
        self._words = Words(self._encode, tower.get_parameter("bg_embed").shape[1], cache)

    def __call__(self, words: Sequence[str]) -> Tensor:
        """(V, D) on the CPU, in the order given.

        Raises:
            VocabularyError: a word is too long for CLIP to be read whole.
        """
        return self._words(words)

    def _encode(self, word: str) -> Tensor:
        return F.normalize(self.prompts(self.tokens(word)).mean(0), dim=0)

    def tokens(self, word: str) -> Tensor:
        """(14, 77) token ids of the word's prompts. Raises VocabularyError if one would be cut."""
        texts = [prompt.format(word) for prompt in PROMPTS]
        length: int = self.tokenizer.context_length
        if max(len(self.tokenizer.encode(text)) for text in texts) > length - 2:  # a start and an end token
            raise VocabularyError(f"'{word[:40]}…' is too long for CLIP's text encoder.", hint="use a shorter name.")
        tokens: Tensor = self.tokenizer(texts)
        return tokens

    def prompts(self, tokens: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """Token ids (P, 77) -> unit vectors (P, D); `embeddings` (tokens, width) take the place of the tower's own.

        The tower is causal and reads its vector at the end token, so what follows that changes nothing: the context
        is cut to the longest prompt, about a fifth of it.
        """
        length = int(tokens.argmax(1).max()) + 1  # the end token has the largest id
        shorter = {
            "positional_embedding": self.tower.get_parameter("positional_embedding")[:length],
            "attn_mask": self.tower.get_buffer("attn_mask")[:length, :length],
        }
        if embeddings is not None:
            shorter["token_embedding.weight"] = embeddings
        tokens = tokens[:, :length].to(shorter["attn_mask"].device)
        _, vectors, _ = torch.func.functional_call(self.tower, shorter, (None, tokens))
        unit: Tensor = vectors
        return unit
