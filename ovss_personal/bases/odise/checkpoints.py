"""The tensors of the five parts from a folder of files: ODISE's, Stable Diffusion's and CLIP's.

::

    folder/
      odise_label_coco_50e-b67d2efc.pth    or odise_caption_coco_50e-853cc971.pth
      ViT-L-14-336px.pt                    OpenAI's CLIP
      sd-v1-3.safetensors                  or sd-v1-3.ckpt, or a folder unet/ vae/ text_encoder/ of diffusers
      seen_words.txt                       optional, see `vocabulary`
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ovss_personal.bases.odise.ldm_names import from_ldm, text_tensors, vae_tensors
from ovss_personal.errors import WeightsError
from ovss_personal.io.files import sha256_file

ODISE = {True: "odise_label_coco_50e-b67d2efc.pth", False: "odise_caption_coco_50e-853cc971.pth"}
CLIP = "ViT-L-14-336px.pt"
DIFFUSION = ("sd-v1-3.safetensors", "sd-v1-3.ckpt")
FOLDERS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
OWN_WORDS = "seen_words.txt"

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


def read_checkpoints(folder: Path, labels: bool, context: int) -> Checkpoints:
    """Read everything that a base needs.

    Args:
        labels: the label model's; otherwise the caption model's.
        context: width of Stable Diffusion's text encoder, by which its versions differ.

    Raises:
        WeightsError: a file is missing, cannot be read safely, or is not what its place asks for.
    """
    odise, clip = _require(folder / ODISE[labels]), _require(folder / CLIP)
    single = next((folder / name for name in DIFFUSION if (folder / name).is_file()), None)
    if single is not None:
        files = [single]
        unet, vae, text = from_ldm(_nested(read_tensors(single), "state_dict"))
    else:
        files = [_part(folder, part, stem) for part, stem in FOLDERS.items()]
        unet, vae, text = (read_tensors(file) for file in files)
        vae, text = vae_tensors(vae), text_tensors(text)
    _check_version(unet, context, files[0])
    files += [odise, clip]
    digests = [sha256_file(file) for file in files]
    _check_name(odise, digests[-2])
    return Checkpoints(
        trained=trained_tensors(_nested(read_tensors(odise), "model"), labels, odise),
        clip=clip_tensors(clip),
        unet=unet,
        vae=vae,
        text=text,
        sha256=hashlib.sha256("".join(digests).encode()).hexdigest(),
    )


def read_tensors(path: Path) -> State:
    """The contents of a safetensors file or of a pickle of tensors. Raises WeightsError; runs no code of the file."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError) as error:
        raise WeightsError(f"cannot be read ({_first_line(error)}).", path=path, hint="download it again.") from error
    except UnpicklingError as error:
        raise WeightsError(
            "holds more than tensors, which is not safe to load.", path=path, hint="use its .safetensors version."
        ) from error
    return loaded


def clip_tensors(path: Path) -> State:
    """CLIP's state dict from OpenAI's own TorchScript archive, or from a plain one. Raises WeightsError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, and the archive is what it is
            state = torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError):
        state = _nested(read_tensors(path), "state_dict")
    return {k: v for k, v in state.items() if k not in ("input_resolution", "context_length", "vocab_size")}


def trained_tensors(state: State, labels: bool, path: Path) -> State:
    """The trained part of an ODISE checkpoint, checked to be of the right model. Raises WeightsError."""
    caption = any(name.startswith("word_head.") for name in state)
    if caption == labels:
        is_of, wanted = ("caption", "odise_label") if caption else ("label", "odise_caption")
        raise WeightsError(
            f"is the {is_of} model's checkpoint, and {wanted} was asked for.", path=path, hint=f"use odise_{is_of}."
        )
    return {name: tensor for name, tensor in state.items() if name != "criterion.empty_weight"}


def _nested(state: Mapping[str, Tensor | State], key: str) -> State:
    inner = state.get(key, state)
    return {name: tensor for name, tensor in dict(inner).items() if isinstance(tensor, Tensor)}


def _check_version(unet: State, context: int, path: Path) -> None:
    """Stable Diffusion 2 has the same blocks as 1 and a wider text encoder."""
    keys = [tensor for name, tensor in unet.items() if name.endswith("attn2.to_k.weight")]
    if keys and keys[0].shape[1] != context:
        raise WeightsError(
            f"is not Stable Diffusion 1: its captions have {keys[0].shape[1]} numbers a word, not {context}.",
            path=path,
            hint="ODISE was trained on version 1.3, the file sd-v1-3.ckpt.",
        )


def _check_name(path: Path, sha256: str) -> None:
    head = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    if head and not sha256.startswith(head[1]):
        raise WeightsError(
            f"is damaged: its SHA-256 starts with {sha256[:8]}, not with {head[1]} as its name says.",
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
