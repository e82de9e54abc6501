"""The checkpoints that somebody published and that do not come with the program: where each is, and what it must be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ovss_personal.bases.checkpoint import Manifest, read_manifest
from ovss_personal.store.cache import default_folder


@dataclass(frozen=True)
class WeightSpec:
    """A published checkpoint.

    Attributes:
        name: of the base that it belongs to, or its own where bases share it.
        repo, revision, file: where it is on the Hugging Face hub.
        bytes, sha256: of the file, as far as they are known to us: of some, only the first digits of the sha256 are.
        licence, page: under which terms, and where that is said.
        manifest: TSV of what it holds; relative to `third_party/`.
        url: where it is, if not on the hub; `repo` and `revision` then say whose it is, and count for nothing else.
        open_ended: it may hold more than the manifest lists, which is left out.
        needs: names of the other weights that the base of this name cannot do without.
    """

    name: str
    repo: str
    revision: str
    file: str
    bytes: int | None
    sha256: str | None
    licence: str
    page: str
    manifest: str
    url: str | None = None
    open_ended: bool = False
    needs: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Its folder in the cache."""
        return default_folder() / "weights" / self.name

    @property
    def sha256_is_whole(self) -> bool:
        """Whether all of its sha256 is known to us."""
        return self.sha256 is not None and len(self.sha256) == 64

    def may_be(self, sha256: str) -> bool:
        """Whether a file of that sha256 may be this checkpoint, by all that is known to us."""
        return self.sha256 is None or sha256.startswith(self.sha256)

    def read_manifest(self) -> Manifest:
        from importlib.resources import files

        return read_manifest(Path(str(files("ovss_personal.third_party")), self.manifest))


STABLE_DIFFUSION, CLIP = "stable_diffusion_v1_3", "clip_vit_l_14_336"
_OPENAI_SHA256 = "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"


def _san(name: str) -> WeightSpec:
    return WeightSpec(
        name=name,
        repo="Mendel192/san",
        revision="main",
        file=f"{name}.pth",
        bytes=None,
        sha256=None,
        licence="MIT",
        page="https://huggingface.co/Mendel192/san",
        manifest=f"san/{name}.keys.tsv",
    )


def _odise(name: str, sha256: str) -> WeightSpec:
    file = f"{name}_coco_50e-{sha256}.pth"
    return WeightSpec(
        name=name,
        repo="NVlabs/ODISE",
        revision="v1.0.0",
        file=file,
        bytes=None,
        sha256=sha256,
        licence="CC BY-NC-SA 4.0, not for commercial use",
        page="https://github.com/NVlabs/ODISE",
        manifest=f"odise/{name}.keys.tsv",
        url=f"https://github.com/NVlabs/ODISE/releases/download/v1.0.0/{file}",
        open_ended=True,
        needs=(STABLE_DIFFUSION, CLIP),
    )


_SPECS = (
    _san("san_vit_b_16"),
    _san("san_vit_large_14"),
    _odise("odise_label", "b67d2efc"),
    _odise("odise_caption", "853cc971"),
    WeightSpec(
        name=STABLE_DIFFUSION,
        repo="CompVis/stable-diffusion-v-1-3-original",
        revision="main",
        file="sd-v1-3.ckpt",
        bytes=None,
        sha256=None,
        licence="CreativeML Open RAIL-M, which restricts uses",
        page="https://huggingface.co/CompVis/stable-diffusion-v-1-3-original",
        manifest="odise/ldm_to_diffusers.tsv",
        open_ended=True,
    ),
    WeightSpec(
        name=CLIP,
        repo="openai/CLIP",
        revision="main",
        file="ViT-L-14-336px.pt",
        bytes=None,
        sha256=_OPENAI_SHA256,
        licence="MIT",
        page="https://github.com/openai/CLIP",
        manifest="odise/clip_vit_l_14_336.keys.tsv",
        url=f"https://openaipublic.azureedge.net/clip/models/{_OPENAI_SHA256}/ViT-L-14-336px.pt",
        open_ended=True,
    ),
)
WEIGHTS = {spec.name: spec for spec in _SPECS}
