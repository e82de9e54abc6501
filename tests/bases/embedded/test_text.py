from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.bases.embedded.text import MiniLM, TextEncoder
from ovss_personal.errors import VocabularyError, WeightsError
from ovss_personal.training.carry_weights import TEXT, smaller, source, text_tensors

TEXTS = ("mug", "crt screen", "Größe, café", "犬 in a (very) long-winded description " * 9)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(WEIGHTS)


@pytest.mark.filterwarnings("default")
def test_it_is_transformers_bert(encoder: TextEncoder) -> None:
    from transformers import AutoTokenizer, BertModel

    folder = source(TEXT).parent
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    bert = BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()
    ours = MiniLM().eval()
    ours.load_state_dict(text_tensors())
    for text in TEXTS:
        tokens = tokenizer(text, return_tensors="pt")
        ids = encoder.tokenizer.encode(text).ids
        assert ids == tokens["input_ids"][0].tolist()
        with torch.no_grad():
            expected = torch.nn.functional.normalize(bert(**tokens).last_hidden_state.mean(1), dim=1)[0]
            assert torch.allclose(ours(torch.tensor(ids)), expected, atol=1e-6, rtol=0)


def test_the_shipped_weights_are_the_published_ones_in_half_the_room() -> None:
    shipped, expected = load_file(WEIGHTS / "text.safetensors"), smaller(text_tensors())
    assert shipped.keys() == expected.keys()
    assert all(shipped[name].dtype == t.dtype and torch.equal(shipped[name], t) for name, t in expected.items())


def test_a_text_is_a_unit_vector(encoder: TextEncoder) -> None:
    found = encoder("mug")
    assert found.shape == (384,) and found.norm().item() == pytest.approx(1, abs=1e-6) and not found.requires_grad
    assert float(found @ encoder("cup")) > float(found @ encoder("truck")) + 0.2


def test_a_text_too_long_to_be_read_whole_is_an_error(encoder: TextEncoder) -> None:
    with pytest.raises(VocabularyError, match="more than 256 tokens") as caught:
        encoder("犬 " * 255)
    assert caught.value.exit_code == 3
    encoder("犬 " * 254)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", None, "cannot be read"),
        ("tokenizer.json", b"{}", "cannot be read"),
        ("tokenizer.json", b"\xff", "cannot be read"),
        ("text.safetensors", None, "cannot be read"),
        ("text.safetensors", b"no tensors", "cannot be read"),
        ("text.safetensors", (WEIGHTS / "decoder.safetensors").read_bytes(), "does not hold this base's tensors"),
    ],
)
def test_broken_files_are_one_error(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    for name in ("tokenizer.json", "text.safetensors"):
        if name != file:
            shutil.copy(WEIGHTS / name, tmp_path)
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        TextEncoder(tmp_path)
    assert caught.value.path == str(tmp_path / file) and "--force-reinstall" in (caught.value.hint or "")
