"""`rtparse presets` from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from rtparse.cli.presets import command
from rtparse.exporters.presets import cpu_backends
from rtparse.train import model
from rtparse.train.model import ModelConfig


def test_the_table_has_a_line_for_each_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    presets = {"tiny": ModelConfig(smooth_channels=16, layer4=False)}
    monkeypatch.setattr(model, "PRESETS", presets)
    monkeypatch.setattr("rtparse.exporters.presets.PRESETS", presets)
    done = CliRunner().invoke(command, ["--markdown"], catch_exceptions=False)
    head, rule, line = done.stdout.splitlines()
    timed = [f"ms, {backend}" for backend in cpu_backends()]
    assert head == f"| {' | '.join(['preset', 'encoder', 'parameters', 'GFLOP', *timed, 'mIoU'])} |"
    assert set(rule) == set("|- ")
    cells = line.strip("| ").split(" | ")
    assert cells[:2] == ["tiny", "resnet18 without layer4"]
    assert cells[2].endswith(" M")
    assert all(float(ms) > 0 for ms in cells[4:-1])
    assert cells[-1] == "-"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "nano"], "got 'nano', expected PRESET=FILE"),
        (["--weights", "nano=a.safetensors", "--weights", "nano=b.safetensors"], "nano was given twice"),
        (["--weights", "huge=model.safetensors"], "there is no preset 'huge'"),
        (["--weights", "nano=none.safetensors"], "no file none.safetensors"),
        (["--data", "synthetic"], "--data was given without --weights"),
        (["--split", "held-out"], "--split and --hold-out are for --data"),
        (["--weights", "nano=none.safetensors", "--data", "synthetic", "--hold-out", "5"], "without --split held-out"),
    ],
)
def test_wrong_use_is_refused_in_one_line(rtparse, folder: Path, arguments: list[str], message: str) -> None:
    done = rtparse("presets", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
