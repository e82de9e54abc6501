"""From the names of an original Stable Diffusion v1 checkpoint to those of diffusers and transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."

_UNET_TOP = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_VAE = [
    (r"^encoder\.down\.(\d)\.block\.(\d)", r"encoder.down_blocks.\1.resnets.\2"),
    (r"^encoder\.down\.(\d)\.downsample\.conv", r"encoder.down_blocks.\1.downsamplers.0.conv"),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"\.norm_out\.", ".conv_norm_out."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"(attentions\.0)\.norm\.", r"\1.group_norm."),
    (r"(attentions\.0)\.(?:to_)?(q|query)\.", r"\1.to_q."),
    (r"(attentions\.0)\.(?:to_)?(k|key)\.", r"\1.to_k."),
    (r"(attentions\.0)\.(?:to_)?(v|value)\.", r"\1.to_v."),
    (r"(attentions\.0)\.(proj_out|proj_attn)\.", r"\1.to_out.0."),
]


def from_ldm(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of the UNet, the autoencoder and the text encoder; whatever else the file holds is left out."""
    unet = {unet_name(k.removeprefix(UNET)): v for k, v in state.items() if k.startswith(UNET)}
    vae = {k.removeprefix(VAE): v for k, v in state.items() if k.startswith(VAE)}
    text = {k.removeprefix(TEXT): v for k, v in state.items() if k.startswith(TEXT)}
    return unet, vae_tensors(vae), text_tensors(text)


def unet_name(name: str) -> str:
    """The name of a tensor of the UNet, without its prefix."""
    for old, new in _UNET_TOP.items():
        if name.startswith(f"{old}."):
            return _inside(new + name[len(old) :])
    way, number, part, rest = name.split(".", 3)
    if way == "input_blocks":
        level, index = divmod(int(number) - 1, 3)
        if index == 2:
            return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}" if part == "0" else name
        place = f"down_blocks.{level}"
    else:
        level, index = divmod(int(number), 3)
        if rest.startswith("conv."):
            return f"up_blocks.{level}.upsamplers.0.{rest}"
        place = f"up_blocks.{level}"
    return _inside(f"{place}.{('resnets', 'attentions')[int(part)]}.{index}.{rest}")


def _inside(name: str) -> str:
    for old, new in _RESNET.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name


def vae_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The autoencoder's tensors under today's names, from those of LDM or of old diffusers.

    Its attention was four 1 x 1 convolutions and is four linear layers.
    """
    out = {}
    for name, tensor in state.items():
        for pattern, new in _VAE:
            name = re.sub(pattern, new, name)
        name = re.sub(
            r"^decoder\.up\.(\d)\.(block\.(\d)|upsample\.conv)",
            lambda m: f"decoder.up_blocks.{3 - int(m[1])}." + (f"resnets.{m[3]}" if m[3] else "upsamplers.0.conv"),
            name,
        )
        out[name] = tensor.flatten(1) if ".to_" in name and tensor.dim() == 4 else tensor
    return out


def text_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text encoder's tensors without `text_model.`, which transformers had until version 4."""
    kept = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in kept.items() if not name.endswith("position_ids")}
