"""A file of the Hugging Face hub or of another server, downloaded so that an interrupted download goes on where it
stopped.

Of huggingface_hub, its `http_get` and `http_backoff` are used, which are steps of `hf_hub_download`, and not that
function itself, for two things that it cannot do (version 1.0 and later; tests/bases/test_weights.py holds us to both):

- It downloads into a file of a random name and removes that file when it fails. A download that was killed or lost its
  connection for good begins anew, and these are of gigabytes (`test_a_download_goes_on_in_another_run`).
- It knows files of the hub alone. ODISE's checkpoints are on GitHub, and CLIP's on a server of OpenAI's
  (`test_a_file_that_is_not_on_the_hub_is_told_resumed_and_recorded`).

All settings of huggingface_hub (HF_ENDPOINT, HF_TOKEN, timeouts, proxies) count as they do there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ovss_personal.errors import WeightsError
from ovss_personal.store.files import write_errors


class HubFile(NamedTuple):
    """One version of a file on the hub.

    Attributes:
        name: in its repository.
        url: of this very version.
        etag: what the server tells versions apart by.
        bytes: its size, if the server says it.
        on_hub: whether it is on the hub, which is told who asks.
    """

    name: str
    url: str
    etag: str
    bytes: int | None
    on_hub: bool = True

    @property
    def sha256(self) -> str | None:
        """The checksum that the hub itself states, as it does of large files."""
        return self.etag if self.on_hub and re.fullmatch(r"[0-9a-f]{64}", self.etag) else None


def is_offline() -> bool:
    """Whether the user's environment forbids connections to the hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def look_up(repo: str, revision: str, name: str) -> HubFile:
    """Ask the hub for the version of a file that a branch, tag or commit has now.

    Raises:
        WeightsError: there is no such file, or the hub does not answer.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo, name, revision=revision)
    try:
        found = get_hf_file_metadata(url)
    except Exception as error:
        raise _failed(url, error) from error
    pinned = hf_hub_url(repo, name, revision=found.commit_hash or revision)
    return HubFile(name, pinned, found.etag or "", found.size)


def look_up_url(url: str) -> HubFile:
    """Ask any server for the size and version of a file.

    Raises:
        WeightsError: there is no such file, or the server does not answer.
    """
    from huggingface_hub.utils import hf_raise_for_status, http_backoff  # type: ignore[attr-defined]

    try:
        with _quiet("huggingface_hub"):
            # Once more, as the connection that is kept from an earlier request may be closed at the other end.
            answer = http_backoff("HEAD", url, max_retries=1)
        hf_raise_for_status(answer)
    except Exception as error:
        raise _failed(url, error) from error
    size = answer.headers.get("Content-Length", "")
    name = url.rpartition("/")[2]
    return HubFile(name, url, answer.headers.get("ETag", url), int(size) if size.isdecimal() else None, on_hub=False)


def download(file: HubFile, folder: Path) -> Path:
    """Fetch a file into `folder`, going on from what an earlier attempt left; returns the hidden `.part` it is in.

    On a terminal, huggingface_hub draws its progress bar.

    Raises:
        WeightsError: the connection was lost for good; what has come is kept.
        ResourceError: the disk is full; nothing is kept.
        OutputError: the folder cannot be written.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    version = hashlib.sha256(file.etag.encode()).hexdigest()[:16]
    part = folder / f".{file.name}.{version}.part"
    with write_errors(part):
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.glob(f".{file.name}.*.part"):
            if other != part:  # begun on a version that the hub no longer has
                other.unlink()
        try:
            with _quiet("huggingface_hub.file_download"), open(part, "ab") as stream:
                http_get(
                    file.url,
                    stream,
                    resume_size=stream.tell(),
                    headers=build_hf_headers() if file.on_hub else None,
                    expected_size=file.bytes,
                    displayed_filename=file.name,
                )
                stream.flush()
                os.fsync(stream.fileno())
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:  # the file system's: the network's have none
                part.unlink(missing_ok=True)
                raise
            raise _failed(file.url, error) from error
    return part


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keeps a logger from telling of every attempt: if the last one fails, that is an error of ours."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _failed(url: str, error: Exception) -> WeightsError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return WeightsError(
        f"could not be downloaded ({reason}).",
        path=url,
        hint="Check the network and run it again, or put the file into a folder that OVSS_PERSONAL_WEIGHTS names.",
    )
