"""The CIFAR ResNets 6n+2 of He et al. (2016, arXiv 1512.03385, section 4.2): 8, 14, 20, 32, 56, 110 layers.

Three stages of n basic blocks at widths w, 2w, 4w (w = 16 in the paper) and strides 1, 2, 2; identity shortcuts that
are subsampled and padded with zeros where the shape changes (option A), so that they hold no parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.stride > 1 or self.extra:  # option A
            before = self.extra // 2
            # Pooling over one pixel subsamples; unlike a slice its gradient keeps the memory layout.
            x = F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, before, self.extra - before))
        return F.relu(out.add_(x), inplace=True)


class ResNet(nn.Module):
    """Logits (batch, num_classes) from images (batch, channels, height, width); `depth` is 6n+2."""

    def __init__(self, *, channels: int, num_classes: int, depth: int, width: int = 16) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth={depth} is not 6n+2 (8, 14, 20, 32, 56, 110, ...)")
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        inputs = width
        for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
            for block in range((depth - 2) // 6):
                layers.append(BasicBlock(inputs, outputs, stride if block == 0 else 1))
                inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.layers(F.relu(self.bn1(self.conv1(images)), inplace=True))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
