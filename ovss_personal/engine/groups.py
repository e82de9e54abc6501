"""Photos that look alike, found by k-means over one feature vector a photo."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import InputError, OvssWarning, UsageError

Features = npt.NDArray[np.float32]  # (photos, D)

MOST_TRIED = 160  # groups, when their number is to be found
_SEED = 0


def best_group_count(features: Features) -> int:
    """The number of groups, out of a dozen between 2 and half of the photos, with the highest mean silhouette.

    Raises:
        InputError: there are fewer than three photos.
        UsageError: scikit-learn is not installed.
    """
    if len(features) < 3:
        raise InputError(
            f"{len(features)} photos are too few to choose a number of groups for.", hint="Pass --groups 1."
        )
    metrics = require_sklearn("metrics")
    most = max(2, min(len(features) // 2, MOST_TRIED))
    candidates = sorted({round(k) for k in np.geomspace(2, most, 12)})
    quality = {}
    for k in candidates:
        labels = kmeans(features, k)
        if 1 < len(set(labels.tolist())) < len(features):
            quality[k] = float(metrics.silhouette_score(features, labels))
    return max(quality, key=lambda k: quality[k]) if quality else 1


def kmeans(features: Features, groups: int) -> npt.NDArray[np.int32]:
    """(photos,) labels from 0; the same features give the same labels. Raises UsageError without scikit-learn."""
    cluster = require_sklearn("cluster")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of photos that are equal; told below
        labels: npt.NDArray[np.int32] = cluster.KMeans(groups, random_state=_SEED, n_init=10).fit_predict(features)
    found = len(set(labels.tolist()))
    if found < groups:
        warnings.warn(f"only {found} of {groups} groups were formed: some photos are equal.", OvssWarning, stacklevel=3)
    return labels


def require_sklearn(part: str) -> Any:
    """The part of scikit-learn of that name. Raises UsageError if it is not installed."""
    try:
        return import_module(f"sklearn.{part}")
    except ImportError:
        raise UsageError(
            "grouping needs scikit-learn, which is not installed.", hint="Run: pip install 'ovss-personal[pss]'"
        ) from None
