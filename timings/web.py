"""Times the page's server with eight browser tabs at once, each from three photos to two that are searched.

    python timings/web.py [--base embedded] [--tabs 8]

Over HTTP on 127.0.0.1, from an album of the demo; in every photo the outline nearest to the true mask is clicked.
Prints one JSON object: how many tabs failed and why, and seconds, of a tab alone first and of the tabs together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from PIL import Image

import ovss_personal as op
from ovss_personal.io.demo import demo_album
from ovss_personal.web.app import create_app

SHOTS = demo_album("my_bird")
TESTS = SHOTS.parent / "test" / "images"
WORDS = "bird, fence, flowerpot, hat on my bird"
PATIENCE = 600.0


def serve(base: Any) -> tuple[uvicorn.Server, str]:
    server = uvicorn.Server(uvicorn.Config(create_app(base), port=0, log_level="warning", access_log=False))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return server, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


class Tab:
    """A browser tab, and the seconds it has waited for each kind of answer."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=PATIENCE)
        self.at = f"/api/tabs/{self._asked('POST', '/api/tabs')['tab']}"
        self.seconds: dict[str, list[float]] = {"a photo": [], "learning": [], "words": []}

    def _asked(self, method: str, path: str, **options: Any) -> Any:
        answer = self.client.request(method, path, **options)
        answer.raise_for_status()
        return answer.json()

    def add(self, path: Path) -> dict[str, Any]:
        began = time.perf_counter()
        described = self._asked("POST", f"{self.at}/photos", params={"file": path.name}, content=path.read_bytes())
        self.client.get(f"{self.at}/photos/{described['photo']}/preview.jpg").raise_for_status()
        self.seconds["a photo"].append(time.perf_counter() - began)
        return dict(described)

    def learn(self, shots: list[dict[str, Any]]) -> dict[str, Any]:
        began = time.perf_counter()
        request = {"name": "my bird", "class_name": "bird", "shots": shots}
        job = self._asked("POST", f"{self.at}/learn", json=request)["job"]
        while (told := self._asked("GET", f"{self.at}/jobs/{job}"))["state"] in ("waiting", "running"):
            time.sleep(0.2)
        if told["state"] != "done":
            raise RuntimeError(told["error"])
        self.seconds["learning"].append(time.perf_counter() - began)
        return dict(told["result"])

    def find(self, photo: str, concept: str) -> bool:
        began = time.perf_counter()
        request = {"words": WORDS, "concepts": [concept]}
        found = self._asked("POST", f"{self.at}/photos/{photo}/find", json=request)
        self.seconds["words"].append(time.perf_counter() - began)
        return bool(found["words"][-1]["present"])


def clicked(described: dict[str, Any], mask_file: Path) -> dict[str, Any]:
    """The photo with a click on the outline nearest to the true mask, in the middle of what they share."""
    height, width = described["grid"]
    truth = np.asarray(Image.open(mask_file).convert("L").resize((width, height), Image.Resampling.NEAREST)) > 0
    best, share = {}, -1.0
    for outline in described["outlines"]:
        runs = outline["runs"]
        mask = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width) == 1
        iou = (mask & truth).sum() / (mask | truth).sum()
        if iou > share and (mask & truth).any():
            rows, columns = np.nonzero(mask & truth)
            middle = len(rows) // 2
            at = [(columns[middle] + 0.5) / width, (rows[middle] + 0.5) / height]
            share, best = iou, {"kind": "outline", "add": True, "proposal": outline["id"], "at": at}
    return {"photo": described["photo"], "steps": [best]}


def one_tab(address: str) -> tuple[float, dict[str, list[float]], bool]:
    """Seconds in all, by kind of answer, and whether my bird was found in both photos."""
    began = time.perf_counter()
    tab = Tab(address)
    shots = [clicked(tab.add(SHOTS / "images" / f"{n}.jpg"), SHOTS / "masks" / f"{n}.png") for n in (1, 2, 5)]
    concept = tab.learn(shots)["concept"]
    found = [tab.find(tab.add(TESTS / f"{n}.jpg")["photo"], concept) for n in ("01", "03")]
    tab._asked("POST", f"{tab.at}/close")
    return time.perf_counter() - began, tab.seconds, all(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--tabs", type=int, default=8)
    options = parser.parse_args()
    server, address = serve(op.load_base(options.base))
    one_tab(address)  # not counted: it waits for the words of a fit
    alone = one_tab(address)
    began = time.perf_counter()
    with ThreadPoolExecutor(options.tabs) as pool:
        asked = [pool.submit(one_tab, address) for _ in range(options.tabs)]
    whole = time.perf_counter() - began
    server.should_exit = True
    failures = [repr(tab.exception()) for tab in asked if tab.exception()]
    done = [tab.result() for tab in asked if not tab.exception()]
    report: dict[str, Any] = {
        "tabs": options.tabs,
        "failed": failures,
        "found in both photos": sum(ok for _, _, ok in done),
        "a tab alone, s": round(alone[0], 2),
        "all tabs, s": round(whole, 2),
    }
    for kind in alone[1]:
        waits = [seconds for _, by_kind, _ in done for seconds in by_kind[kind]]
        report[f"{kind}, alone / median / longest, s"] = [
            round(value, 2) for value in (statistics.median(alone[1][kind]), statistics.median(waits), max(waits))
        ]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
