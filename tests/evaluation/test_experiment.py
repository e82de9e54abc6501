from __future__ import annotations

from pathlib import Path

import pytest

from ovss_personal.config import FitConfig
from ovss_personal.errors import ConfigError
from ovss_personal.evaluation.experiment import Experiment, read_experiment
from ovss_personal.evaluation.paper import PAPER

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_is_short_and_sound(path: Path) -> None:
    experiment = read_experiment(path)
    assert len(path.read_text().splitlines()) < 20
    assert experiment.chosen(FitConfig())
    if experiment.table:
        assert path.stem.startswith(f"table{experiment.table}_")
        printed = {place[:2] for place in PAPER[experiment.table].cells}
        benchmark = experiment.manifest.split("/")[0].replace("_per", "").replace("_", "-")
        assert benchmark == "stamps" or benchmark in {of for _, of in printed}


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return path


def test_one_value_is_set_and_several_are_compared(tmp_path: Path) -> None:
    text = "manifest: m.json\nmethods: [text, full]\nshots: 5\nalpha: [0.1, 0.3]\nlambda_m: 500\n"
    experiment = read_experiment(write(tmp_path, text))
    assert experiment.shots == (5,)
    chosen = experiment.chosen(FitConfig())
    assert [method.name for method in chosen] == ["text", "full, alpha 0.1", "full, alpha 0.3"]
    assert [(m.config.alpha, m.config.lambda_m) for m in chosen if m.config] == [(0.1, 500), (0.3, 500)]


def test_the_default_is_every_method_that_needs_no_other_model() -> None:
    names = [method.name for method in Experiment("m.json").chosen(FitConfig(alpha=0.4))]
    assert names == [
        "text",
        "visual",
        "prompt",
        "prompt+visual",
        "prompt+negative",
        "full",
        "full+competitors",
        "knn",
    ]
    competitors = Experiment("m.json", methods=("full+competitors",)).chosen(FitConfig.preset("paper"))
    assert competitors[0].config and competitors[0].config.hidden and not competitors[0].config.negative


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("manifest: a\nalfa: 1\n", "line 2: 'alfa' is not a setting.", "Did you mean 'alpha'?"),
        ("shots: 3\n", "'manifest' is missing.", "Build a benchmark"),
        ("manifest: a\nmethods: [text, ful]\n", "line 2: methods must be among text, visual", None),
        ("manifest: a\nalpha: [0.1, 3]\n", "line 2: alpha must be in [0, 1], not 3.", None),
        ("manifest: a\nlambda_z: low\n", "line 2: lambda_z must be a number, not 'low'.", None),
        ("manifest: a\nshots: [0]\n", "line 2: shots must be whole numbers from 1 up, not [0].", None),
        ("manifest: a\ntable: 3\n", "line 2: table must be one of (1, 2, 4, 6, 7), not 3.", None),
        ("manifest: 3\n", "line 1: manifest must be text, not 3.", None),
    ],
)
def test_a_bad_experiment_names_line_and_remedy(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert (caught.value.hint or "").startswith(hint or "") and (caught.value.hint is None) == (hint is None)
