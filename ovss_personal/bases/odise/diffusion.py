"""The three networks of Stable Diffusion v1, built without weights and without a network.

The widths are the arguments; everything else is what version 1 has always had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ovss_personal.bases.odise.sizes import Size

if TYPE_CHECKING:
    from torch import nn

START, END, LENGTH = 49406, 49407, 77  # token ids of a caption, and how many it has


def build_unet(size: Size) -> nn.Module:
    from diffusers import UNet2DConditionModel

    attention = ("CrossAttnDownBlock2D",) * 3
    unet: nn.Module = UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        block_out_channels=size.unet,
        down_block_types=(*attention, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        layers_per_block=2,
        cross_attention_dim=size.context,
        attention_head_dim=8,  # the number of heads, whatever it is called
        norm_num_groups=32,
        norm_eps=1e-5,
        flip_sin_to_cos=True,
        freq_shift=0,
        downsample_padding=1,
    )
    return unet


def build_vae(size: Size) -> nn.Module:
    from diffusers import AutoencoderKL

    vae: nn.Module = AutoencoderKL(
        sample_size=512,
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=size.vae,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=32,
        scaling_factor=0.18215,
    )
    return vae


def build_text_encoder(size: Size) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    values: dict[str, Any] = {
        "hidden_size": size.context,
        "intermediate_size": 4 * size.context,
        "num_hidden_layers": size.context_layers,
        "num_attention_heads": size.context_heads,
        "vocab_size": 49408,
        "max_position_embeddings": LENGTH,
        "hidden_act": "quick_gelu",
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": END,
    }
    encoder: nn.Module = CLIPTextModel(CLIPTextConfig(**values))
    return encoder


def empty_caption(text_encoder: nn.Module) -> Tensor:
    """(1, 77, context): what the text encoder makes of no words at all.

    A constant, and all that the text encoder is needed for. The padding is the end token, not 0.
    """
    tokens = torch.full((1, LENGTH), END)
    tokens[:, 0] = START
    with torch.no_grad():
        out: Tensor = text_encoder(tokens).last_hidden_state
    return out
