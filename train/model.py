"""C-DLinkNet, an encoder-decoder for human parsing (docs/model.md says where the paper leaves a choice).

Names follow the paper's figure 2: E1..E5 from the encoder, D5..D2 from the decoder, then the Smooth module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rtparse.classes import NUM_CLASSES
from rtparse.errors import UsageError
from rtparse.metadata import SIZE_MULTIPLE
from rtparse.train.resnet import ResNetEncoder


@dataclass(frozen=True)
class ModelConfig:
    """What makes a C-DLinkNet. The rows of the paper's Table I differ in `context`, `smooth` and `deep_supervision`.

    context: "aspp", or "dblock" for the D-LinkNet baseline.
    aspp_rates: of the three dilated branches.
    smooth_channels: width of the Smooth module's 3x3 convolution, which costs most of the time: the speed dial.
    layer4: without it E5 is E4, and the context module works on that.
    """

    encoder: str = "resnet18"
    context: Literal["aspp", "dblock"] = "aspp"
    aspp_rates: tuple[int, int, int] = (3, 6, 9)
    smooth: bool = True
    smooth_channels: int = 128
    deep_supervision: bool = True
    layer4: bool = True


PRESETS: dict[str, ModelConfig] = {
    # On a 16x12 map most taps of the paper's rates see padding only; they stay in `paper` alone.
    "paper": ModelConfig("resnet101", aspp_rates=(12, 24, 36), smooth_channels=512),
    "base": ModelConfig("resnet50", smooth_channels=256),
    "small": ModelConfig("resnet18", smooth_channels=128),
    "nano": ModelConfig("resnet18", smooth_channels=32, layer4=False),
}


class ConvNormAct(nn.Sequential):
    """Convolution without bias, BatchNorm, ReLU; keeps the size at stride 1."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2 * dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling, channels C -> C/2 -> 4 x C/8 -> C/2 -> C (paper, equation 1).

    Four branches of C/8: the equation says 256 of 2048, where the text says a fifth.
    """

    def __init__(self, channels: int, rates: tuple[int, int, int]) -> None:
        super().__init__()
        reduced, branch = channels // 2, channels // 8
        self.reduce = ConvNormAct(channels, reduced)
        self.dilated = nn.ModuleList(ConvNormAct(reduced, branch, 3, rate) for rate in rates)
        self.pooled = ConvNormAct(reduced, branch)
        self.restore = ConvNormAct(4 * branch, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        # Bilinear interpolation from 1x1 is constant, so the pooled branch is spread instead.
        pooled = self.pooled(x.mean((2, 3), keepdim=True)).expand(-1, -1, x.shape[2], x.shape[3])
        restored: Tensor = self.restore(torch.cat([*(branch(x) for branch in self.dilated), pooled], 1))
        return restored


class DBlock(nn.Module):
    """D-LinkNet's centre: 3x3 convolutions of dilation 1, 2, 4, 8 in series, all outputs and the input summed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate) for rate in (1, 2, 4, 8)
        )

    def forward(self, x: Tensor) -> Tensor:
        total = x
        for convolution in self.dilated:
            x = F.relu(convolution(x))
            total = total + x
        return total


