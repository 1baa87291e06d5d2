"""`rtparse info`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click
from rich.table import Table

from rtparse.cli import options
from rtparse.cli.terminal import results

PACKAGES = (
    "rtparse",
    "numpy",
    "opencv-python",
    "av",
    "onnxruntime",
    "openvino",
    "pycocotools",
    "torch",
    "tensorrt",
    "pycuda",
    "PyNvVideoCodec",
)


@click.command("info")
@options.verbosity
def command() -> None:
    """Show versions, the engines and video codecs that run here (and why others do not) and the models."""
    from rtparse.device.nvcodec import unavailable
    from rtparse.engines import available_engines, default_model
    from rtparse.models import list_models

    versions = Table("package", "version", title=f"Python {platform.python_version()}, {platform.platform()}")
    for package in PACKAGES:
        try:
            versions.add_row(package, version(package))
        except PackageNotFoundError:
            versions.add_row(package, "not installed")
    results.print(versions)
    engines = Table("engine", "runs here", "why", title="Engines")
    for engine in available_engines():
        engines.add_row(engine.kind, "yes" if engine.available else "no", engine.reason)
    results.print(engines)
    video = Table("video", "runs here", "why", title="Video")
    video.add_row("FFmpeg", "yes", "")
    for part in ("NVDEC", "NVENC"):
        why = unavailable(part)
        video.add_row(part, "no" if why else "yes", why)
    results.print(video)
    models = Table("model", "file", "SHA-256", title="Models")
    default = default_model()
    for model in list_models():
        name = f"{model.name} (default)" if model.name == default else model.name
        models.add_row(name, str(model.path), model.sha256[:16])
    results.print(models)
