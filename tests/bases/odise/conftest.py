"""The reduced network is built once, and looks at one picture once."""

from __future__ import annotations

import numpy as np
import pytest

from ovss_personal.bases.odise.base import OdiseTiny
from ovss_personal.structures import Proposals, RGBImage


@pytest.fixture(scope="session")
def odise() -> OdiseTiny:
    pytest.importorskip("diffusers")
    pytest.importorskip("open_clip")
    return OdiseTiny()


@pytest.fixture(scope="session")
def square(picture: RGBImage) -> RGBImage:
    """(120, 120, 3), which is one window."""
    return np.ascontiguousarray(picture[:, 20:140])


@pytest.fixture(scope="session")
def looked(odise: OdiseTiny, square: RGBImage) -> Proposals:
    return odise.propose([square])[0]