class DecoderBlock(nn.Sequential):
    """1x1 to a quarter of the channels, 3x3 transposed convolution, 1x1 to the next width; `stride` times as large."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        inner = in_channels // 4
        super().__init__(
            ConvNormAct(in_channels, inner),
            nn.ConvTranspose2d(inner, inner, 3, stride, padding=1, output_padding=stride - 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            ConvNormAct(inner, out_channels),
        )


def upsample_concat(features: list[Tensor]) -> Tensor:
    """Bilinear (half-pixel) to the size of the last one, concatenated on channels: the op that the exporter fuses."""
    size = features[-1].shape[2:]
    resized = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in features[:-1]]
    return torch.cat([*resized, features[-1]], 1)


class SmoothModule(nn.Module):
    """D5, D4 and D3 doubled, upsampled to D2 and concatenated with it (the hyper feature), then mixed by a 3x3."""

    def __init__(self, in_channels: tuple[int, int, int, int], channels: int) -> None:
        super().__init__()
        width = min(256, channels // 2)
        self.blocks = nn.ModuleList(DecoderBlock(wide, width, stride=2) for wide in in_channels[:3])
        self.mix = ConvNormAct(3 * width + in_channels[3], channels, 3)

    def forward(self, d5: Tensor, d4: Tensor, d3: Tensor, d2: Tensor) -> Tensor:
        scaled = [block(x) for block, x in zip(self.blocks, (d5, d4, d3), strict=True)]
        mixed: Tensor = self.mix(upsample_concat([*scaled, d2]))
        return mixed


class AuxiliaryHead(nn.Sequential):
    """Deep supervision of one decoder output: two 3x3 convolutions, 1x1 to the classes. Their width is our reading."""

    def __init__(self, channels: int) -> None:
        width = min(channels, 128)
        super().__init__(
            ConvNormAct(channels, width, 3),
            ConvNormAct(width, width, 3),
            nn.Conv2d(width, NUM_CLASSES, 1),
        )


class Supervised(NamedTuple):
    """What a training step needs: refined logits at 1/2, and the logits of D5, D4, D3, D2 at their own sizes."""

    logits: Tensor
    auxiliary: list[Tensor]


class CDLinkNet(nn.Module):
    """Pictures (N, 3, H, W), normalized RGB, H and W multiples of 16, to logits (N, 20, H/2, W/2).

    In training with deep supervision the result is `Supervised`; in evaluation it is the logits alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResNetEncoder(config.encoder, config.layer4)
        c1, c2, c3, c4, c5 = self.encoder.channels
        self.context = ASPP(c5, config.aspp_rates) if config.context == "aspp" else DBlock(c5)
        self.decoder5 = DecoderBlock(c5, c4, stride=1)
        self.decoder4 = DecoderBlock(c4, c3, stride=2)
        self.decoder3 = DecoderBlock(c3, c2, stride=2)
        self.decoder2 = DecoderBlock(c2, c1, stride=2)
        decoded = (c4, c3, c2, c1)
        self.smooth = SmoothModule(decoded, config.smooth_channels) if config.smooth else None
        self.classify = nn.Conv2d(config.smooth_channels if config.smooth else c1, NUM_CLASSES, 1)
        self.auxiliary = nn.ModuleList(AuxiliaryHead(wide) for wide in decoded) if config.deep_supervision else None

    def forward(self, x: Tensor) -> Tensor | Supervised:
        if not torch.compiler.is_exporting():
            check_size(x.shape[2], x.shape[3])
        e1, e2, e3, e4, e5 = self.encoder(x)
        d5 = self.decoder5(self.context(e5)) + e4
        d4 = self.decoder4(d5) + e3
        d3 = self.decoder3(d4) + e2
        d2 = self.decoder2(d3) + e1
        refined = d2 if self.smooth is None else self.smooth(d5, d4, d3, d2)
        logits: Tensor = self.classify(refined)
        if not self.training or self.auxiliary is None:
            return logits
        return Supervised(logits, [head(d) for head, d in zip(self.auxiliary, (d5, d4, d3, d2), strict=True)])


def check_size(height: int, width: int) -> None:
    """Raise UsageError for an input that the network's strides do not divide."""
    if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE or not height or not width:
        raise UsageError(
            f"network input is {height}x{width} (height x width)", f"use multiples of {SIZE_MULTIPLE}, such as 256x192"
        )


def build_model(config: ModelConfig | str) -> CDLinkNet:
    """A network with fresh weights, from a configuration or a preset's name."""
    if isinstance(config, str):
        if config not in PRESETS:
            raise UsageError(f"there is no preset {config!r}", f"choose from: {', '.join(PRESETS)}")
        config = PRESETS[config]
    return CDLinkNet(config)
