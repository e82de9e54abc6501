"""A base that sees colours, and a concept that it learned."""

from __future__ import annotations

import pytest
from fakes import FakeBase
from fakes.base import reds

from ovss_personal.engine.learn import personalize
from ovss_personal.store.concept import Concept


@pytest.fixture(scope="session")
def base() -> FakeBase:
    return FakeBase(extra_words=("other",))


@pytest.fixture(scope="session")
def mug(base: FakeBase) -> Concept:
    return personalize(base, reds(3), concept="my mug", class_name="mug")
