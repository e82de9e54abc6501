"""What a browser tab does, without a browser."""

from __future__ import annotations

import io
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from fakes import photo
from PIL import Image

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from httpx import Response

RED = 0  # the proposal of the red square


class Page:
    """What a browser tab does."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.tab = client.post("/api/tabs").json()["tab"]

    def at(self, path: str) -> str:
        return f"/api/tabs/{self.tab}/{path}"

    def upload(self, data: bytes, name: str = "red.png") -> Response:
        return self.client.post(self.at("photos"), params={"file": name}, content=data)

    def add(self, image: np.ndarray[Any, Any], name: str = "red.png") -> dict[str, Any]:
        answer = self.upload(encoded(image), name)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def learn(self, shots: list[dict[str, Any]], name: str = "my mug", class_name: str = "mug") -> dict[str, Any]:
        answer = self.client.post(self.at("learn"), json={"name": name, "class_name": class_name, "shots": shots})
        assert answer.status_code == 200, answer.text
        for _ in range(600):
            job = self.client.get(self.at(f"jobs/{answer.json()['job']}")).json()
            if job["state"] in ("done", "failed"):
                return dict(job)
            time.sleep(0.05)
        raise AssertionError("the job does not end")

    def teach(self, colour: str = "red", name: str = "my mug") -> dict[str, Any]:
        shots = [marked(self.add(photo(colour, top=4 * i, noise=i + 1))) for i in range(2)]
        job = self.learn(shots, name=name)
        assert job["state"] == "done", job
        return dict(job["result"])

    def find(self, key: str, words: str, *concepts: str) -> Response:
        return self.client.post(self.at(f"photos/{key}/find"), json={"words": words, "concepts": concepts})


def encoded(image: np.ndarray[Any, Any], kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def outline(proposal: int, x: float = 0.5, y: float = 0.4) -> dict[str, Any]:
    return {"kind": "outline", "add": True, "proposal": proposal, "at": [x, y]}


def marked(described: dict[str, Any], proposal: int = RED) -> dict[str, Any]:
    return {"photo": described["photo"], "steps": [outline(proposal)]}


def painted(found: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.repeat(found["values"], found["lengths"]).reshape(found["size"])


def png_of(answer: Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()
