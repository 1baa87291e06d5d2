"""`rtparse inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtparse.cli import options

if TYPE_CHECKING:
    from rtparse.sidecar import Sidecar


@click.command("inspect")
@click.argument("plan", type=click.Path(path_type=Path), metavar="PLAN")
@click.option("--layers", is_flag=True, help="List the engine's layers; loads the plan, so needs its GPU.")
@options.verbosity
def command(plan: Path, layers: bool) -> None:
    """Show the sidecar of a TensorRT plan, its inputs and outputs, and whether it is whole. Needs no GPU.

    --layers loads the plan, which is native code: do so only with plans that you trust.
    """
    from rtparse.cli.terminal import results
    from rtparse.errors import EngineError, UsageError
    from rtparse.sidecar import read_sidecar, sidecar_path

    if not plan.is_file():
        raise UsageError(f"no file {plan}", "give a TensorRT plan")
    if plan.suffix == ".onnx":
        raise UsageError(f"{plan} is an ONNX file", "give a TensorRT plan, as rtparse export --to m.plan writes")
    sidecar = read_sidecar(plan)
    if sidecar is None:
        raise EngineError(
            f"{plan} has no sidecar {sidecar_path(plan)}, and says nothing of itself", "export it with rtparse export"
        )
    _show(sidecar)
    sidecar.check_plan(plan.read_bytes())
    results.print("the plan is whole: its SHA-256 is the one recorded")
    if layers:
        from rtparse.engines.plan import describe_layers

        for line in describe_layers(plan):
            results.print(line, soft_wrap=True)


def _show(sidecar: Sidecar) -> None:
    from rich.table import Table

    from rtparse.cli.terminal import results

    target, build = sidecar.target, sidecar.build
    table = Table("what", "value", title=f"{sidecar.metadata.name or 'a plan'}, {sidecar.metadata.precision}")
    gpu = f"{target.gpu}, compute capability {target.compute_capability}, {target.driver}" if target.gpu else "none"
    rows = {
        "library": f"{target.flavour} {target.version}",
        "built on": f"{target.os}; GPU: {gpu}",
        "input sizes": ", ".join("{}x{}".format(*each.size_hw) for each in sidecar.profiles),
        "batch": "{} to {}, best at {}".format(*(sidecar.profiles[0].batch[index] for index in (0, 2, 1))),
        **{tensor.name: f"{tensor.dtype} {tensor.shape}" for tensor in sidecar.tensors},
        "kept in float32": ", ".join(build.float32_layers) or "nothing",
        "upsample-concat": _fused(sidecar),
        "compared with ONNX Runtime": f"batches {', '.join(map(str, build.verified))}"
        if build.verified
        else f"no: {build.unverified or '--no-verify'}",
        "plan": f"{sidecar.plan_bytes} bytes, SHA-256 {sidecar.plan_sha256}",
        "built from": f"ONNX, SHA-256 {sidecar.onnx_sha256}",
        "build it again": build.command,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    results.print(table)


def _fused(sidecar: Sidecar) -> str:
    build = sidecar.build
    chosen = "fused" if build.fused else "standard ops"
    if build.fused_ms is None or build.plain_ms is None:
        return chosen
    return f"{chosen}: {build.fused_ms:.3f} ms a run fused, {build.plain_ms:.3f} ms plain"
