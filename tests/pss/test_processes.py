"""Several processes train together, as on several GPUs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ovss_personal.pss.checkpoint import load_network

TRAIN = """
import sys
from pathlib import Path
from ovss_personal.pss.methods import AdaptConfig
from ovss_personal.pss.run import Task, adapt_album

source, album, out = map(Path, sys.argv[1:])
config = AdaptConfig(backbone="lite2", iterations=2, batch=2, crop=64)
adapt_album(Task(config, source, album, out, side=64, imagenet=False), evaluates=True)
"""


@pytest.mark.slow
def test_two_processes(source: Path, album: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    launch = (
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    )
    options = ("--mixed_precision", "no", "--dynamo_backend", "no", str(tmp_path / "train.py"))
    places = (str(source), str(album), str(tmp_path / "run"))
    done = subprocess.run((*launch, *options, *places), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert load_network(tmp_path / "run/network.safetensors").config.context == "group"
    assert (tmp_path / "run/scores.json").is_file()
