"""The notebooks run from the first cell to the last, and what is committed of them is whole and of no machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MAX_BYTES = 600_000
# Homes, temporary folders and drives: "/home/ann", "C:\\Users"; not the "</td>" of a table or "K = 1/2".
OF_A_MACHINE = re.compile(r"(?<![\w.<])/(?:home|root|tmp|var|usr|opt|Users|work|mnt|private)/|\b[A-Z]:\\\\?\w")


def outputs(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in notebook["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def texts(notebook: dict[str, Any]) -> str:
    """All that the cells say, and all that they printed; pictures left out."""
    said = [line for cell in notebook["cells"] for line in cell["source"]]
    for output in outputs(notebook):
        said += output.get("text", [])
        said += [line for kind, data in output.get("data", {}).items() if kind.startswith("text/") for line in data]
    return "".join(said)


def test_all_four_are_there() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["01_five_minutes", "02_your_photos", "03_tuning", "04_swap_the_base"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_with_its_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    shown = outputs(notebook)
    assert not [output for output in shown if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any(kind.startswith("image/") for output in shown for kind in output.get("data", {}))
    assert not OF_A_MACHINE.search(texts(notebook))
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient", reason="the extra [notebooks] is not installed")
    pytest.importorskip("ipykernel", reason="the extra [notebooks] is not installed")
    copy = Path(shutil.copy(path, tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("OVSS_PERSONAL_WEIGHTS", raising=False)
    # A process of its own, as a kernel's sockets and threads are not this one's to judge.
    command = [sys.executable, "-c", "from nbclient.cli import main; main()", "--inplace", "--timeout=600", copy.name]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    executed = json.loads(copy.read_text("utf-8"))
    assert not [output for output in outputs(executed) if output.get("name") == "stderr"]
    assert sorted(file.name for file in tmp_path.iterdir() if file.name != "ipython") == [path.name]
