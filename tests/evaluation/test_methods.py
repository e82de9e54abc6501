"""The two methods that are no fit: retrieval, and SegGPT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBase, photo, shot
from fakes.benchmark import job

from ovss_personal.engine.find import Finder
from ovss_personal.engine.see import see_shots
from ovss_personal.errors import UsageError, WeightsError
from ovss_personal.evaluation.knn import Memory
from ovss_personal.evaluation.seggpt import SegGpt


def test_retrieval_finds_what_was_remembered_and_shares_the_rest() -> None:
    base = FakeBase()
    memory = Memory.of([one.example for one in see_shots(base, [shot("red", number) for number in (1, 2)])])
    assert memory.embeddings.shape == (12, 32) and 2 <= int(memory.personal.sum()) < 12
    image = photo("red", top=3, left=12, noise=9)
    (proposals,) = base.propose([image])
    plain = Finder(base, ("green", "grey")).score(proposals).words
    scored = memory.score(proposals, plain, scale=20.0)
    assert scored.thresholds == (None,) and scored.masks is proposals.masks
    (personal,) = scored.personal.T
    assert torch.allclose(scored.words.sum(1) + personal, plain.sum(1) * (1 - personal) + personal)
    assert ((personal >= 0) & (personal <= 1)).all()
    assert personal[0] > 0.5 > personal[3]  # the red proposal, and the grey one


def test_seggpt_without_weights_says_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="SegGPT's weights are not at hand") as caught:
        job(tmp_path, ("text", "seggpt")).examiner()
    assert caught.value.hint == "hf download BAAI/seggpt-vit-large; or leave the method 'seggpt' out."


def test_seggpt_without_transformers_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match="needs transformers") as caught:
        job(tmp_path, ("text", "seggpt")).examiner()
    assert caught.value.hint == "Run: pip install 'ovss-personal[bench]'"


@pytest.mark.parametrize("shots", [1, 2])
def test_seggpt_answers_with_a_mask_of_the_image_s_size(shots: int) -> None:
    from transformers import SegGptConfig, SegGptForImageSegmentation, SegGptImageProcessor

    torch.manual_seed(0)
    config = SegGptConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=[64, 32],
        patch_size=8,
        pretrain_image_size=32,
        mlp_dim=16,
        decoder_hidden_size=8,
        merge_index=1,
        intermediate_hidden_state_indices=[1, 2, 3],
    )
    processor = SegGptImageProcessor(size={"height": 32, "width": 32})
    model = SegGpt(SegGptForImageSegmentation(config), processor)
    image = np.asarray(photo("red"))[:20]
    mask = model.segment(image, [shot("red", number) for number in range(shots)])
    assert mask.shape == (20, 32) and mask.dtype == bool
