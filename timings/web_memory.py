"""Measures the memory of the page's server over a hundred uploads, tab by tab, and what stays once the tabs are closed.

    python timings/web_memory.py [--base embedded] [--uploads 100] [--photos 10]

In this process, without HTTP's client in it: the requests of browser tabs one after the other, each of so many photos
of 12 megapixels, on which it also looks for words, and which it then closes. Prints one JSON object, in MB: the
resident memory before the first tab, with the most photos, after every tab is closed, and what the photos were
counted as.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

import ovss_personal as op
from ovss_personal.io.demo import demo_album
from ovss_personal.web.app import create_app
from ovss_personal.web.worker import Turn

SHOTS = demo_album("my_bird") / "images"
MB = 2**20


def resident() -> int:
    """MB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 // MB


def large_photos() -> list[bytes]:
    """The demo's photos at the size of a phone's, as JPEG."""
    found = []
    for path in sorted(SHOTS.glob("*.jpg")):
        buffer = io.BytesIO()
        picture = Image.open(path).convert("RGB").resize((4000, 3000))
        noise = np.random.default_rng(len(found)).integers(0, 9, (3000, 4000, 3), dtype=np.uint8)
        Image.fromarray(np.asarray(picture) // 2 + noise).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def one_tab(client: TestClient, photos: list[bytes], count: int, counted: Any) -> tuple[int, int]:
    """Opens a tab, sends photos, closes it; returns MB resident and MB counted while they were there."""
    tab = f"/api/tabs/{client.post('/api/tabs').json()['tab']}"
    for number in range(count):
        answer = client.post(f"{tab}/photos", content=photos[number % len(photos)])
        answer.raise_for_status()
        words = {"words": "bird, fence", "concepts": []}
        client.post(f"{tab}/photos/{answer.json()['photo']}/find", json=words).raise_for_status()
    held = resident(), sum(one.nbytes for one in counted.values()) // MB
    client.post(f"{tab}/close").raise_for_status()
    return held


def tidied(app: FastAPI) -> None:
    """Wait until what was asked of the base's thread is done: it gives memory back in its turn."""
    app.state.turns._worker.submit(Turn(), int).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--uploads", type=int, default=100)
    parser.add_argument("--photos", type=int, default=10, help="of one tab")
    options = parser.parse_args()
    app, photos = create_app(op.load_base(options.base)), large_photos()
    with TestClient(app, base_url="http://127.0.0.1") as client:
        counted = app.state.turns.tabs._tabs
        one_tab(client, photos, 2, counted)  # not counted: what is loaded when first it is needed
        tidied(app)
        before = resident()
        held, after = [], []
        for _ in range(options.uploads // options.photos):
            held.append(one_tab(client, photos, options.photos, counted))
            tidied(app)
            after.append(resident())
    report = {
        "before": before,
        "with photos, at most": max(mb for mb, _ in held),
        "counted as, at most": max(mb for _, mb in held),
        "after each tab": after,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
