"""A run that is killed with SIGKILL, at any moment and several times, ends as if it had not been.

RTPARSE_KILLS=10 python -m pytest tests/train/test_resume_kill.py kills it ten times.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("RTPARSE_KILLS", "3"))

# One process imports torch and forks a child for each attempt, which saves seconds of imports. No tensor was made in
# it before, so no thread is lost in a fork.
SCRIPT = """
import os, random, signal, sys, time, traceback
from pathlib import Path
import torch
from rtparse.train.checkpoint import load_checkpoint
from rtparse.train.data import open_dataset
from rtparse.train.fabric import open_fabric
from rtparse.train.loop import Plan, Trainer
from rtparse.train.losses import ParsingLoss
from rtparse.train.mix import Mix
from rtparse.train.model import ModelConfig, build_model
from rtparse.train.recipe import Recipe
from rtparse.train.resume import load_state

STEPS = 10
folder, kills = Path(sys.argv[1]), int(sys.argv[2])

def attempt(out):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fabric = open_fabric("fp32")
    recipe = Recipe(size_hw=(64, 48), batch=4, accumulate=2, warmup=2, precision="fp32")
    mix = Mix([(open_dataset("synthetic"), 1.0)], "video", seed=0)
    model = build_model(ModelConfig("resnet18", smooth_channels=16, layer4=False))
    Trainer(fabric, model, mix, recipe, Plan(out, STEPS, "tiny", {}, save_seconds=0), ParsingLoss()).run()

def child(out):
    pid = os.fork()
    if pid == 0:
        try:
            attempt(out)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return pid

started = time.monotonic()
_, status = os.waitpid(child(folder / "whole"), 0)
assert status == 0
seconds = time.monotonic() - started
chance = random.Random(int.from_bytes(os.urandom(4)))
killed = attempts = 0
while True:
    attempts += 1
    assert attempts < 20 * kills
    pid = child(folder / "parts")
    if killed < kills:
        # Short enough that the run is not at its end before all kills have struck.
        time.sleep(chance.uniform(0.2, 1.5) * seconds / (kills + 1))
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0
        break
    killed += 1
    # What is there is whole.
    state = load_state(folder / "parts", {})
    if (folder / "parts" / "model.safetensors").exists():
        load_checkpoint(folder / "parts" / "model.safetensors")
    print("killed after step", state and state["step"], flush=True)
print("kills", killed, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    (tmp_path / "runs.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "runs.py"), str(tmp_path), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=120 + 60 * KILLS,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"kills {KILLS}" in done.stdout, done.stdout

    import torch
    from safetensors.torch import load_file

    whole, parts = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    whole_state, parts_state = (torch.load(tmp_path / run / "resume.pt")["state"] for run in ("whole", "parts"))
    assert all(torch.equal(value, parts_state["model"][key]) for key, value in whole_state["model"].items())
