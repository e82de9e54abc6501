from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fakes import OURS

from ovss_personal.bases import BASES
from ovss_personal.config import BaseConfig, FitConfig, load_config
from ovss_personal.errors import ConfigError, UsageError
from ovss_personal.evaluation.cells import Run
from ovss_personal.evaluation.experiment import Experiment, overridden, read_experiment
from ovss_personal.evaluation.paper import PAPER
from ovss_personal.evaluation.report import paper_table
from ovss_personal.evaluation.results import Result

REPOSITORY = Path(__file__).parents[2]
SHIPPED = sorted((REPOSITORY / "configs" / "experiments").glob("*.yaml"))

# Of the paper (method.md): learning rate, lambda_m and alpha on each base and benchmark.
SETTINGS = {
    ("san_vit_b_16", "fss"): (5e-4, 10, 0.1),
    ("san_vit_b_16", "cub"): (5e-4, 500, 0.1),
    ("san_vit_b_16", "ade"): (5e-4, 10, 0.01),
    ("odise_label", "fss"): (2e-3, 10, 0.1),
    ("odise_label", "cub"): (1e-4, 500, 0.1),
    ("odise_label", "ade"): (1e-4, 1, 0.01),
}
SHOTS = {1: (1, 3, 5), 2: (1, 3, 5), 4: (5,), 6: (1, 3, 5), 7: (5,)}  # of each table


def base_and_fits(experiment: Experiment) -> tuple[str, FitConfig, FitConfig]:
    """The name of an experiment's base, and its settings of a fit: its own, with what a YAML says, and the paper's."""
    name, given = experiment.base, dict[str, Any]()
    if name.endswith(".yaml"):
        config, given = load_config(REPOSITORY / name)
        name = config.base
    module, kind, _ = BASES[name]
    base = getattr(import_module(module), kind)
    return name, replace(base.fit_defaults, **given), base.paper_defaults


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_is_short_and_sound(path: Path) -> None:
    experiment = read_experiment(path)
    assert len(path.read_text().splitlines()) < 20
    assert experiment.chosen(OURS, FitConfig())
    if experiment.table:
        assert path.stem.startswith(f"table{experiment.table}_")
        printed = {place[:2] for place in PAPER[experiment.table].cells}
        benchmark = experiment.manifest.split("/")[0].replace("_per", "").replace("_", "-")
        assert benchmark == "stamps" or benchmark in {of for _, of in printed}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_names_a_base_and_a_benchmark_that_can_be_had(path: Path) -> None:
    experiment = read_experiment(path)
    base, *fits = base_and_fits(experiment)
    if base.startswith("odise"):  # the paper's experiments, which have no competitors
        assert not any(method.config and method.config.has_competitors for method in experiment.chosen(*fits))
    folder = experiment.manifest.removesuffix("/manifest.json")
    assert f"--out {folder}\n" in (REPOSITORY / "datasets" / "README.md").read_text()


OF_THE_PAPER = [path for path in SHIPPED if path.stem.startswith("table") and "stamps" not in path.stem]


@pytest.mark.parametrize("path", OF_THE_PAPER, ids=lambda path: path.stem)
def test_an_experiment_of_the_paper_has_its_settings_and_fills_its_table(path: Path) -> None:
    experiment = read_experiment(path)
    assert experiment.table
    base, *fits = base_and_fits(experiment)
    benchmark = experiment.manifest.split("/")[0].replace("_per", "").replace("_", "-")
    assert experiment.shots == SHOTS[experiment.table]
    methods = {method.name: method for method in experiment.chosen(*fits)}
    full = methods["full"].config
    assert full and (full.learning_rate, full.lambda_m, full.alpha) == SETTINGS[base, benchmark.removesuffix("-concat")]
    assert (full.iterations, full.lambda_z, full.negative, full.competitors) == (200, 0.1, True, "none")
    results = [
        Result("my red", shots, name, 0, 9, 9, 9, *[0.5] * 8)
        for name, method in methods.items()
        for shots in ((0,) if method.kind == "text" else experiment.shots)
    ]
    for line in paper_table(experiment.table, [Run(benchmark, base, results, experiment.table)]).splitlines()[4:]:
        _, _, method, _, *numbers, concepts, images = line.strip("| ").split(" | ")
        ours = numbers[::2]
        if method != "SEEM":  # which the paper took from elsewhere
            assert set(ours) == {"50.0 [50.0, 50.0]"} and concepts == "1" and images in ("9", "18"), line


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return path


