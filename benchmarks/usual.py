"""The script that people write: an image folder read by PIL in DataLoader workers, fp32, eager, models as in the
best-known repositories. What ours is measured against; nothing of scaling/ is used here.

The models are the CIFAR ResNets of akamaster/pytorch_resnet_cifar10 (option A), torchvision's ResNet-18 with a 3x3
stem, and the ViT of lucidrains/vit-pytorch, each at the sizes of ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torchvision import datasets, models, transforms


class BasicBlock(nn.Module):
    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.planes, self.changes = planes, stride != 1 or in_planes != planes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x
        if self.changes:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.planes // 4, self.planes // 4), "constant", 0)
        return F.relu(out + shortcut)


class CifarResNet(nn.Module):
    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, planes = [], 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range((depth - 2) // 6):
                blocks.append(BasicBlock(planes, width, stride if i == 0 else 1))
                planes = width
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.norm, self.to_qkv, self.to_out = (
            nn.LayerNorm(dim),
            nn.Linear(dim, dim * 3, bias=False),
            nn.Linear(dim, dim),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, dim = x.shape
        qkv = self.to_qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (t.view(batch, tokens, self.heads, -1).transpose(1, 2) for t in qkv)
        attention = (torch.matmul(q, k.transpose(-1, -2)) * self.scale).softmax(dim=-1)
        return self.to_out(torch.matmul(attention, v).transpose(1, 2).reshape(batch, tokens, dim))


class ViT(nn.Module):
    def __init__(self, image_size: int, patch: int, dim: int, depth: int, heads: int, num_classes: int) -> None:
        super().__init__()
        self.patch, tokens = patch, (image_size // patch) ** 2
        self.to_patch = nn.Sequential(nn.LayerNorm(3 * patch**2), nn.Linear(3 * patch**2, dim), nn.LayerNorm(dim))
        self.pos_embedding = nn.Parameter(torch.randn(1, tokens + 1, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.layers = nn.ModuleList()
        for _ in range(depth):
            mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
            self.layers.append(nn.ModuleList([Attention(dim, heads), mlp]))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        x = self.to_patch(patches)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1) + self.pos_embedding
        for attention, mlp in self.layers:
            x = attention(x) + x
            x = mlp(x) + x
        return self.head(self.norm(x)[:, 0])


def usual_model(name: str, num_classes: int) -> nn.Module:
    """The model of that name, for images of 32x32."""
    if name in ("resnet8", "resnet20"):
        return CifarResNet(int(name.removeprefix("resnet")), num_classes)
    if name == "resnet18_small":
        model = models.resnet18(num_classes=num_classes)
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
        return model
    dim, depth, heads = {"vit_w64d4": (64, 4, 8), "vit_ti": (192, 12, 3)}[name]
    return ViT(32, 4, dim, depth, heads, num_classes)


def timm_model(name: str, num_classes: int) -> nn.Module:
    """timm's model of the same size; it has no 6n+2 ResNets, so its ResNet class with their stem, widths and blocks."""
    import timm

    if name in ("resnet8", "resnet20"):
        blocks, block = (int(name.removeprefix("resnet")) - 2) // 6, timm.models.resnet.BasicBlock
        model = timm.models.ResNet(block, layers=(blocks,) * 3, channels=(16, 32, 64), num_classes=num_classes)
        model.conv1, model.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        model.maxpool, model.layer1[0], model.layer4 = nn.Identity(), block(16, 16), nn.Identity()
        return model
    if name == "resnet18_small":
        model = timm.create_model("resnet18", num_classes=num_classes)
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
        return model
    dim, depth, heads = {"vit_w64d4": (64, 4, 8), "vit_ti": (192, 12, 3)}[name]
    size = dict(img_size=32, patch_size=4, embed_dim=dim, depth=depth, num_heads=heads)
    return timm.models.VisionTransformer(**size, num_classes=num_classes)


def usual_loader(root: str, *, batch_size: int, workers: int, pin: bool = False) -> torch.utils.data.DataLoader:
    """Crops, flips and normalised batches of root/train, read by worker processes."""
    steps = [
        transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ]  # fmt: skip
    images = datasets.ImageFolder(f"{root}/train", transforms.Compose(steps))
    keep = workers > 0
    return torch.utils.data.DataLoader(
        images, batch_size, shuffle=True, num_workers=workers, drop_last=True, pin_memory=pin, persistent_workers=keep
    )
