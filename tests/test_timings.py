"""The script for whoever has a GPU, on the CPU with tiny networks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # this copy of the package, wherever another is installed


@pytest.mark.slow
def test_the_gpu_s_script_works() -> None:
    pytest.importorskip("diffusers")
    pytest.importorskip("open_clip")
    command = [sys.executable, "timings/gpu.py", "--device", "cpu", "--smoke"]
    ran = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    first, _, *lines = ran.stdout.splitlines()
    assert first == "| CPU, smoke run | |"
    told = [re.fullmatch(r"\| (.+) \| \d+\.\d+ (?:images/)?s \|", line) for line in lines]
    assert [line and line[1].split(",")[0] for line in told] == [
        "tiny_san",
        "tiny_san",
        "personalise K = 2 on tiny_san",
        "embedded",
        "odise_tiny",
    ]
