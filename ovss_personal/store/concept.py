"""Concept: what was learned, and its folder on disk.

A folder holds `adapter_model.safetensors`, `adapter_config.json` and a `README.md` card: numbers and words, never
pixels or paths. It is written whole or not at all. Reading it runs no code, and trusts nothing it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.config import FitConfig
from ovss_personal.errors import ConceptError, ConfigError, VocabularyError, counted
from ovss_personal.io.archives import is_zip
from ovss_personal.io.vocabulary import check_word
from ovss_personal.store.concept_files import (
    CARD_FILE,
    CONFIG_FILE,
    FORMAT_VERSION,
    LIBRARY,
    MODEL_FILE,
    download,
    known_values,
    on_hub,
    read_config,
    read_head,
)
from ovss_personal.store.concept_values import MAX_SHOTS, MAX_WORDS, count, listed, losses_of, share, text_of
from ovss_personal.store.concept_zip import unpacked_concept
from ovss_personal.store.files import atomic_folder
from ovss_personal.text import brief

if TYPE_CHECKING:
    from torch import Tensor

    from ovss_personal.personal.head import PersonalHead


@dataclass(frozen=True)
class ShotReport:
    """How one shot fared.

    Attributes:
        name: of the shot, for messages while it is learned; not saved. "shot 1" where it was read again.
        sha256: of its image file, or of its pixels.
        iou: of the fitted concept on this shot, which it was fitted on.
        leave_one_out: IoU on this shot of a concept fitted on the others; None for a single shot.
        outlier: whether it is far below the other shots in that.
    """

    name: str
    sha256: str
    iou: float
    leave_one_out: float | None = None
    outlier: bool = False


@dataclass(frozen=True)
class AlbumReport:
    """How many unlabelled photos were looked at, and in how many of them the concept was found and learned from."""

    photos: int
    used: int


@dataclass(frozen=True)
class FitReport:
    """Per shot how it fared, the final losses by name (seg, neg_embedding, neg_mask), and the album, if any."""

    shots: tuple[ShotReport, ...]
    losses: Mapping[str, float]
    album: AlbumReport | None = None


@dataclass(frozen=True)
class Concept:
    """One personal thing, learned on one frozen base.

    Attributes:
        name: what the user calls it, e.g. "my bird".
        class_name: what it is, e.g. "bird".
        base_name, base_fingerprint: of the base it was learned on; it is worthless on any other.
        words: the open words it was fitted against.
        head: the learned tensors.
        config: the settings of the fit.
        report: how the fit went.
    """

    name: str
    class_name: str
    base_name: str
    base_fingerprint: str
    words: tuple[str, ...]
    head: PersonalHead
    config: FitConfig
    report: FitReport

    @property
    def fingerprint(self) -> str:
        """sha256 over all that changes what is found."""
        tensors = self.head.tensors()
        parts = [self.class_name, self.base_fingerprint, list(self.words), self.head.alpha, asdict(self.config)]
        digest = hashlib.sha256(json.dumps(parts).encode())
        for name in sorted(tensors):
            digest.update(tensors[name].detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def check_base(self, name: str, fingerprint: str) -> None:
        """Raises ConceptError unless the concept was learned on this very base."""
        if fingerprint == self.base_fingerprint and name != self.base_name:
            raise ConceptError(
                f"the concept '{self.name}' says that it was learned on base '{self.base_name}', but its "
                f"base_fingerprint is that of '{name}'.",
                hint="its files were changed; run personalize again.",
            )
        if fingerprint != self.base_fingerprint:
            same = "of that name but with other weights or settings" if name == self.base_name else f"'{name}'"
            raise ConceptError(
                f"the concept '{self.name}' was learned on base '{self.base_name}' (base_fingerprint "
                f"{self.base_fingerprint[:12]}), but the base loaded is one {same} ({fingerprint[:12]}).",
                hint=f"load the base it was learned on, or run personalize again on '{name}'.",
            )

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the concept's folder, whole or not at all.

        Raises:
            OutputError: the folder exists and `overwrite` is false, or is not a concept's, or cannot be written.
            ResourceError: the disk is full.
        """
        from safetensors.torch import save

        with atomic_folder(folder, overwrite, owned_by=CONFIG_FILE) as part:
            tensors = {k: v.detach().cpu().contiguous() for k, v in self.head.tensors().items()}
            # Not save_file: on a full disk it raises an error of its own that hides the reason.
            (part / MODEL_FILE).write_bytes(save(tensors, metadata={"format": "pt"}))
            (part / CONFIG_FILE).write_text(json.dumps(self._to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
            (part / CARD_FILE).write_text(self._card(), "utf-8")
        return Path(folder)

    @classmethod
    def from_pretrained(cls, source: str | Path, *, offline: bool = False) -> Concept:
        """Read a concept from its folder or a zip of it, or from the Hugging Face hub where that is asked for.

        Args:
            source: a folder, or a zip of it; or `hf://user/name` (or `hub:user/name`), a repository of the hub.
                Nothing else opens a connection, so that a misspelt path does not.
            offline: take of the hub what was downloaded before, as if HF_HUB_OFFLINE were set.

        Raises:
            ConceptError: it is not there, or anything in it is missing, broken, of a newer format or not finite.
        """
        if is_zip(Path(source)) and Path(source).is_file():
            with unpacked_concept(Path(source)) as unpacked:
                return cls.from_pretrained(unpacked)
        folder = download(source, offline) if on_hub(source) else Path(source)
        config = read_config(folder)
        try:
            return cls._from_json(config, read_head(folder, config))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, ConfigError, VocabularyError) as error:
            raise ConceptError(
                f"a field is missing or of the wrong type ({error}).",
                path=folder / CONFIG_FILE,
                hint="run personalize again.",
            ) from error

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the concept's folder to the Hugging Face hub; returns its address.

        The folder is made whole, in a temporary place, before any network call. Private unless said otherwise.

        Raises:
            ConceptError: the upload failed.
        """
        import tempfile

        from huggingface_hub import HfApi

        with tempfile.TemporaryDirectory() as work:
            folder = self.save_pretrained(Path(work) / "concept")
            try:
                api = HfApi(token=token)
                api.create_repo(repo_id, private=private, exist_ok=True)
                return str(api.upload_folder(repo_id=repo_id, folder_path=folder))
            except Exception as error:
                raise ConceptError(
                    f"could not be uploaded to '{repo_id}' ({error}).",
                    hint="log in with 'hf auth login', and check the network.",
                ) from error

    def _to_json(self) -> dict[str, Any]:
        from ovss_personal import __version__

        return {
            "format_version": FORMAT_VERSION,
            "library": LIBRARY,
            "library_version": __version__,
            "concept": self.name,
            "class_name": self.class_name,
            "base": self.base_name,
            "base_fingerprint": self.base_fingerprint,
            "num_proposals": len(self.head.mask_weights),
            "dim": len(self.head.text),
            "alpha": self.head.alpha,
            "fit": asdict(self.config),
            "words": list(self.words),
            "shots": [_shot_json(number, shot) for number, shot in enumerate(self.report.shots, 1)],
            "losses": dict(self.report.losses),
            "album": None if self.report.album is None else asdict(self.report.album),
        }

    @classmethod
    def _from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Concept:
        from ovss_personal.personal.head import PersonalHead

        shots = listed(config["shots"], "shots", MAX_SHOTS)
        text = {key: config[key] for key in ("concept", "class_name", "base", "base_fingerprint")}
        text |= {f"words[{i}]": word for i, word in enumerate(listed(config["words"], "words", MAX_WORDS))}
        for key, value in text.items():
            if not isinstance(value, str) or check_word(value, f"'{key}'") != value:
                raise TypeError(f"'{key}' is {brief(value)}, not text")
        return cls(
            name=text["concept"],
            class_name=text["class_name"],
            base_name=text["base"],
            base_fingerprint=text["base_fingerprint"],
            words=tuple(config["words"]),
            head=PersonalHead(**tensors, alpha=share(config["alpha"], "alpha")),
            config=FitConfig(**known_values({field.name for field in fields(FitConfig)}, config["fit"], "fit")),
            report=FitReport(
                shots=tuple(_shot_report(number, shot) for number, shot in enumerate(shots, 1)),
                losses=losses_of(config["losses"]),
                album=None if config.get("album") is None else _album_report(config["album"]),
            ),
        )

    def _card(self) -> str:
        rows = "\n".join(
            f"| {i} | {s.iou:.2f} | {'–' if s.leave_one_out is None else f'{s.leave_one_out:.2f}'} |"
            for i, s in enumerate(self.report.shots, 1)
        )
        return (
            f"---\nlibrary_name: {LIBRARY}\ntags: [open-vocabulary-segmentation, personalization]\n---\n\n"
            f"# {self.name}\n\nA personal {self.class_name}, learned from "
            f"{counted(len(self.report.shots), 'photo')} on the "
            f"frozen base `{self.base_name}` (fingerprint `{self.base_fingerprint[:12]}`).\n\n"
            "```python\nimport ovss_personal as op\n\n"
            f'base = op.load_base("{self.base_name}")\nconcept = op.Concept.from_pretrained("PATH OR hf://USER/NAME")\n'
            'op.segment(base, "photo.jpg", words=["tree", "grass"], concepts=[concept])\n```\n\n'
            f"| shot | IoU | leave-one-out IoU |\n|---|---|---|\n{rows}\n"
        )


def _album_report(values: Any) -> AlbumReport:
    known = known_values({field.name for field in fields(AlbumReport)}, values, "album")
    return AlbumReport(photos=count(known["photos"], "photos"), used=count(known["used"], "used"))


def _shot_json(number: int, shot: ShotReport) -> dict[str, Any]:
    return {"index": number, **{name: value for name, value in asdict(shot).items() if name != "name"}}


def _shot_report(number: int, values: Any) -> ShotReport:
    known = known_values({"index", *(field.name for field in fields(ShotReport))}, values, "shots")
    alone = known.get("leave_one_out")
    return ShotReport(
        name=f"shot {number}",
        sha256=text_of(known["sha256"], "sha256"),
        iou=share(known["iou"], "iou"),
        leave_one_out=None if alone is None else share(alone, "leave_one_out"),
        outlier=bool(known.get("outlier", False)),
    )
