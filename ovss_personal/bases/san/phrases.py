"""Phrases with words that have a vector but no name: textual inversion on CLIP's text tower.

A pseudo-word is one token whose embedding is optimised until the prompts with it give the vector it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.san.text import PROMPTS, WordEncoder
from ovss_personal.errors import VocabularyError

STEPS = 150
LEARNING_RATE = 5e-3  # a token's embedding has entries of about 0.01
CLOSE = 0.995  # cosine at which the search for a pseudo-word ends


class PhraseEncoder:
    """Texts with pseudo-words between them -> unit vectors (D,) of the joint space.

    Args:
        words: the encoder of plain words, whose tower and prompts are used.
    """

    def __init__(self, words: WordEncoder) -> None:
        self.words = words
        self._known: dict[bytes, Tensor] = {}  # vector -> (width,)

    def __call__(self, texts: Sequence[str], vectors: Sequence[Tensor]) -> Tensor:
        """(D,) on the CPU.

        Raises:
            VocabularyError: the phrase is too long for CLIP to be read whole.
        """
        pseudo = torch.stack([self.pseudo_word(vector) for vector in vectors])
        with torch.no_grad():
            return self._encode(texts, pseudo).cpu()

    def pseudo_word(self, vector: Tensor) -> Tensor:
        """(D,) unit norm -> (width,) embedding of the token that stands for it; searched for once a vector."""
        key = vector.cpu().numpy().tobytes()
        if key not in self._known:
            table = self.words.tower.get_parameter("token_embedding.weight")
            vector = vector.clone().to(table)  # a base may encode in inference mode, whose tensors autograd refuses
            token = table.detach().mean(0, keepdim=True).requires_grad_()
            optimiser = torch.optim.Adam([token], LEARNING_RATE)
            best, best_cosine = token.detach().clone(), -1.0
            for _ in range(STEPS):
                with torch.enable_grad():
                    cosine = self._encode(("", ""), token) @ vector
                if cosine.item() > best_cosine:
                    best, best_cosine = token.detach().clone(), cosine.item()
                if best_cosine > CLOSE:
                    break
                (token.grad,) = torch.autograd.grad(-cosine, token)
                optimiser.step()
            self._known[key] = best[0]
        return self._known[key]

    def _encode(self, texts: Sequence[str], pseudo: Tensor) -> Tensor:
        """(D,); pseudo (S, width)."""
        prompts = [self._ids(prompt, texts) for prompt in PROMPTS]
        length = max(map(len, prompts))
        end = self.words.tokenizer.eot_token_id
        ids = torch.tensor([[*prompt, *[end] * (length - len(prompt))] for prompt in prompts])
        # A small table of the tokens in use, pseudo-words first: the end token keeps the largest number.
        used, places = torch.unique(ids, return_inverse=True)
        table = self.words.tower.get_parameter("token_embedding.weight")
        count = int((used < 0).sum())
        order = -1 - used[:count]
        rows = torch.cat((pseudo[order], table.detach()[used[count:].to(table.device)]))
        return F.normalize(self.words.prompts(places, rows).mean(0), dim=0)

    def _ids(self, prompt: str, texts: Sequence[str]) -> list[int]:
        """Token ids of one prompt, start and end included; pseudo-word i is -1 - i."""
        before, after = prompt.split("{}")
        parts = [before + texts[0], *texts[1:]]
        parts[-1] += after
        ids = self.words.tokenizer.encode(parts[0])
        for number, part in enumerate(parts[1:]):
            ids += [-1 - number, *self.words.tokenizer.encode(part)]
        if len(ids) > self.words.tokenizer.context_length - 2:
            raise VocabularyError(f"'{'…'.join(texts)}' is too long for CLIP's text encoder.", hint="use fewer words.")
        return [self.words.tokenizer.sot_token_id, *ids, self.words.tokenizer.eot_token_id]
