from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import FakeBase

from ovss_personal import bases
from ovss_personal.bases import ATTRIBUTES, BASES, METHODS, load_base
from ovss_personal.bases.base import Base
from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.odise.base import OdiseCaption, OdiseLabel
from ovss_personal.bases.san.base import SanViTB16
from ovss_personal.config import BaseConfig, FitConfig
from ovss_personal.errors import ConfigError, UsageError, WeightsError


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base of the program's own that is light to load."""
    monkeypatch.setitem(BASES, "colours", ("fakes.base", "FakeBase", "sees colours"))


def yaml(folder: Path, text: str) -> Path:
    path = folder / "base.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("embeded", "did you mean 'embedded'?"),
        ("Embedded", "did you mean 'embedded'?"),
        ("sam", f"the bases are: {', '.join(BASES)}; or name a .yaml file."),
        ("", f"the bases are: {', '.join(BASES)}; or name a .yaml file."),
        ("san_vit_b16", "did you mean 'san_vit_b_16'?"),
        ("odise-label", "did you mean 'odise_label'?"),
    ],
)
def test_an_unknown_base_is_a_usage_error_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"there is no base '{name}'") as caught:
        load_base(name)
    assert caught.value.exit_code == 2 and caught.value.hint == hint


def test_an_unknown_base_in_a_yaml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no base 'embeded'"):
        load_base(yaml(tmp_path, "base: embeded\n"))


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cpu:1", "'cpu:1' is not on this machine"),
        ("mps", "not on this machine"),
        ("meta", "not on this machine"),
        ("cuda", "'cuda' is not on this machine"),
        ("cuda:7", "not on this machine"),
        ("gpu", "'gpu' is not a device"),
    ],
)
def test_a_device_that_is_absent_is_never_replaced(
    colours: None, device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=message) as caught:
        load_base("colours", device=device)
    assert caught.value.exit_code == 2 and caught.value.hint == "devices here: cpu."


