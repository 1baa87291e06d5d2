"""Where `rtparse video` writes what it makes of its inputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rtparse.errors import UsageError
from rtparse.sinks.partial import write_errors


@dataclass(frozen=True)
class Target:
    """The outputs of one input: the video and, where they were asked for, a folder of masks and a file of JSON."""

    source: str
    output: Path
    masks: Path | None
    jsonl: Path | None


def targets(
    sources: Sequence[str], output: Path | None, masks: Path | None, jsonl: Path | None, *, alpha: bool = False
) -> list[Target]:
    """The outputs of each input. With several inputs the options name folders that hold an output for each.

    alpha: the default output is one that holds alpha; and the folder that -o names for one input is the output itself.

    Raises UsageError for an input that does not exist, an option that names a file where several inputs need a folder,
    two outputs of one name, and an output that is an input.
    """
    for source in sources:
        if not (source.isdigit() or "://" in source or Path(source).exists()):
            raise UsageError(f"there is no file or folder {source}", "check the path")
    if len(sources) == 1:
        beside = default_output(sources[0], alpha)
        into = output / beside.name if output and output.is_dir() and not alpha else output
        made = [Target(sources[0], into or beside, masks, jsonl)]
    else:
        for option, folder in (("-o", output), ("--jsonl", jsonl)):
            if folder and not folder.is_dir() and (folder.suffix or folder.exists()):
                raise UsageError(
                    f"{option} {folder} is one file for {len(sources)} inputs", "name a folder, which gets one for each"
                )
        made = [_among_several(source, output, masks, jsonl, alpha) for source in sources]
    _check(made)
    return made


def make_folders(made: Sequence[Target]) -> None:
    """Make the folders that the options name for several inputs. Raises SinkError."""
    if len(made) > 1:
        for folder in {path.parent for target in made for path in (target.output, target.masks, target.jsonl) if path}:
            with write_errors(folder):
                folder.mkdir(exist_ok=True)


def _among_several(source: str, output: Path | None, masks: Path | None, jsonl: Path | None, alpha: bool) -> Target:
    beside = default_output(source, alpha)
    name = beside.name.removesuffix(f".parsed{beside.suffix}")
    return Target(
        source,
        output / beside.name if output else beside,
        masks / name if masks else None,
        jsonl / f"{name}.jsonl" if jsonl else None,
    )


def _check(made: Sequence[Target]) -> None:
    inputs = [Path(target.source) for target in made if Path(target.source).exists()]
    owners: dict[Path, Target] = {}
    for target in made:
        for path in filter(None, (target.output, target.masks, target.jsonl)):
            if path.exists() and any(path.samefile(given) for given in inputs):
                raise UsageError(f"{path} is an input itself", "choose another name with -o")
            if owner := owners.get(path.resolve()):
                if owner is target:
                    raise UsageError(f"two outputs of {target.source} would both be {path}", "choose another name")
                raise UsageError(f"{owner.source} and {target.source} would both become {path}", "leave one away")
            owners[path.resolve()] = target


def default_output(source: str, alpha: bool = False) -> Path:
    """IN.parsed.mp4 (.mov with alpha) beside a file or folder, in the current folder for a URL or a camera."""
    path = Path(source)
    ending = ".parsed.mov" if alpha else ".parsed.mp4"
    if path.is_dir():
        resolved = path.resolve()
        return resolved.parent / f"{resolved.name}{ending}"
    if path.is_file():
        return path.with_name(f"{path.stem}{ending}")
    if source.isdigit():
        return Path(f"camera-{source}{ending}")
    stem = Path(urlsplit(source).path).stem or urlsplit(source).netloc or "stream"
    return Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', stem)}{ending}")
