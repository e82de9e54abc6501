from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.san.base import SanBase
from ovss_personal.config import BaseConfig, FitConfig, load_config
from ovss_personal.errors import ConfigError

REPOSITORY = Path(__file__).parent.parent


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_yaml_spells_out_every_default() -> None:
    import yaml

    path = REPOSITORY / "configs" / "bases" / "embedded.yaml"
    base, fit = load_config(path)
    assert (base, FitConfig(**fit)) == (BaseConfig(), EmbeddedBase.fit_defaults)
    assert set(yaml.safe_load(path.read_text())) == {f.name for cls in (BaseConfig, FitConfig) for f in fields(cls)}


@pytest.mark.parametrize("name", ["san_vit_b_16", "san_vit_large_14"])
def test_the_yaml_of_san_is_the_paper_s(name: str) -> None:
    base, fit = load_config(REPOSITORY / "configs" / "bases" / f"{name}.yaml")
    assert base == BaseConfig(base=name)
    assert FitConfig(**fit) == FitConfig() == SanBase.fit_defaults == SanBase.paper_defaults


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    base, fit = load_config(write(tmp_path, "tiles: 9\nalpha: 0\nthreshold: 0.2\n"))
    assert base == BaseConfig(tiles=9)
    assert (base.dtype, base.offline) == ("float32", False)
    assert fit == {"alpha": 0, "threshold": 0.2}
    assert type(FitConfig(**fit).alpha) is float


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing\n")) == (BaseConfig(), {})


def test_the_two_configurations_share_no_key() -> None:
    assert not {f.name for f in fields(BaseConfig)} & {f.name for f in fields(FitConfig)}


def test_the_defaults_are_the_paper_s() -> None:
    """Method and numbers of its main experiments: SAN on FSS-1000."""
    paper = FitConfig()
    assert (paper.alpha, paper.learning_rate, paper.iterations, paper.lambda_z, paper.lambda_m) == (
        *(0.1, 5e-4, 200),
        *(0.1, 10.0),
    )
    assert (paper.competitors, paper.visual, paper.negative, paper.views) == ("none", "inject", True, 1)
    assert paper.threshold is None and not paper.has_competitors


def test_configurations_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        FitConfig().alpha = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.01}, "alpha must be in [0, 1], not 1.01."),
        ({"alpha": float("nan")}, "alpha must be finite, not nan."),
        ({"alpha": "0.3"}, "alpha must be a number, not '0.3'."),
        ({"alpha": 10**400}, "alpha must be a number"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and at most 1, not 0.0."),
        ({"iterations": 0}, "iterations must be from 1 to 100000, not 0."),
        ({"iterations": 100_001}, "iterations must be from 1 to 100000, not 100001."),
        ({"iterations": 2.0}, "iterations must be a whole number, not 2.0."),
        ({"iterations": True}, "iterations must be a whole number, not True."),
        ({"lambda_z": -1}, "lambda_z must be from 0 to 1000000, not -1.0."),
        ({"lambda_m": 1e300}, "lambda_m must be from 0 to 1000000, not 1e+300."),
        ({"lambda_m": float("inf")}, "lambda_m must be finite, not inf."),
        ({"competitors": "all"}, "competitors must be one of none, siblings, bank, both, not 'all'."),
        ({"visual": None}, "visual must be one of inject, none, replace, not None."),
        ({"negative": 1}, "negative must be true or false, not 1."),
        ({"threshold": 1.0}, "threshold must be in (0, 1), not 1.0."),
        ({"threshold": "low"}, "threshold must be a number or null, not 'low'."),
        ({"views": 0}, "views must be from 1 to 64, not 0."),
        ({"views": 65}, "views must be from 1 to 64, not 65."),
        ({"seed": -1}, "seed must be 0 or more and below 2**63, not -1."),
    ],
)
def test_fit_values_out_of_type_or_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FitConfig(**settings)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "settings",
    [
        {"tiles": -1},
        {"tiles": 65},
        {"bank": 1},
        {"device": " "},
        {"base": ""},
        {"weights": 3},
        {"tiles": False},
        {"dtype": "half"},
        {"offline": 1},
    ],
)
def test_base_values_out_of_type_or_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(settings))} must be"):
        BaseConfig(**settings)


# What unfolds to billions of values where it is built.
BOMB = "a: &a [1]\n" + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]\n" for i in range(30))
MERGES = "a: &b0 {x: 1}\n" + "".join(f"c{i}: &b{i + 1} {{<<: [*b{i}, *b{i}]}}\n" for i in range(40))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tiles: 1\nalfa: 0.1\n", "line 2: 'alfa' is not a setting.", "Did you mean 'alpha'?"),
        ("qqqqqq: 1\n", "line 1: 'qqqqqq' is not a setting.", "The settings are alpha, bank"),
        ("1: 2\n", "line 1: '1' is not a setting.", "The settings are"),
        ("<<: {alpha: 7}\n", "line 1: '<<' is not a setting.", "The settings are"),
        ("\nalpha: high\n", "line 2: alpha must be a number, not 'high'.", None),
        ("learning_rate: 5e-4\n", "line 1: learning_rate must be a number, not '5e-4'.", "YAML takes"),
        ("alpha: 0.1\nseed: 1\nalpha: 0.2\n", "line 3: 'alpha' is already set in line 1.", None),
        ("- alpha\n", "expected lines of 'key: value', found a list.", None),
        ("alpha\n", "expected lines of 'key: value', found a single value.", None),
        ("alpha: [1\nseed: 2\n", "not valid YAML: line 2:", None),
        ("alpha: !!python/object:os.system x\n", "not valid YAML: line 1:", None),
        ("alpha: {a: {b: 1}}\n", "line 1: alpha must be a number, not something nested.", None),
        ("alpha: [[[1]]]\n", "line 1: alpha must be a number, not something nested.", None),
        ("? [a, b]\n: 1\n", "line 1: a key must be a single word.", None),
        ("alpha: 1" + "0" * 400 + "\n", "line 1: alpha must be a number, not 1000", None),
        ("alpha: 1" + "0" * 5000 + "\n", "not valid YAML: Exceeds the limit", None),
        ("device: " + "x" * 9000 + "\nalpha: " + "y" * 9000, "line 2: alpha must be a number, not 'yyy", None),
        (BOMB, "line 1: 'a' is not a setting.", "The settings are"),
        (MERGES, "line 1: 'a' is not a setting.", "The settings are"),
        ("seed: 2025-99-99\n", "not valid YAML: month must be", None),
        ("seed: " + "[" * 5000, "not valid YAML: ", None),
        ("a: 1\n---\nb: 2\n", "not valid YAML: ", None),
    ],
)
def test_a_bad_file_names_key_line_and_remedy(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert (caught.value.hint or "").startswith(hint or "")
    assert (caught.value.hint is None) == (hint is None)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is larger than 1048576 bytes"):
        load_config(write(tmp_path, "# nothing\n" * 200_000))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        load_config(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"base: caf\xe9\n")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        load_config(latin)
