"""ResNet encoders (He et al., CVPR 2016) with torchvision's parameter names, so that its ImageNet files load.

Difference from classification: no pooling and no `fc`, every stage's output is kept, and `layer4` has stride 1 and
dilation 2, which leaves the last map at 1/16 (C-DLinkNet, section II.A).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rtparse.errors import UsageError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (ResNet-18 and 34). Dilation acts on both when it replaces the stride."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        summed: Tensor = self.relu(out + self.downsample(x))
        return summed


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand (ResNet-50 and 101), the stride on the 3x3 as in torchvision."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width * 4, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        summed: Tensor = self.relu(out + self.downsample(x))
        return summed


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


@dataclass(frozen=True)
class _Layout:
    block: Callable[..., nn.Module]
    expansion: int
    depths: tuple[int, int, int, int]


_LAYOUTS = {
    "resnet18": _Layout(BasicBlock, 1, (2, 2, 2, 2)),
    "resnet34": _Layout(BasicBlock, 1, (3, 4, 6, 3)),
    "resnet50": _Layout(Bottleneck, 4, (3, 4, 6, 3)),
    "resnet101": _Layout(Bottleneck, 4, (3, 4, 23, 3)),
}
ENCODERS = tuple(_LAYOUTS)


class ResNetEncoder(nn.Module):
    """Picture (N, 3, H, W) to the features E1 (1/2), E2 (1/4), E3 (1/8), E4 (1/16), E5 (1/16).

    channels: of E1..E5; 64, 256, 512, 1024, 2048 for ResNet-50 and 101, 64, 64, 128, 256, 512 for 18 and 34.
    layer4: without it, E5 is E4.
    """

    def __init__(self, name: str, layer4: bool = True) -> None:
        super().__init__()
        if name not in _LAYOUTS:
            raise UsageError(f"there is no encoder {name!r}", f"choose from: {', '.join(ENCODERS)}")
        layout = _LAYOUTS[name]
        widths = [64 * layout.expansion, 128 * layout.expansion, 256 * layout.expansion, 512 * layout.expansion]
        self.channels: tuple[int, ...] = (64, *widths) if layer4 else (64, *widths[:3], widths[2])

        def stage(in_channels: int, width: int, depth: int, stride: int, dilation: int) -> nn.Sequential:
            # torchvision's rule: the block that would have had the stride keeps dilation 1, the later ones dilate.
            first = layout.block(in_channels, width, stride, 1)
            later = (layout.block(width * layout.expansion, width, 1, dilation) for _ in range(depth - 1))
            return nn.Sequential(first, *later)

        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(64, 64, layout.depths[0], 1, 1)
        self.layer2 = stage(widths[0], 128, layout.depths[1], 2, 1)
        self.layer3 = stage(widths[1], 256, layout.depths[2], 2, 1)
        self.layer4 = stage(widths[2], 512, layout.depths[3], 1, 2) if layer4 else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        e1 = self.relu(self.bn1(self.conv1(x)))
        e2 = self.layer1(self.maxpool(e1))
        e3 = self.layer2(e2)
        e4 = self.layer3(e3)
        e5 = e4 if self.layer4 is None else self.layer4(e4)
        return e1, e2, e3, e4, e5


@torch.no_grad()
def normalize_from_folded(encoder: ResNetEncoder, biases: dict[str, Tensor], pictures: Tensor) -> None:
    """Give an encoder whose BatchNorms were folded into its convolutions living BatchNorms again, in place.

    encoder: holds the folded weights. biases: the folded bias of a convolution, by the name of its BatchNorm; absent
    for convolutions that have no pretrained weights. pictures: (N, 3, H, W) normalized, a few dozen real ones.

    Each BatchNorm takes the mean and variance of what it sees, gamma = sqrt(var + eps) and beta = bias + mean, so that
    the encoder computes what the folded one did: gamma * (Wx - mean) / sqrt(var + eps) + beta = Wx + bias.
    """

    def calibrate(norm: nn.BatchNorm2d, bias: Tensor | None) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor]) -> None:
            variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
            norm.running_mean, norm.running_var = mean.clone(), variance.clone()
            if bias is not None:
                norm.weight.copy_((variance + norm.eps).sqrt())
                norm.bias.copy_(bias + mean)

        return hook

    hooks = [
        norm.register_forward_pre_hook(calibrate(norm, biases.get(name)))
        for name, norm in encoder.named_modules()
        if isinstance(norm, nn.BatchNorm2d)
    ]
    training = encoder.training
    encoder.eval()(pictures)
    encoder.train(training)
    for hook in hooks:
        hook.remove()
