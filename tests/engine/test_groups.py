from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ovss_personal.engine import groups
from ovss_personal.errors import UsageError


def test_photos_of_one_kind_share_a_label() -> None:
    rng = np.random.default_rng(0)
    features = np.repeat(np.eye(3, dtype=np.float32) * 9, 5, axis=0) + rng.normal(0, 0.1, (15, 3)).astype(np.float32)
    assert groups.best_group_count(features) == 3
    labels = groups.kmeans(features, 3).reshape(3, 5)
    assert all(len(set(row)) == 1 for row in labels.tolist()) and len(set(labels[:, 0].tolist())) == 3


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(groups, "import_module", missing)
    with pytest.raises(UsageError, match="grouping needs scikit-learn") as caught:
        groups.kmeans(np.eye(3, dtype=np.float32), 2)
    assert caught.value.hint == "Run: pip install 'ovss-personal[pss]'"
