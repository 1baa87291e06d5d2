"""What the README tells people to run exists, and what it tells them to write works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from rtparse.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL))


COMMANDS = [line for line in blocks("sh").splitlines() if line.startswith("rtparse ")]


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("line", COMMANDS)
def test_command_lines_are_understood(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    command.make_context(words[0], words[1:])  # parses the options, runs nothing


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", blocks("sh"), re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)


def test_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    image = np.full((48, 64, 3), 128, np.uint8)
    code = blocks("python").replace('"in.mp4"', "[image, image]")
    assert code.count("[image, image]") == 1
    exec(compile(code, "README.md", "exec"), {"image": image})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert printed[0].startswith("0.0 {")


def test_linked_files_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
