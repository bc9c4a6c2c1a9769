"""Builds the model that a config names, and counts its parameters and arithmetic."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.models.bit import BiT
from scaling.models.libraries import SMALL, named_model
from scaling.models.resnet import ResNet
from scaling.models.vit import ViT

if TYPE_CHECKING:
    from scaling.config.model_config import ModelConfig


def build_model(config: ModelConfig, *, image_size: int, channels: int, num_classes: int) -> nn.Module:
    """The model of `config`, initialised from torch's global random state."""
    if config.source in ("torchvision", "timm"):
        return named_model(
            config.source, config.name, image_size=image_size, channels=channels, num_classes=num_classes
        )
    assert config.width is not None
    assert config.depth is not None
    if config.source == "bit":
        small = config.name.endswith(SMALL)
        return BiT(channels=channels, num_classes=num_classes, depth=config.depth, width=config.width, small_stem=small)
    if config.family == "cnn":
        return ResNet(channels=channels, num_classes=num_classes, depth=config.depth, width=config.width)
    assert config.patch_size is not None
    return ViT(
        image_size=image_size,
        channels=channels,
        num_classes=num_classes,
        patch_size=config.patch_size,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        pool=config.pool,
        pos_embed=config.pos_embed,
        pos_embed_std=config.pos_embed_std,
        dropout=config.dropout,
        drop_path=config.drop_path,
    )


@functools.lru_cache(maxsize=256)
def config_train_flops(config: ModelConfig, *, image_size: int, channels: int, num_classes: int) -> float:
    """`train_flops_per_example` of the model of a config, counted once in a process, on a model without memory."""
    with torch.device("meta"):
        model = build_model(config, image_size=image_size, channels=channels, num_classes=num_classes)
    return train_flops_per_example(model, image_size=image_size, channels=channels)


def num_params(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@contextlib.contextmanager
def _count(model: nn.Module) -> Iterator[FlopCounterMode]:
    """Counts inside, with the model in evaluation mode, which leaves the running statistics of the norms alone."""
    training = model.training
    model.eval()
    # The counter does not know the CPU's fused attention; the plain one is two matmuls that it does know.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter
    model.train(training)


def multiply_adds(model: nn.Module, *, image_size: int, channels: int) -> float:
    """Multiply-adds of one image's forward pass: every matmul, convolution and attention; works on the meta device."""
    images = torch.zeros(1, channels, image_size, image_size, device=next(model.parameters()).device)
    with torch.no_grad(), _count(model) as counter:
        model(images)
    return counter.get_total_flops() / 2


def train_flops_per_example(model: nn.Module, *, image_size: int, channels: int) -> float:
    """Arithmetic of one image's forward and backward pass, 2 per multiply-add: every matmul, convolution and attention,
    embedding and head included; norms and activations are not counted."""
    images = torch.zeros(2, channels, image_size, image_size, device=next(model.parameters()).device)
    with _count(model) as counter:
        model(images).sum().backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / len(images)
