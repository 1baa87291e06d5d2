"""The network: the paper's shapes, torchvision's names, the ablation's flags."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rtparse.errors import EngineError, UsageError
from rtparse.metadata import ModelMetadata
from rtparse.train.checkpoint import load_checkpoint, save_checkpoint, take_over
from rtparse.train.model import CDLinkNet, ModelConfig, Supervised, build_model, upsample_concat
from rtparse.train.pretrained import load_imagenet
from rtparse.train.resnet import ENCODERS, ResNetEncoder

TINY = ModelConfig("resnet18", smooth_channels=16)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "channels", "millions"),
    [
        # torchvision's counts without the classifier's 1000-way layer
        ("resnet18", (64, 64, 128, 256, 512), 11.177),
        ("resnet34", (64, 64, 128, 256, 512), 21.285),
        ("resnet50", (64, 256, 512, 1024, 2048), 23.508),
        ("resnet101", (64, 256, 512, 1024, 2048), 42.500),
    ],
)
def test_encoder_shapes_and_size(name: str, channels: tuple[int, ...], millions: float) -> None:
    encoder = ResNetEncoder(name).eval()
    with torch.no_grad():
        features = encoder(torch.zeros(1, 3, 64, 48))
    strides = (2, 4, 8, 16, 16)
    assert [tuple(x.shape) for x in features] == [
        (1, wide, 64 // stride, 48 // stride) for wide, stride in zip(channels, strides, strict=True)
    ]
    assert parameters(encoder) / 1e6 == pytest.approx(millions, abs=0.001)


def test_without_its_last_stage_e5_is_e4(tmp_path: Path) -> None:
    encoder = ResNetEncoder("resnet18", layer4=False).eval()
    with torch.no_grad():
        features = encoder(torch.randn(1, 3, 64, 48))
    assert features[4] is features[3]
    assert encoder.channels == (64, 64, 128, 256, 256)
    whole = ResNetEncoder("resnet18")
    torch.save(whole.state_dict(), tmp_path / "resnet18.pth")  # torchvision's file has a layer4
    load_imagenet(encoder, str(tmp_path / "resnet18.pth"))
    assert torch.equal(encoder.layer3[1].conv2.weight, whole.layer3[1].conv2.weight)


def test_encoder_names_are_torchvisions() -> None:
    names = set(ResNetEncoder("resnet18").state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.num_batches_tracked",
    } <= names
    assert len(names) == 120  # of torchvision's 122, less fc.weight and fc.bias
    assert len(ResNetEncoder("resnet101").state_dict()) == 624


def test_last_stage_dilates_instead_of_striding() -> None:
    layer4 = ResNetEncoder("resnet50").layer4
    assert [(block.conv2.stride, block.conv2.dilation) for block in layer4] == [
        ((1, 1), (1, 1)),
        ((1, 1), (2, 2)),
        ((1, 1), (2, 2)),
    ]


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        # the paper's network, as a prototype of the same reading counted it
        ("paper", 64.350),
        ("base", 42.492),
        ("small", 12.604),
        ("nano", 3.222),
    ],
)
def test_presets_have_their_size(preset: str, millions: float) -> None:
    model = build_model(preset)
    inference = parameters(model) - parameters(model.auxiliary)
    assert inference / 1e6 == pytest.approx(millions, abs=0.001)


def test_aspp_and_decoder_widths_are_the_papers() -> None:
    model = build_model("paper")
    x = torch.zeros(1, 2048, 2, 2)
    with torch.no_grad():
        model.eval()
        reduced = model.context.reduce(x)
        assert reduced.shape[1] == 1024
        assert [branch(reduced).shape[1] for branch in model.context.dilated] == [256, 256, 256]
        assert [branch[0].dilation[0] for branch in model.context.dilated] == [12, 24, 36]
        assert model.context(x).shape == x.shape
        assert model.decoder5(x).shape == (1, 1024, 2, 2)
        assert model.decoder4(torch.zeros(1, 1024, 2, 2)).shape == (1, 512, 4, 4)
        assert model.decoder2(torch.zeros(1, 256, 2, 2)).shape == (1, 64, 4, 4)
    assert model.smooth.mix[0].weight.shape == (512, 256 * 3 + 64, 3, 3)
    assert model.decoder4[1].weight.shape == (256, 256, 3, 3)  # all inside a block at a quarter of its input


@pytest.mark.parametrize(
    ("flags", "supervised"),
    [
        ({"context": "dblock", "smooth": False, "deep_supervision": False}, False),  # B
        ({"smooth": False, "deep_supervision": False}, False),  # B + A
        ({"context": "dblock", "deep_supervision": False}, False),  # B + S
        ({"deep_supervision": False}, False),  # B + A + S
        ({}, True),  # B + A + S + L
    ],
)
def test_rows_of_table_1(flags: dict[str, object], supervised: bool) -> None:
    model = CDLinkNet(replace(TINY, **flags))
    x = torch.randn(2, 3, 64, 48)
    output = model.train()(x)
    assert isinstance(output, Supervised) is supervised
    if supervised:
        assert output.logits.shape == (2, 20, 32, 24)
        assert [tuple(logits.shape[2:]) for logits in output.auxiliary] == [(4, 3), (8, 6), (16, 12), (32, 24)]
    with torch.no_grad():
        assert model.eval()(x).shape == (2, 20, 32, 24)


@pytest.mark.parametrize("size", [(250, 192), (256, 100), (8, 16), (0, 16)])
def test_sizes_off_the_stride_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=rf"{size[0]}x{size[1]}.*multiples of 16"):
        build_model(TINY)(torch.zeros(1, 3, *size))


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"tiny.*small"):
        build_model("tiny")
    with pytest.raises(UsageError, match=f"vgg.*{ENCODERS[0]}"):
        ResNetEncoder("vgg")


def test_upsample_concat_keeps_the_last_and_interpolates_the_rest() -> None:
    coarse = torch.arange(4.0).view(1, 1, 2, 2)
    fine = torch.full((1, 2, 4, 4), 7.0)
    out = upsample_concat([coarse, fine])
    assert torch.equal(out[:, 1:], fine)
    # half-pixel: output column 1 lies at 0.25 between the inputs 0 and 1
    assert out[0, 0, 0].tolist() == pytest.approx([0.0, 0.25, 0.75, 1.0])


def test_checkpoint_says_which_network_it_holds(tmp_path: Path) -> None:
    model = build_model(replace(TINY, context="dblock")).eval()
    save_checkpoint(model, tmp_path / "m.safetensors", ModelMetadata(name="mine", size_hw=(128, 96)))
    loaded, metadata = load_checkpoint(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    assert (metadata.name, metadata.size_hw) == ("mine", (128, 96))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(x), model(x))
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(EngineError, match="no readable safetensors"):
        load_checkpoint(tmp_path / "text.safetensors")


def write_with_config(path: Path, model: CDLinkNet, change: Callable[[dict[str, object]], object]) -> None:
    fields = asdict(model.config)
    change(fields)
    save_file(model.state_dict(), path, {"config": json.dumps(fields)})


def test_checkpoints_from_before_layer4_was_a_choice_load(tmp_path: Path) -> None:
    model = build_model(TINY)
    write_with_config(tmp_path / "old.safetensors", model, lambda fields: fields.pop("layer4"))
    loaded, _ = load_checkpoint(tmp_path / "old.safetensors")
    assert loaded.config == TINY
    assert torch.equal(loaded.encoder.layer4[0].conv1.weight, model.encoder.layer4[0].conv1.weight)


def test_a_network_of_a_later_rtparse_is_refused_in_words(tmp_path: Path) -> None:
    write_with_config(tmp_path / "new.safetensors", build_model(TINY), lambda fields: fields.update(heads=7))
    with pytest.raises(EngineError, match=r"cannot build.*heads.*update rtparse"):
        load_checkpoint(tmp_path / "new.safetensors")


def test_what_fits_is_taken_over(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = build_model(TINY)
    save_checkpoint(given, tmp_path / "m.safetensors", ModelMetadata(name="m"))
    same = build_model(TINY)
    assert take_over(same, tmp_path / "m.safetensors") == (len(given.state_dict()),) * 2
    assert all(torch.equal(value, same.state_dict()[key]) for key, value in given.state_dict().items())
    shallow = build_model(replace(TINY, layer4=False))
    before = shallow.decoder5[0][0].weight.clone()
    taken, total = take_over(shallow, tmp_path / "m.safetensors")
    assert 0 < taken < total
    assert torch.equal(shallow.encoder.layer3[0].conv1.weight, given.encoder.layer3[0].conv1.weight)
    assert torch.equal(shallow.decoder5[0][0].weight, before)  # of another shape


def test_imagenet_file_of_torchvisions_form_loads(tmp_path: Path) -> None:
    source = ResNetEncoder("resnet18")
    state = source.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "resnet18.pth")
    target = ResNetEncoder("resnet18")
    load_imagenet(target, str(tmp_path / "resnet18.pth"))
    assert torch.equal(target.layer3[0].conv1.weight, source.layer3[0].conv1.weight)
    with pytest.raises(EngineError, match="does not fit"):
        load_imagenet(ResNetEncoder("resnet34"), str(tmp_path / "resnet18.pth"))


@pytest.mark.parametrize(
    "where", ["weights.pth", "weights.safetensors", "weights.npz", "http://127.0.0.1:9/weights.pth"]
)
def test_imagenet_files_that_cannot_be_read_are_named(tmp_path: Path, where: str) -> None:
    (tmp_path / Path(where).name).write_bytes(b"no weights")
    given = where if where.startswith("http") else str(tmp_path / where)
    with pytest.raises(EngineError, match=r"weights\.\w+ cannot be read"):
        load_imagenet(ResNetEncoder("resnet18"), given, torch.zeros(2, 3, 32, 32))


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    for content in (torch.zeros(3), [torch.zeros(3)], {0: torch.zeros(3)}):
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(EngineError, match=r"weights\.pth holds \w+, expected tensors by name"):
            load_imagenet(ResNetEncoder("resnet18"), str(tmp_path / "weights.pth"))


def test_folded_weights_of_another_network_are_named(tmp_path: Path) -> None:
    pictures = torch.zeros(2, 3, 32, 32)
    for name, shape, message in (("conv1", (3, 3, 3, 3), "size mismatch for conv1"), ("stem", (1,), "it has stem")):
        np.savez(tmp_path / "folded.npz", **{f"{name}.weight": np.zeros(shape, np.float32)})
        with pytest.raises(EngineError, match=rf"folded\.npz does not fit the encoder \({message}"):
            load_imagenet(ResNetEncoder("resnet18"), str(tmp_path / "folded.npz"), pictures)


def test_folded_weights_unfold_to_the_same_function(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = ResNetEncoder("resnet18").eval()
    pictures = torch.randn(8, 3, 64, 64)
    arrays = {}
    for name, module in source.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.mul_(0.7)
            arrays[f"{name}.weight"] = module.weight.detach().numpy()
            arrays[f"{name}.bias"] = np.random.default_rng(1).normal(0, 0.1, len(module.weight)).astype(np.float32)
    np.savez(tmp_path / "folded.npz", **arrays)

    def folded(x: torch.Tensor) -> torch.Tensor:
        def block(x: torch.Tensor, prefix: str, stride: int) -> torch.Tensor:
            out = convolve(x, f"{prefix}.conv1", stride, 1).relu()
            out = convolve(out, f"{prefix}.conv2", 1, 1)
            down = f"{prefix}.downsample.0"
            return (out + (convolve(x, down, stride, 0) if f"{down}.weight" in arrays else x)).relu()

        def convolve(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
            weight, bias = (torch.from_numpy(arrays[f"{name}.{part}"]) for part in ("weight", "bias"))
            return torch.nn.functional.conv2d(x, weight, bias, stride, padding)

        x = torch.nn.functional.max_pool2d(convolve(x, "conv1", 2, 3).relu(), 3, 2, 1)
        for layer, stride in (("layer1", 1), ("layer2", 2), ("layer3", 2)):
            x = block(block(x, f"{layer}.0", stride), f"{layer}.1", 1)
        return x

    target = ResNetEncoder("resnet18")
    load_imagenet(target, str(tmp_path / "folded.npz"), pictures)
    other = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(target.eval()(other)[3], folded(other), atol=1e-4)
