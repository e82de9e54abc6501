"""Times whole processes: what a command takes from its name to its answer, beside `import torch`.

    python timings/startup.py [--runs 9]

Prints a Markdown table of medians. The commands take turns, so that what else the machine does meets them all; a ratio
is the median of the ratios to the `import torch` of the same turn. Nothing is kept in the cache of proposals.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ovss_personal.io.demo import demo_album

TORCH = "import torch"


def commands(folder: Path) -> dict[str, list[str]]:
    """Name -> command; those that write do so below `folder`."""
    album = demo_album("my_bird")
    photo = album.parent / "test" / "images" / "01.jpg"
    program = [sys.executable, "-c", "from ovss_personal.cli import main; main()"]
    outside = ["--overwrite", "--no-cache"]
    learn = ["--images", str(album), "--concept", "my bird", "--shots", "5", "--out", str(folder / "concept"), *outside]
    find = [str(photo), "--words", "bird, tree", "--out", str(folder / "found"), *outside]
    return {
        TORCH: [sys.executable, "-c", "import torch"],
        "--help": [*program, "--help"],
        "segment one photo of 512 pixels": [*program, "segment", *find],
        "personalize from 5 shots": [*program, "personalize", *learn],
    }


def seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="turns that count, after one that does not")
    runs: int = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OVSS_PERSONAL_CACHE": f"{folder}/cache"}
        work = commands(Path(folder))
        turns = [{name: seconds(command, environment) for name, command in work.items()} for _ in range(runs + 1)][1:]
    print(f"| whole process, median of {runs} | seconds | / {TORCH} |\n|---|---|---|")
    for name in work:
        ratio = statistics.median(turn[name] / turn[TORCH] for turn in turns)
        print(f"| {name} | {statistics.median(turn[name] for turn in turns):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
