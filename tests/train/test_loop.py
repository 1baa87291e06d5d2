"""A tiny network that learns, stops, goes on, and stops for good when a loss is no number."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from safetensors.torch import load_file
from torch import Tensor

from rtparse._cv import cv2
from rtparse.errors import RtparseError, SinkError, SourceError, UsageError
from rtparse.train.batches import Numbering
from rtparse.train.checkpoint import load_checkpoint
from rtparse.train.compose import Pair
from rtparse.train.fabric import open_fabric
from rtparse.train.loop import Plan, StepReport, Trainer, normalized
from rtparse.train.losses import Losses, distillation
from rtparse.train.mix import Batch
from rtparse.train.model import CDLinkNet, ModelConfig, Supervised, build_model
from rtparse.train.recipe import Recipe
from rtparse.train.resume import write_whole

TINY = ModelConfig("resnet18", smooth_channels=16, layer4=False)
QUICK = Recipe(size_hw=(64, 48), batch=4, warmup=2, lr=2e-3, precision="fp32", ema=0.9)


@dataclass(frozen=True)
class Album:
    """Picture k of an endless row is the k-th of a few, so that any division into micro-batches shows the same row."""

    pairs: list[Pair]

    def batch(self, index: int, count: int, size_hw: tuple[int, int]) -> Batch:
        shown = [self.pairs[k % len(self.pairs)] for k in range(index * count, (index + 1) * count)]
        wh = size_hw[::-1]
        return Batch(
            np.stack([np.asarray(cv2.resize(pair.image, wh), np.uint8) for pair in shown]),
            np.stack([np.asarray(cv2.resize(pair.labels, wh, interpolation=0), np.uint8) for pair in shown]),
        )


@pytest.fixture
def album(people: list[Pair]) -> Album:
    return Album(people)


def tiny() -> CDLinkNet:
    torch.manual_seed(0)
    return build_model(TINY)


def trainer(
    folder: Path, album: Album, recipe: Recipe = QUICK, steps: int = 6, model: CDLinkNet | None = None, **more: object
) -> Trainer:
    plan = Plan(folder, steps, "tiny", {"lr": recipe.lr, "batch": recipe.batch})
    return Trainer(open_fabric("fp32"), model or tiny(), album, recipe, plan, **more)  # type: ignore[arg-type]


def test_normalized_is_rgb_less_mean_over_deviation() -> None:
    blue = np.zeros((1, 16, 16, 3), np.uint8)
    blue[..., 0] = 255
    out = normalized(blue)[0, :, 0, 0]
    assert out.tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, (1 - 0.406) / 0.225], abs=1e-5)


@pytest.mark.parametrize("recipe", [QUICK, replace(QUICK, optimizer="sgd", schedule="poly", lr=0.02, ema=0.0)])
def test_loss_falls(people: list[Pair], tmp_path: Path, recipe: Recipe) -> None:
    reports: list[StepReport] = []
    trainer(tmp_path, Album(people[:4]), recipe, steps=25).run(reports.append)
    losses = [report.loss for report in reports]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:3])
    assert [report.step for report in reports] == list(range(1, 26))
    assert all(report.loss == pytest.approx(report.refined + 0.5 * report.auxiliary) for report in reports)
    model, metadata = load_checkpoint(tmp_path / "model.safetensors")
    assert (metadata.name, metadata.size_hw) == ("tiny", (64, 48))
    assert model.config == TINY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "resume.pt"]


def test_stopped_run_goes_on_as_if_never_stopped(album: Album, tmp_path: Path) -> None:
    trainer(tmp_path / "whole", album).run()

    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "parts", album).run(stop)
    steps: list[int] = []
    trainer(tmp_path / "parts", album).run(lambda report: steps.append(report.step))
    assert steps == [4, 5, 6]
    whole, parts = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    whole_state, parts_state = (torch.load(tmp_path / run / "resume.pt")["state"] for run in ("whole", "parts"))
    moments = (state["optimizer"]["state"][0]["exp_avg"] for state in (whole_state, parts_state))
    assert torch.equal(*moments)
    assert not torch.equal(whole_state["model"]["classify.bias"], whole["classify.bias"])  # that is the running mean


def test_other_options_are_refused_and_named(album: Album, tmp_path: Path) -> None:
    trainer(tmp_path, album, steps=1).run()
    with pytest.raises(UsageError, match=r"lr 0\.5 \(it was 0\.002\)"):
        trainer(tmp_path, album, replace(QUICK, lr=0.5), steps=1)
    longer = trainer(tmp_path, album, steps=2)
    assert longer.step == 1
    longer.run()
    assert longer.step == 2


@pytest.mark.parametrize("content", [b"not a file of torch", b".", b"\x80\x02)R.", b"", None])
def test_a_damaged_resume_file_is_named(album: Album, tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        torch.save({"format": 1, "state": {}, "record": None}, tmp_path / "resume.pt")
    else:
        (tmp_path / "resume.pt").write_bytes(content)
    with pytest.raises(RtparseError, match=r"resume\.pt cannot be read"):
        trainer(tmp_path, album)


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "resume.pt").write_text("before")

    def fill(file: BinaryIO) -> None:
        file.write(b"half of it")
        try:
            raise OSError(errno.ENOSPC, "")
        except OSError:
            raise RuntimeError("unexpected pos")  # noqa: B904 (as torch.save does)

    with pytest.raises(SinkError, match=r"resume\.pt cannot be written \(No space left on device\); free some space"):
        write_whole(tmp_path / "resume.pt", fill)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("resume.pt", "before")]


def without_norms(model: torch.nn.Module) -> torch.nn.Module:
    """BatchNorm sees one micro-batch at a time; without it accumulation is exact."""
    for name, child in model.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            setattr(model, name, torch.nn.Identity())
        else:
            without_norms(child)
    return model


def test_two_micro_batches_are_one_batch(album: Album, tmp_path: Path) -> None:
    ends = []
    for accumulate in (1, 2):
        recipe = replace(QUICK, batch=8, accumulate=accumulate, optimizer="sgd", clip_norm=1.0, ema=0.0)
        model = tiny()
        without_norms(model)
        trainer(tmp_path / str(accumulate), album, recipe, steps=1, model=model).run()
        ends.append(model.state_dict())
    start = tiny().state_dict()
    assert all(torch.allclose(ends[0][key], ends[1][key], rtol=1e-4, atol=1e-7) for key in ends[0])
    assert not torch.equal(ends[0]["classify.bias"], start["classify.bias"])


def test_micro_batches_of_all_ranks_are_numbered_once() -> None:
    ranks = [Numbering(4, accumulate=3, world_size=2, rank=rank) for rank in (0, 1)]
    assert ranks[0].of_steps(1, 2) == [6, 8, 10]
    assert sorted(ranks[0].of_steps(0, 5) + ranks[1].of_steps(0, 5)) == list(range(30))
    assert [ranks[1].step(index) for index in ranks[1].of_steps(4, 5)] == [4, 4, 4]


# Worker processes are started from a process of their own, as `rtparse train` is one: started from the process of the
# whole suite, after a thousand other tests in it, that process once and again ended in a segmentation fault.
WORKERS = """
import multiprocessing
import sys
from dataclasses import replace
import numpy as np
from rtparse.errors import RtparseError, SourceError
from rtparse.train.batches import MicroBatches, Numbering, in_order
from rtparse.train.data import open_dataset
from rtparse.train.mix import Mix
from rtparse.train.recipe import Recipe

