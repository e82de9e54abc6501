"""The tensors of the five parts: ODISE's own, three of Stable Diffusion's and CLIP's.

They come as every base's weights do (`bases/weights`), or from a folder of the user's::

    folder/
      odise_label_coco_50e-b67d2efc.pth    or odise_caption_coco_50e-853cc971.pth
      ViT-L-14-336px.pt                    OpenAI's CLIP
      sd-v1-3.safetensors                  or sd-v1-3.ckpt, or a folder unet/ vae/ text_encoder/ of diffusers
      seen_words.txt                       optional, see `vocabulary`
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ovss_personal.bases.checkpoint import read_checkpoint
from ovss_personal.bases.odise.ldm_names import from_ldm, text_tensors, vae_tensors
from ovss_personal.bases.published import CLIP, STABLE_DIFFUSION, WEIGHTS, WeightSpec
from ovss_personal.bases.weights import load_weights
from ovss_personal.errors import WeightsError
from ovss_personal.io.files import sha256_file
from ovss_personal.store.tensors import read_tensors

DIFFUSION = ("sd-v1-3.safetensors", "sd-v1-3.ckpt")
FOLDERS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
OWN_WORDS = "seen_words.txt"
_CLIP_SETTINGS = ("input_resolution", "context_length", "vocab_size")  # that OpenAI keeps as tensors

State = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoints:
    """State dicts under the names of our modules, and the sha256 over all files they are from."""

    trained: State
    clip: State
    unet: State
    vae: State
    text: State
    sha256: str


def published_checkpoints(labels: bool, offline: bool) -> Checkpoints:
    """Those that were published, downloaded if they are nowhere here. Raises what `load_weights` does."""
    odise = odise_name(labels)
    found = {name: load_weights(WEIGHTS[name], None, offline) for name in (odise, STABLE_DIFFUSION, CLIP)}
    unet, vae, text = from_ldm(found[STABLE_DIFFUSION].tensors)
    return Checkpoints(
        trained=found[odise].tensors,
        clip=found[CLIP].tensors,
        unet=unet,
        vae=vae,
        text=text,
        sha256=_joint_sha256([found[name].sha256 for name in (STABLE_DIFFUSION, odise, CLIP)]),
    )


def read_checkpoints(folder: Path, labels: bool, context: int) -> Checkpoints:
    """Read everything that a base needs from a folder.

    Args:
        folder: what is described above.
        labels: the label model's; otherwise the caption model's.
        context: width of Stable Diffusion's text encoder, by which its versions differ.

    Raises:
        WeightsError: a file is missing, cannot be read safely, or is not what its place asks for.
    """
    if folder.exists() and not folder.is_dir():
        raise WeightsError("expected a folder, found a file.", path=folder, hint="Name the folder of ODISE's weights.")
    odise, clip = WEIGHTS[odise_name(labels)], WEIGHTS[CLIP]
    own_files = [_require(folder / spec.file) for spec in (odise, clip)]
    single = next((folder / name for name in DIFFUSION if (folder / name).is_file()), None)
    if single is not None:
        files = [single]
        unet, vae, text = from_ldm(read_any(single))
    else:
        files = [_part(folder, part, stem) for part, stem in FOLDERS.items()]
        unet, vae, text = (read_any(file) for file in files)
        vae, text = vae_tensors(vae), text_tensors(text)
    _check_version(unet, context, files[0])
    digests = [sha256_file(file) for file in (*files, *own_files)]
    _check_beginning(odise, own_files[0], digests[-2])
    return Checkpoints(
        trained=trained_tensors(read_any(own_files[0]), labels, own_files[0]),
        clip=_clip_tensors(own_files[1], digests[-1] == clip.sha256),
        unet=unet,
        vae=vae,
        text=text,
        sha256=_joint_sha256(digests),
    )


def odise_name(labels: bool) -> str:
    """The name of the label model's weights, or of the caption model's."""
    return "odise_label" if labels else "odise_caption"


def read_any(path: Path) -> State:
    """The contents of a safetensors file or of a pickle of tensors. Raises WeightsError; runs no code of the file."""
    return read_tensors(path, hint="download it again.") if path.suffix == ".safetensors" else read_checkpoint(path)


def trained_tensors(state: State, labels: bool, path: Path) -> State:
    """The trained part of an ODISE checkpoint, checked to be of the right model. Raises WeightsError."""
    caption = any(name.startswith("word_head.") for name in state)
    if caption == labels:
        is_of, wanted = odise_name(not labels), odise_name(labels)
        raise WeightsError(f"this is {is_of}, not {wanted}.", path=path, hint=f"Pass --base {is_of}, or another file.")
    return {name: tensor for name, tensor in state.items() if name != "criterion.empty_weight"}


def _clip_tensors(path: Path, official: bool) -> State:
    """CLIP's state dict; OpenAI's own file is a TorchScript archive, a program, and no other such is opened."""
    state = read_checkpoint(path, scripted=official)
    return {name: tensor for name, tensor in state.items() if name not in _CLIP_SETTINGS}


def _joint_sha256(digests: list[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _check_version(unet: State, context: int, path: Path) -> None:
    """Stable Diffusion 2 has the same blocks as 1 and a wider text encoder."""
    keys = [tensor for name, tensor in unet.items() if name.endswith("attn2.to_k.weight")]
    if keys and keys[0].shape[1] != context:
        raise WeightsError(
            f"is not Stable Diffusion 1: its captions have {keys[0].shape[1]} numbers a word, not {context}.",
            path=path,
            hint="ODISE was trained on version 1.3, the file sd-v1-3.ckpt.",
        )


def _check_beginning(spec: WeightSpec, path: Path, sha256: str) -> None:
    if not spec.may_be(sha256):
        raise WeightsError(
            f"is damaged: its sha256 begins with {sha256[:8]}, not with {spec.sha256} as its name says.",
            path=path,
            hint="download it again.",
        )


def _part(folder: Path, part: str, stem: str) -> Path:
    for suffix in (".safetensors", ".bin"):
        if (folder / part / f"{stem}{suffix}").is_file():
            return folder / part / f"{stem}{suffix}"
    if any((folder / other).is_dir() for other in FOLDERS):
        raise WeightsError(f"has no {part}/{stem}.safetensors.", path=folder, hint="copy the whole diffusers folder.")
    raise WeightsError(
        "holds no Stable Diffusion 1.3.", path=folder, hint=f"put {DIFFUSION[1]} or its diffusers folders there."
    )


def _require(path: Path) -> Path:
    if not path.is_file():
        raise WeightsError("there is no such file.", path=path, hint="put ODISE's and CLIP's weights in this folder.")
    return path
