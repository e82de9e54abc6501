"""What importing costs, what the public names are, and which way imports run."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Set
from pathlib import Path

import pytest

import ovss_personal

PACKAGE = Path(ovss_personal.__file__).parent

# From what the user meets down to what knows nothing; a module imports from its own row or one below.
LAYERS = [
    {"cli", "training"},
    {"web"},
    {"evaluation", "benchmarks", "pss"},
    {"engine"},
    {"bases", "store"},
    {"personal"},
    {"io"},
    {"painting"},
    {"structures"},
    {"pixels"},
    {"config"},
    {"settings"},
    {"errors", "text"},
]
STRANGERS = [{"personal", "bases"}, {"pss", "personal"}, {"pss", "evaluation"}, {"personal", "io"}, {"cli", "training"}]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def imported(path: Path) -> set[str]:
    """The parts of the program that a file imports, wherever in the file it does."""
    return {name.split(".")[1] for name in names_imported(path)} & LEVEL.keys()


def modules_imported(path: Path, modules: Set[str]) -> set[str]:
    """Those of `modules` that a file imports, wherever in the file it does: themselves, or a name in them."""
    names = names_imported(path)
    return (names | {name.rpartition(".")[0] for name in names}) & modules


def names_imported(path: Path) -> set[str]:
    """What a file imports of the program, as `ovss_personal.io.images.load_image`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("ovss_personal.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/**/*.py")) + sorted(PACKAGE.glob("[!_]*.py")), ids=str)
def test_imports_run_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in LEVEL, f"give {part} a place in LAYERS"
    for other in imported(path) - {part}:
        assert LEVEL[other] >= LEVEL[part], f"{part} imports {other}"
        assert {part, other} not in STRANGERS, f"{part} and {other} must not know each other"


def test_nothing_imports_the_trainings() -> None:
    others = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "training"]
    assert others and not [path for path in others if "training" in imported(path)]


def test_no_two_modules_import_each_other() -> None:
    files = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    graph = {name: modules_imported(path, files.keys()) for name, path in files.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", sorted((PACKAGE.parent / "timings").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_timing_imports_is_there(path: Path) -> None:
    for name in names_imported(path):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute) or importlib.util.find_spec(name), name


def test_every_public_name_resolves_and_is_listed() -> None:
    assert sorted(ovss_personal.__all__) == ovss_personal.__all__
    assert set(ovss_personal.__all__) == {*ovss_personal._HOME, "__version__"}
    for name in ovss_personal.__all__:
        assert getattr(ovss_personal, name) is not None
        assert name in dir(ovss_personal)
    with pytest.raises(AttributeError, match="has no attribute 'persnalize'"):
        _ = ovss_personal.persnalize


def test_the_version_is_the_distribution_s() -> None:
    from importlib.metadata import version

    assert ovss_personal.__version__ == version("ovss-personal")


@pytest.mark.parametrize("module", ["ovss_personal", "ovss_personal.cli"])
def test_importing_costs_no_heavy_library(module: str) -> None:
    heavy = {"torch", "numpy", "PIL", "transformers", "timm", "tokenizers", "scipy", "yaml", "tqdm"}
    loaded = python(f"import sys, {module}; print(' '.join(sys.modules))").split()
    assert not heavy & set(loaded)


NOT_NEEDED = {
    *("timm", "torchvision", "transformers", "sentence_transformers", "scipy", "sklearn"),
    *("huggingface_hub", "pydantic", "pandas", "matplotlib"),
}
COMPILER = {"torch._dynamo", "sympy"}  # which torch imports for little things, in a second


def test_the_embedded_base_needs_few_libraries() -> None:
    album = PACKAGE.parent / "datasets" / "demo" / "my_bird"
    code = f"""
import sys
import ovss_personal as op
from pathlib import Path

album = Path({str(album)!r})
photo = album / "test" / "images" / "01.jpg"
base = op.load_base("embedded")
op.segment(base, photo, words=["bird", "a word that no table has"])
print(*sys.modules)
concept = op.personalize(base, op.load_shots(album / "shots"), concept="my bird", class_name="bird")
op.segment(base, photo, words=["bird"], concepts=[concept]).overlay()
print(*sys.modules)
"""
    segmenting, learning = (set(line.split()) for line in python(code).splitlines())
    assert {"torch", "ovss_personal.bases.embedded.text"} <= segmenting
    assert not (NOT_NEEDED | COMPILER) & segmenting
    assert not (NOT_NEEDED | COMPILER) & learning


@pytest.mark.parametrize("command", ["main", "personalize_main"])
def test_help_answers_in_half_a_second(command: str) -> None:
    code = f"import sys; sys.argv = ['x', '--help']; from ovss_personal.cli import {command}; {command}()"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert "Usage:" in python(code)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


def test_the_data_packages_are_found_where_they_are_installed() -> None:
    from importlib.resources import files

    assert files("ovss_personal.demo_data").is_dir()
    assert (files("ovss_personal.third_party") / "san" / "san_vit_b_16.keys.tsv").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("personalize --concept 'my bird' --images SHOTS --out c", "learning 'my bird' from "),
        ("segment SHOTS/images/1.jpg --words bird --out o", "segmenting 1 photo …"),
        ("demo --out d", "loading …"),
        ("web --port 0", "loading …"),
    ],
)
def test_a_line_appears_on_a_terminal_before_torch_is_imported(tmp_path: Path, arguments: str, line: str) -> None:
    code = f"""
import builtins, shlex, sys
from ovss_personal.io.demo import demo_album
real = builtins.__import__
def unless_torch(name, *rest, **more):
    if name.split(".")[0] == "torch":
        raise SystemExit("torch is asked for")
    return real(name, *rest, **more)
builtins.__import__ = unless_torch
sys.stderr.isatty = lambda: True
sys.argv = ["x", *shlex.split({arguments!r}.replace("SHOTS", str(demo_album("my_bird"))))]
from ovss_personal.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    first, last = ended.stderr.splitlines()
    assert first.startswith(line) and last == "torch is asked for"