def test_one_value_is_set_and_several_are_compared(tmp_path: Path) -> None:
    text = "manifest: m.json\nmethods: [text, full]\nshots: 5\nalpha: [0.1, 0.3]\nlambda_m: 500\n"
    experiment = read_experiment(write(tmp_path, text))
    assert experiment.shots == (5,)
    chosen = experiment.chosen(OURS, FitConfig())
    assert [method.name for method in chosen] == ["text", "full, alpha 0.1", "full, alpha 0.3"]
    assert [(m.config.alpha, m.config.lambda_m) for m in chosen if m.config] == [(0.1, 500), (0.3, 500)]


def test_an_experiment_s_text_trusts_no_base(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'trust_base' is not a setting"):
        read_experiment(write(tmp_path, "manifest: m.json\nbase: b.yaml\ntrust_base: true\n"))
    experiment = read_experiment(write(tmp_path, "manifest: m.json\nbase: b.yaml\n"))
    assert "trust" not in experiment.base_options()
    assert overridden(experiment, {}, trust_base=True).base_options()["trust"] is True


def test_the_options_of_the_base_are_those_of_its_configuration(tmp_path: Path) -> None:
    others = {"device": "cuda", "weights": "w", "bank": "b", "dtype": "float16", "offline": True, "low_memory": True}
    lines = "".join(f"{name}: {str(value).lower()}\n" for name, value in others.items())
    experiment = read_experiment(write(tmp_path, f"manifest: m.json\nbase: colours\ntiles: 4\n{lines}"))
    assert experiment.base_options() == {"name_or_yaml": "colours", "tiles": 4, **others}
    assert {*experiment.options, "base"} == {option.name for option in fields(BaseConfig)}
    changed = overridden(experiment, {"tiles": 0}, base=None, shots=(2,))
    assert changed.base_options() == {**experiment.base_options(), "tiles": 0} and changed.shots == (2,)
    with pytest.raises(UsageError, match="tiles must be from 0 to 64"):
        overridden(experiment, {"tiles": 65})


def test_the_default_is_every_method_that_needs_no_other_model() -> None:
    names = [method.name for method in Experiment("m.json").chosen(OURS, FitConfig())]
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
    names = [method.name for method in Experiment("m.json").chosen(FitConfig(), FitConfig())]
    assert names[-2:] == ["full", "knn"]  # a base without competitors of its own
    (one,) = Experiment("m.json", methods=("full+competitors",)).chosen(FitConfig(), FitConfig())
    assert one.config == FitConfig(competitors="siblings", negative=False)  # which every base has
    (one,) = Experiment("m.json", methods=("full+competitors",)).chosen(OURS, FitConfig())
    assert one.config == OURS
    (one,) = Experiment("m.json", methods=("full",)).chosen(OURS, FitConfig(learning_rate=2e-3))
    assert one.config == FitConfig(learning_rate=2e-3)


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
        ("manifest: a\nby_concept: maybe\n", "line 2: by_concept must be true or false, not 'maybe'.", None),
        ("manifest: a\ntiles: 65\n", "line 2: tiles must be from 0 to 64, not 65.", None),
        ("manifest: a\noptions: {}\n", "line 2: 'options' is not a setting.", "The settings are alpha, bank"),
        ("manifest: 3\n", "line 1: manifest must be text, not 3.", None),
    ],
)
def test_a_bad_experiment_names_line_and_remedy(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert (caught.value.hint or "").startswith(hint or "") and (caught.value.hint is None) == (hint is None)
