"""A bank of competitors, on the base that sees colours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from fakes import FakeBase, photo
from safetensors.torch import save_file

from ovss_personal.bases.bank import build_bank, k_means, load_bank, write_bank
from ovss_personal.config import BaseConfig
from ovss_personal.errors import ImageError, WeightsError


def test_k_means_finds_clusters_that_are_there() -> None:
    generator = torch.Generator().manual_seed(1)
    true = F.normalize(torch.randn(4, 16, generator=generator), dim=1)
    rows = true.repeat(50, 1) + 0.02 * torch.randn(200, 16, generator=generator)
    centres = k_means(rows, 4, seed=0)
    assert torch.allclose(centres.norm(dim=1), torch.ones(4), atol=1e-5)
    assert (centres @ true.T).amax(0).min() > 0.999 and torch.equal(k_means(rows, 4, seed=0), centres)


def test_of_few_rows_each_is_a_centre_and_none_is_lost_to_repetition() -> None:
    rows = torch.eye(3, 8)
    assert k_means(rows, 512, seed=0).shape == (3, 8)
    repeated = torch.cat((rows[:1].expand(9, -1), rows))
    found = k_means(repeated, 3, seed=0)
    assert torch.equal((found @ rows.T).amax(0), torch.ones(3))
    assert k_means(rows[:1].expand(9, -1), 3, seed=0).shape == (1, 8)


def test_what_covers_nothing_is_left_out_and_photos_pass_in_batches() -> None:
    base = FakeBase()
    photos = [photo("red", noise=seed) for seed in range(1, 20)]
    rows = build_bank(base, photos, centres=8)
    assert base.looks == 19 and rows.shape == (8, base.dim)
    seen = [one for image in photos for one in base.propose([image])]
    shown = torch.cat([one.embeddings[one.masks.amax((1, 2)) > 0] for one in seen])
    assert len(shown) < 19 * 6 and torch.equal(rows, k_means(shown, 8, seed=0))


def test_photos_in_which_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    base = FakeBase()
    (seen,) = base.propose([photo("red")])
    nothing = type(seen)(seen.masks.clamp(max=0), seen.embeddings, seen.features, seen.canvas)
    monkeypatch.setattr(base, "propose", lambda images: [nothing] * len(images))
    with pytest.raises(ImageError, match="sees nothing in these photos"):
        build_bank(base, [photo("red")])


def test_a_bank_comes_back_as_it_was_written_and_changes_the_fingerprint(tmp_path: Path) -> None:
    base, path = FakeBase(), tmp_path / "bank.safetensors"
    rows = build_bank(base, [photo("red")], centres=3)
    write_bank(path, rows, base)
    found = load_bank(BaseConfig(bank=str(path)), base.name, base.fingerprint, base.dim)
    assert found.rows is not None and torch.equal(found.rows, rows)
    write_bank(path, rows.flip(0), base)
    other = load_bank(BaseConfig(bank=str(path)), base.name, base.fingerprint, base.dim)
    assert len({base.fingerprint, found.fingerprint, other.fingerprint}) == 3
    assert load_bank(BaseConfig(), base.name, base.fingerprint, base.dim) == (None, base.fingerprint)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"bank": torch.eye(2, 32)}, {"base": "san"}, "is a bank of the base san, not of fake"),
        ({"bank": torch.eye(2, 32)}, {"fingerprint": "0"}, "was made by fake with other weights or settings"),
        ({"other": torch.eye(2, 32)}, {}, "is no bank of competitors"),
        ({"bank": torch.eye(2, 31)}, {}, "holds no rows of 32 numbers"),
        ({"bank": torch.eye(0, 32)}, {}, "holds no rows of 32 numbers"),
        ({"bank": torch.eye(2, 32).half()}, {}, "holds no rows of 32 numbers"),
        ({"bank": torch.full((2, 32), torch.nan)}, {}, "not of length 1"),
        ({"bank": 2 * torch.eye(2, 32)}, {}, "not of length 1"),
    ],
)
def test_a_bank_that_cannot_be_used(
    tensors: dict[str, torch.Tensor], metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    base, path = FakeBase(), tmp_path / "bank.safetensors"
    save_file(tensors, path, {"base": base.name, "fingerprint": base.fingerprint, **metadata})
    with pytest.raises(WeightsError, match=message) as caught:
        load_bank(BaseConfig(bank=str(path)), base.name, base.fingerprint, base.dim)
    assert caught.value.path == str(path) and "competitors build PHOTOS --base fake" in str(caught.value.hint)


def test_a_bank_that_is_broken_or_missing(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no safetensors")
    for name, message in (("broken", "truncated or no safetensors file"), ("none", "there is no such bank")):
        with pytest.raises(WeightsError, match=message):
            load_bank(BaseConfig(bank=str(tmp_path / name)), "fake", "f", 32)
