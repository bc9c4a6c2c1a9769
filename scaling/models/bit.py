"""BiT's ResNets (Kolesnikov et al. 2020, arXiv 1912.11370), the CNNs of the ViT paper: 50, 101 or 152 layers.

Pre-activation bottleneck blocks, group norm in place of batch norm, standardised convolution weights, and a factor on
every width. Words and weight names as in timm's `resnetv2_*_bit`: stem, stages, norm, head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # in each of the four stages


class StdConv2d(nn.Conv2d):
    """A convolution whose kernels have mean 0 and variance 1 (Qiao et al. 2019); padded by half its size."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Batch norm over one batch of `outputs` channels is just this, in one fast kernel each way (as timm has it).
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True, eps=1e-6).view_as(self.weight)
        return F.conv2d(x, weight, None, self.stride, self.padding)


class Norm(nn.GroupNorm):
    """Group norm of 32 groups and a ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__(32, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(super().forward(x))


class Downsample(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = StdConv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, *, first: bool) -> None:
        super().__init__()
        inner = outputs // 4
        self.downsample = Downsample(inputs, outputs, stride) if first else None
        self.norm1, self.conv1 = Norm(inputs), StdConv2d(inputs, inner, 1)
        self.norm2, self.conv2 = Norm(inner), StdConv2d(inner, inner, 3, stride)
        self.norm3, self.conv3 = Norm(inner), StdConv2d(inner, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = self.norm1(x)
        shortcut = x if self.downsample is None else self.downsample(active)
        return self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(active))))) + shortcut


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, blocks: int) -> None:
        super().__init__()
        first = Bottleneck(inputs, outputs, stride, first=True)
        self.blocks = nn.Sequential(first, *(Bottleneck(outputs, outputs, 1, first=False) for _ in range(blocks - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


class BiT(nn.Module):
    """Logits (batch, num_classes) from images (batch, channels, height, width).

    `width` is the stem's, 64 times the factor (R50x1: 64, R50x3: 192); `small_stem` puts a 3x3 convolution without
    pooling in place of the 7x7 stride-2 one, for images of a few dozen pixels, and makes it another model.
    """

    def __init__(
        self, *, channels: int, num_classes: int, depth: int = 50, width: int = 64, small_stem: bool = False
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth={depth} is not one of {', '.join(map(str, BLOCKS))}")
        if width % 32:
            raise ValueError(f"width={width} is not a multiple of 32 (64 times the factor)")
        self.stem = nn.Sequential()
        if small_stem:
            self.stem.add_module("conv", StdConv2d(channels, width, 3))
        else:
            self.stem.add_module("conv", StdConv2d(channels, width, 7, 2))
            self.stem.add_module("pad", nn.ConstantPad2d(1, 0.0))  # zeros, as in BiT, where max-pooling pads with -inf
            self.stem.add_module("pool", nn.MaxPool2d(3, 2))
        inputs, stages = width, []
        for i, blocks in enumerate(BLOCKS[depth]):
            stages.append(Stage(inputs, 4 * width * 2**i, 1 if i == 0 else 2, blocks))
            inputs = 4 * width * 2**i
        self.stages = nn.Sequential(*stages)
        self.norm = Norm(inputs)
        self.head = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.stages(self.stem(images))).mean(dim=(2, 3)))
