"""Whatever stands in a file that is read ends in a result or in one error of ours."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.base import FakeBase, reds
from fakes.benchmark import write_benchmark
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovss_personal.benchmarks.instances import Instance, InstanceSet, read_instances, run_lengths, write_instances
from ovss_personal.benchmarks.instances import Photo as InstancePhoto
from ovss_personal.benchmarks.manifest import read_manifest
from ovss_personal.config import load_config
from ovss_personal.engine.learn import personalize
from ovss_personal.errors import OvssError
from ovss_personal.evaluation.experiment import read_experiment
from ovss_personal.store.concept import Concept
from ovss_personal.store.record import check_targets, files_of, photos_done

FEW, MANY = 30, 10_000
NUMBERS = st.one_of(
    *(st.integers(), st.floats(), st.sampled_from([0, -1, 10**400, 2**63, 1e308, True])), st.just(float("inf"))
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", " ", "../x", "/etc/passwd", "data:../x", "a\0b", "\x1b[2J", "\udcfc", "nan", "a" * 400, "\n"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=6,
)


def place_in(document: Any, data: st.DataObject) -> tuple[Any, Any]:
    """A container somewhere in a document, and a key or an index of it."""
    inside = document
    while True:
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        below = inside[key]
        if not isinstance(below, (dict, list)) or not below or data.draw(st.booleans()):
            return inside, key
        inside = below


def mutated(document: Any, data: st.DataObject) -> Any:
    """The document with one or two places that hold something else, or nothing."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 2))):
        if not document:
            break
        inside, key = place_in(document, data)
        if data.draw(st.integers(0, 4)) == 0:
            del inside[key]
        else:
            inside[key] = data.draw(VALUES)
    return document


def bent(text: bytes, data: st.DataObject) -> bytes:
    """The bytes with a part taken out, doubled or replaced."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    return text[:start] + data.draw(st.one_of(st.binary(max_size=12), st.just(text[start:end] * 2))) + text[end:]


def json_bytes(document: Any, data: st.DataObject) -> bytes:
    if data.draw(st.integers(0, 3)) == 0:
        return bent(json.dumps(document).encode(), data)
    return json.dumps(mutated(document, data)).encode()


Reader = Callable[[st.DataObject], None]


@pytest.fixture(scope="module")
def concept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = FakeBase()
    learned = personalize(base, reds(2), concept="my red", class_name="square")
    return learned.save_pretrained(tmp_path_factory.mktemp("fuzz") / "concept")


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory, concept_folder: Path) -> dict[str, Reader]:
    root = tmp_path_factory.mktemp("fuzz")
    manifest = json.loads(write_benchmark(root / "squares").read_text("utf-8"))
    mask = torch.eye(8).bool().numpy()
    photo = InstancePhoto("1.png", "a" * 64, (8, 8), (Instance(0, run_lengths(mask)),), run_lengths(~mask))
    instances = json.loads(write_instances(InstanceSet("i", ("a",), (photo,), root / "i"), root).read_text("utf-8"))
    config_file, model_file = concept_folder / "adapter_config.json", concept_folder / "adapter_model.safetensors"
    config, model = json.loads(config_file.read_text("utf-8")), model_file.read_bytes()
    yaml = b"base: embedded\ntiles: 9\nalpha: 0.5\nseed: 3\nthreshold: null\nnegative: true\n# end\n"
    experiment = b"manifest: m.json\nbase: embedded\nmethods: [full]\nshots: [1, 3]\nalpha: [0.1, 0.2]\ntable: 2\n"
    word = {"word": "a", "mask": "a.b.png", "segmentation": None}
    entry = {"photo": "a.jpg", "labels": "a.labels.png", "overlay": "a.overlay.png", "words": [word]}
    result = {"versions": {}, "base": {}, "run": "x", "photos": [entry, dict(entry, photo="b.jpg")]}

    def reads(path: Path, read: Callable[[Path], object], make: Callable[[st.DataObject], bytes]) -> Reader:
        def run(data: st.DataObject) -> None:
            path.write_bytes(make(data))
            read(path)

        return run

    def read_concept(path: Path) -> None:
        found = Concept.from_pretrained(path.parent)
        found.check_base("fake", "f" * 64)
        assert len(found.fingerprint) == 64
        assert torch.isfinite(found.head.word).all()

    def concept(data: st.DataObject) -> None:
        changed = data.draw(st.sampled_from([config_file, model_file]))
        model_file.write_bytes(bent(model, data) if changed == model_file else model)
        config_file.write_bytes(json_bytes(config, data) if changed == config_file else json.dumps(config).encode())
        read_concept(config_file)

    def read_result(path: Path) -> None:
        assert photos_done(path.parent) >= 0
        check_targets(path.parent, [path.parent / "a.labels.png"], [])
        assert not any("/" in name for name in files_of([json.loads(path.read_text("utf-8"))]))

    def result_bytes(data: st.DataObject) -> bytes:
        return json.dumps(mutated(result, data)).encode()

    (root / "out").mkdir()
    return {
        "manifest": reads(root / "m.json", read_manifest, lambda data: json_bytes(manifest, data)),
        "instances": reads(root / "i.json", read_instances, lambda data: json_bytes(instances, data)),
        "concept": concept,
        "base YAML": reads(root / "b.yaml", load_config, lambda data: bent(yaml, data)),
        "experiment YAML": reads(root / "e.yaml", read_experiment, lambda data: bent(experiment, data)),
        "result": reads(root / "out" / "result.json", read_result, result_bytes),
    }


KINDS = ("manifest", "instances", "concept", "base YAML", "experiment YAML", "result")


def fuzz(read: Reader, examples: int) -> None:
    @settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of keys that are left out
            try:
                read(data)
            except OvssError as error:
                assert str(error) and len(str(error)) < 3000
                assert error.exit_code in (3, 4)

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_bent_files(readers: dict[str, Reader], kind: str) -> None:
    fuzz(readers[kind], FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_bent_files(readers: dict[str, Reader], kind: str) -> None:
    fuzz(readers[kind], MANY)