def batches(spec):
    mix = Mix([(open_dataset(spec), 1.0)], "video", seed=5)
    return MicroBatches(mix, Recipe(size_hw=(64, 48), batch=2), Numbering(2, 1, 1, 0))

if sys.argv[1] == "same":
    by_thread, by_worker = (list(in_order(batches("synthetic"), [3, 4, 5], workers)) for workers in (0, 1))
    assert [batch.index for batch in by_worker] == [3, 4, 5]
    assert all(np.array_equal(a.images, b.images) for a, b in zip(by_thread, by_worker, strict=True))
    print("the same")
elif sys.argv[1] == "killed":
    row = in_order(batches("synthetic"), list(range(1000)), 1)
    next(row)
    multiprocessing.active_children()[0].kill()
    try:
        list(row)
    except RtparseError as error:
        print(error)
else:
    made = batches(f"folder:{sys.argv[1]}")
    open(f"{sys.argv[1]}/images/a.png", "wb").close()
    try:
        list(in_order(made, [0], int(sys.argv[2])))
    except SourceError as error:
        print(error)
"""


def in_a_process(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, *map(str, words)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_worker_processes_make_the_same_batches_as_the_thread() -> None:
    assert in_a_process("same") == "the same\n"


def test_a_worker_that_is_killed_is_told() -> None:
    said = in_a_process("killed")
    assert "one of 1 processes that make batches was killed, as happens where memory is full" in said
    assert "give fewer --workers" in said


def test_what_is_done_is_saved_when_pictures_cannot_be_had(album: Album, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Torn:
        whole: int

        def batch(self, index: int, count: int, size_hw: tuple[int, int]) -> Batch:
            if index >= self.whole:
                raise SourceError("gone.png is gone")
            return album.batch(index, count, size_hw)

    for whole, saved in ((0, False), (3, True)):
        folder = tmp_path / str(whole)
        with pytest.raises(SourceError, match=r"gone\.png is gone"):
            trainer(folder, Torn(whole)).run()  # type: ignore[arg-type]
        assert (folder / "resume.pt").exists() == saved
    assert trainer(tmp_path / "3", album).step == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_vanishes_is_named(workers: int, tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a.png"), np.zeros((64, 48), np.uint8))
    said = in_a_process(tmp_path, workers)
    assert "a.png" in said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_made_is_named(album: Album, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/run cannot be made"):
        trainer(tmp_path / "file/run", album).run()


def test_a_loss_that_is_no_number_stops_and_shows_the_batch(album: Album, tmp_path: Path) -> None:
    model = tiny()
    run = trainer(tmp_path, album, replace(QUICK, batch=4, accumulate=2), model=model)

    def spoil(report: StepReport) -> None:
        if report.step == 2:
            with torch.no_grad():
                model.classify.weight.fill_(float("nan"))

    with pytest.raises(RtparseError, match=r"the loss is nan at step 2, micro-batch 4, rank 0.*bad-batch\.png"):
        run.run(spoil)
    picture = cv2.imread(str(tmp_path / "bad-batch.png"))
    assert picture.shape[:2] == (2 * (64 + 4), 2 * (48 + 4))  # two pictures, each beside its labels


def test_a_gradient_that_is_no_number_never_reaches_the_weights(album: Album, tmp_path: Path) -> None:
    def steep(output: Tensor | Supervised, labels: Tensor) -> Losses:
        assert isinstance(output, Supervised)
        total = (output.logits.sum() * 0).sqrt()  # 0, and its slope is not finite
        return Losses(total, total, total)

    run = trainer(tmp_path, album, criterion=steep)
    with pytest.raises(RtparseError, match="the gradient is nan at step 0"):
        run.run()
    assert torch.equal(run.exported.classify.weight.cpu(), tiny().classify.weight)


@pytest.mark.parametrize(
    ("backoff", "recovers"),
    [
        (0.01, True),  # the scale comes down within a few skipped steps
        (0.999999, False),  # it never does: something else is wrong
    ],
)
def test_fp16_may_skip_steps_but_not_for_ever(album: Album, tmp_path: Path, backoff: float, recovers: bool) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=3e38, backoff_factor=backoff)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    fabric.launch()
    run = Trainer(
        fabric, tiny(), album, replace(QUICK, size_hw=(32, 32), batch=2, ema=0.0), Plan(tmp_path, 24, "tiny", {})
    )
    before = run.exported.classify.weight.clone()
    if recovers:
        run.run()
        assert not torch.equal(before, run.exported.classify.weight)
        assert scaler.get_scale() < 3e38
        assert torch.load(tmp_path / "resume.pt")["state"]["scaler"]["scale"] == scaler.get_scale()
    else:
        with pytest.raises(RtparseError, match="again and again at step 19"):
            run.run()
        assert torch.equal(before, run.exported.classify.weight)


def test_fp16_needs_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UsageError, match="no GPU"):
        open_fabric("fp16")


def test_a_teacher_is_followed(album: Album, tmp_path: Path) -> None:
    torch.manual_seed(7)
    teacher = build_model(TINY).eval()
    with torch.no_grad():
        teacher.classify.weight.mul_(5)  # an opinion strong enough to be told from none
    images = normalized(album.batch(0, 4, (64, 48)).images)

    def distance(model: CDLinkNet) -> float:
        model.eval()
        with torch.no_grad():
            return distillation(model(images), teacher(images), 2.0).item()

    ends = {}
    for share in (0.0, 1.0):
        model = tiny()
        recipe = replace(QUICK, ema=0.0, teacher_weight=share)
        trainer(tmp_path / str(share), album, recipe, steps=20, model=model, teacher=teacher).run()
        ends[share] = distance(model)
    assert ends[1.0] < 0.5 * ends[0.0]
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


RANK = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from rtparse.train.data import open_dataset
from rtparse.train.fabric import open_fabric
from rtparse.train.loop import Plan, Trainer
from rtparse.train.mix import Mix
from rtparse.train.model import ModelConfig, build_model
from rtparse.train.recipe import Recipe

folder = Path(sys.argv[1])
fabric = open_fabric("fp32")
torch.manual_seed(fabric.global_rank)  # DDP gives all ranks the weights of rank 0
model = build_model(ModelConfig("resnet18", smooth_channels=16, layer4=False))
recipe = Recipe(size_hw=(64, 48), batch=8, accumulate=2, warmup=2, lr=2e-3, precision="fp32")
mix = Mix([(open_dataset("synthetic")[:6], 1.0)], "video", seed=0)
losses = []
run = Trainer(fabric, model, mix, recipe, Plan(folder, 14, "tiny", {}))
run.run(lambda report: losses.append(report.loss))
weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
torch.save({"weights": weights, "losses": losses, "world": fabric.world_size}, folder / f"{fabric.global_rank}.pt")
"""


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    (tmp_path / "rank.py").write_text(RANK)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "rank.py"), str(tmp_path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first["world"] == 2
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in first["weights"])
    assert first["losses"] != second["losses"]  # each saw pictures of its own
    assert np.mean(first["losses"][-4:]) < 0.8 * np.mean(first["losses"][:3])
    assert load_checkpoint(tmp_path / "model.safetensors")[1].name == "tiny"