@pytest.mark.parametrize(("device", "there"), [("cuda", True), ("cuda:1", True), ("cuda:2", False)])
def test_of_two_devices_the_third_is_absent(
    colours: None, device: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    if there:
        assert load_base("colours", device=device).config.device == device
    else:
        with pytest.raises(UsageError, match="'cuda:2' is not on this machine") as caught:
            load_base("colours", device=device)
        assert caught.value.hint == "devices here: cpu, cuda:0, cuda:1."


def test_a_name_alone_leaves_the_fit_to_the_base(colours: None) -> None:
    base = load_base("colours")
    assert isinstance(base, FakeBase) and base.fit_defaults == FakeBase().fit_defaults
    assert (base.config.base, base.config.device, base.config.tiles) == ("colours", "cpu", 0)


def test_a_yaml_sets_base_and_fit_and_arguments_override_it(colours: None, tmp_path: Path) -> None:
    path = yaml(tmp_path, "base: colours\ntiles: 9\niterations: 7\n")
    base = load_base(path)
    assert base.config.tiles == 9 and base.fit_defaults == replace(FakeBase().fit_defaults, iterations=7)
    assert base.paper_defaults == FitConfig()
    assert load_base(str(path), tiles=0, device="cpu").config.tiles == 0
    given = load_base(path, weights=Path("san.pth"), dtype="bfloat16", offline=True, low_memory=True, bank=None).config
    assert (given.tiles, given.weights, given.dtype, given.offline) == (9, "san.pth", "bfloat16", True)
    assert given.low_memory and not load_base(path).config.low_memory


@pytest.mark.parametrize("kind", [FakeBase, EmbeddedBase, SanViTB16, OdiseLabel])
def test_a_yaml_that_names_a_base_and_no_more_leaves_the_fit_to_it(
    kind: type[Base], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each kind; what is right for the embedded base is wrong for the others."""
    if kind is not FakeBase:  # whose weights are not needed to tell
        monkeypatch.setattr(kind, "__init__", lambda self, config: None)
    monkeypatch.setattr(bases, "EXTRAS", {})
    monkeypatch.setitem(BASES, "one", (kind.__module__, kind.__name__, "a base"))
    base, plain = load_base(yaml(tmp_path, "base: one\n")), kind(BaseConfig())
    assert base.fit_defaults == plain.fit_defaults and base.paper_defaults == plain.paper_defaults
    changed = load_base(yaml(tmp_path, "base: one\nalpha: 0.7\n"))
    assert changed.fit_defaults == replace(plain.fit_defaults, alpha=0.7)
    assert changed.paper_defaults == plain.paper_defaults and kind(BaseConfig()).fit_defaults == plain.fit_defaults


def test_every_base_s_own_fit_and_the_paper_s() -> None:
    embedded, san, odise = (
        [(fit.alpha, fit.learning_rate, fit.lambda_m, fit.competitors, fit.negative) for fit in sets]
        for sets in ((k.fit_defaults, k.paper_defaults) for k in (EmbeddedBase, SanViTB16, OdiseCaption))
    )
    assert embedded == [(0.5, 5e-3, 10, "both", False), (0.1, 5e-4, 10, "none", True)]
    assert san == [(0.1, 5e-4, 10, "none", True)] * 2
    assert odise == [(0.1, 2e-3, 10, "none", True)] * 2


def test_a_dotted_path_names_a_class_of_one_s_own(tmp_path: Path) -> None:
    base = load_base(yaml(tmp_path, "base: fakes.base.FakeBase\ntiles: 4\n"), trust=True)
    assert isinstance(base, FakeBase) and base.config.tiles == 4
    assert base.propose([torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()])[0].masks.shape == (6, 8, 8)


@pytest.mark.parametrize("path", ["fakes.base.Nobody", "nobody.Base", ".Base", "fakes."])
def test_a_dotted_path_that_leads_nowhere(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="cannot be imported") as caught:
        load_base(yaml(tmp_path, f"base: {path}\n"), trust=True)
    assert caught.value.exit_code == 2


def test_no_text_alone_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile.py").write_text("raise SystemExit('the code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    for text in ("base: hostile.Base\n", "base: os.system\n"):
        with pytest.raises(UsageError, match="to load it runs its code") as caught:
            load_base(yaml(tmp_path, text))
        assert "--trust-base" in str(caught.value.hint)
    for key in ("trust", "trust_base"):
        with pytest.raises(ConfigError, match=f"'{key}' is not a setting"):
            load_base(yaml(tmp_path, f"base: hostile.Base\n{key}: true\n"))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("os.getcwd", "is no class"),
        ("subprocess.Popen", "has no encode, propose, word_scores, competitors"),
        ("pathlib.Path", "has no encode"),
    ],
)
def test_what_is_no_base_is_not_called(tmp_path: Path, path: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_base(yaml(tmp_path, f"base: {path}\n"), trust=True)


def test_a_class_that_lacks_an_attribute_is_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FakeBase, "dim")
    with pytest.raises(UsageError, match="has no dim, so it is no base"):
        load_base(yaml(tmp_path, "base: fakes.base.FakeBase\n"), trust=True)


def test_the_members_of_a_base_are_those_of_the_protocol() -> None:
    assert set(ATTRIBUTES) == set(Base.__annotations__)
    assert set(METHODS) == {name for name in vars(Base) if not name.startswith("_")}


def test_a_dotted_path_needs_a_yaml() -> None:
    with pytest.raises(UsageError, match="there is no base"):
        load_base("fakes.base.FakeBase")


def test_broken_yaml_and_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration"):
        load_base(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="'tile' is not a setting") as caught:
        load_base(yaml(tmp_path, "tile: 9\n"))
    assert caught.value.hint == "Did you mean 'tiles'?"
    with pytest.raises(ConfigError, match="tiles must be from 0 to 64, not -1"):
        load_base("embedded", tiles=-1)


@pytest.mark.parametrize(
    ("option", "hint"),
    [("tile", "did you mean 'tiles'?"), ("qq", "the options are: device, tiles,"), ("base", "the options are: ")],
)
def test_an_option_that_a_base_has_not(colours: None, option: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"a base has no option '{option}'") as caught:
        load_base("colours", **{option: 4})
    assert (caught.value.hint or "").startswith(hint)


def test_weights_from_a_yaml_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_base(yaml(tmp_path, f"base: embedded\nweights: {tmp_path / 'none'}\n"))
    assert caught.value.exit_code == 4


def test_the_embedded_base_has_one_precision() -> None:
    with pytest.raises(UsageError, match="computes in float32, not float16") as caught:
        load_base("embedded", dtype="float16")
    assert caught.value.exit_code == 2


def test_a_base_whose_extra_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "EXTRAS", {"san_vit_b_16": ("san", "no_such_module")})
    with pytest.raises(UsageError, match="needs no_such_module, which is not installed") as caught:
        load_base("san_vit_b_16")
    assert caught.value.exit_code == 2 and caught.value.hint == "pip install 'ovss-personal[san]'"


def test_extras_are_of_bases() -> None:
    assert bases.EXTRAS.keys() <= bases.BASES.keys()


def test_a_base_needs_all_modules_of_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bases.EXTRAS, "odise_tiny", ("odise", "torch", "no_such_module"))
    with pytest.raises(UsageError, match="needs no_such_module") as caught:
        load_base("odise_tiny")
    assert caught.value.hint == "pip install 'ovss-personal[odise]'"


def test_every_base_has_a_line_about_it() -> None:
    assert "embedded" in bases.BASES
    assert all(len(entry) == 3 and entry[2] for entry in bases.BASES.values())
