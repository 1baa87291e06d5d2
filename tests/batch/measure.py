"""What a run costs beside the parsing, and what that means for 10, 100 and 1000 workers: the figures of docs/scale.md.

python tests/batch/measure.py cost CLIPS... [--engine M]    CPU time against `rtparse video` in a loop
python tests/batch/measure.py workers CLIPS... [--engine M] throughput against the number of workers
python tests/batch/measure.py task                          the driver's cost of a task
python tests/batch/measure.py simulate scale.png --task 0.002 --gap 0.005 --start 8
"""

from __future__ import annotations

import argparse
import ctypes
import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

SUBREAPER = 36  # of prctl: processes whose parent has ended come here, so that they are found


def measured(command: Sequence[object]) -> tuple[float, float]:
    """CPU and wall seconds of a command and of everything that it started."""
    program = [sys.executable, __file__, "sample", *map(str, command)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    code, cpu, wall = done.stdout.split()
    if code != "0":
        raise SystemExit(f"{command} ended with {code}")
    return float(cpu), float(wall)


def sample(command: Sequence[str]) -> None:
    """Run a command and add up the CPU time of all processes below this one, as they were last seen.

    Ray's daemons do not wait for their workers, so that no one is told their time.
    """
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    seen: dict[tuple[int, str], float] = {}
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        parents, times = {}, {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(path.parent.name)
            parents[pid] = int(fields[1])
            times[pid] = (fields[19], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        for pid in parents:
            above = pid
            while above in parents and above != os.getpid():
                above = parents[above]
            if above == os.getpid() != pid:
                born, used = times[pid]
                seen[pid, born] = used
        time.sleep(0.1)
    print(process.returncode, sum(seen.values()), time.monotonic() - started)


def rtparse(*arguments: object) -> list[object]:
    return [sys.executable, "-m", "rtparse", *arguments]


def cost(clips: Sequence[str], engine: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loop = wall = 0.0
        for number, clip in enumerate(clips):
            used, took = measured(rtparse("video", clip, "-o", f"{folder}/{number}.mp4", *engine))
            loop, wall = loop + used, wall + took
        print(f"rtparse video in a loop: {loop:.1f} CPU s, {wall:.1f} s")
        out = f"{folder}/out"
        used, took = measured(rtparse("batch", *clips, "--out", out, "--ray", "local", "--keep", "overlay", *engine))
        report = json.loads(Path(out, "report.json").read_text())
        print(
            f"rtparse batch: {used:.1f} CPU s, {took:.1f} s; of the workers' parsing {report['cpu_seconds']:.1f} CPU s"
        )
        print(f"ratio {used / loop:.3f}")


def workers(clips: Sequence[str], engine: Sequence[str]) -> None:
    for count, cpus in ((1, 1), (2, 1), (1, 2)):
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/out"
            shape = ("--workers", count, "--cpus-per-worker", cpus)
            measured(rtparse("batch", *clips, "--out", out, "--ray", "local", *shape, *engine))
            report = json.loads(Path(out, "report.json").read_text())
            parsing = max(worker["seconds"] for worker in report["workers"])
            print(
                f"{count} workers of {cpus} CPUs: {report['frames'] / report['seconds']:.1f} FPS from start to end, "
                f"{report['frames'] / parsing:.1f} FPS while parsing"
            )


def task() -> None:
    """Videos that are finished but not in the manifest: everything of a task but the parsing."""
    from rtparse.batch.cluster import connected
    from rtparse.batch.inputs import find_videos
    from rtparse.batch.job import DONE, Options, Record
    from rtparse.batch.models import read_model
    from rtparse.batch.plan import Cutting
    from rtparse.batch.run import Plan, View, run
    from rtparse.batch.store import Store

    with tempfile.TemporaryDirectory() as folder:
        model = read_model(None)
        plan = Plan(Store(f"{folder}/out"), Options(model.network.sha256), model, Cutting(0), workers=2)
        Path(folder, "list.txt").write_text("".join(f"{folder}/{number}.mp4\n" for number in range(2000)))
        videos = find_videos([f"{folder}/list.txt"])
        for video in videos:
            record = Record(video.uri, video.name, plan.options.key(video), DONE, model.network.sha256)
            plan.store.write(f"{video.name}/record.json", record.to_json())
        times: list[tuple[float, float]] = []
        with connected("local", 2) as ray:
            run(ray, plan, videos, View(ended=lambda record: times.append((time.monotonic(), time.process_time()))))
        (wall, cpu), (wall_end, cpu_end) = times[200], times[-1]
        count = len(times) - 201
        print(
            f"a task: {1000 * (wall_end - wall) / count:.2f} ms with 2 workers, "
            f"driver {1000 * (cpu_end - cpu) / count:.2f} CPU ms"
        )


def simulate(picture: Path, task_seconds: float, gap: float, start: float) -> None:
    """An archive of 20 hours of video a worker, one frame in real time each; the driver serves one event at a time."""
    counts = (1, 3, 10, 30, 100, 300, 1000, 3000)
    lines: dict[str, list[float]] = {"parts of 60 s": [], "parts of 10 s": [], "whole videos": []}
    tails: dict[str, list[float]] = {name: [] for name in lines}
    for count in counts:
        random = np.random.default_rng(0)
        # Lengths: median two minutes, 3 % over an hour, none over three hours.
        lengths = np.minimum(random.lognormal(np.log(120), 1.8, 40 * count), 10_800)
        for name, part in (("parts of 60 s", 60.0), ("parts of 10 s", 10.0), ("whole videos", np.inf)):
            pieces = np.concatenate([_pieces(length, part) for length in lengths])
            pieces = pieces * random.normal(1, 0.15, len(pieces)).clip(0.6, 2)  # as measured from clip to clip
            end, first_idle = _simulated(pieces, count, task_seconds, gap, start)
            lines[name].append(pieces.sum() / count / end)
            tails[name].append(end - first_idle)
            print(
                f"{count:5} workers, {name:14} {len(pieces):8} tasks: efficiency {lines[name][-1]:.3f}, "
                f"tail {tails[name][-1]:7.0f} s"
            )
    _plot(picture, counts, lines)


def _pieces(length: float, part: float) -> np.ndarray:
    if length < 1.5 * part:
        return np.array([length])
    count = max(1, round(length / part))
    return np.full(count, length / count)


def _simulated(pieces: np.ndarray, count: int, task_seconds: float, gap: float, start: float) -> tuple[float, float]:
    """When all is done, and when the first worker finds no work."""
    free = [start] * count
    heapq.heapify(free)
    driver, last, first_idle = 0.0, 0.0, np.inf
    for seconds in pieces:
        ready = heapq.heappop(free)
        driver = max(driver, ready) + task_seconds  # the driver takes the result and gives out the next
        heapq.heappush(free, driver + gap + seconds)
    first_idle = heapq.heappop(free)
    last = max(free, default=first_idle)
    return max(last, first_idle), first_idle


def _plot(path: Path, counts: Sequence[int], lines: dict[str, list[float]]) -> None:
    width, height, left, top, right, bottom = 900, 460, 80, 40, 220, 60
    image = np.full((height, width, 3), 255, np.uint8)
    font, ink, grid = cv2.FONT_HERSHEY_SIMPLEX, (50, 44, 40), (228, 228, 228)

    def place(x: float, y: float) -> tuple[int, int]:
        across = np.log10(x) / np.log10(counts[-1])
        return left + round(across * (width - left - right)), round(top + (1 - y) * (height - top - bottom))

    for y in (0, 0.2, 0.4, 0.6, 0.8, 1):
        cv2.line(image, place(1, y), place(counts[-1], y), grid, 1)
        cv2.putText(image, f"{y:.1f}", (30, place(1, y)[1] + 5), font, 0.5, ink, 1, cv2.LINE_AA)
    for x in counts:
        cv2.putText(image, str(x), (place(x, 0)[0] - 10, height - 35), font, 0.5, ink, 1, cv2.LINE_AA)
    cv2.putText(image, "workers", (left + 250, height - 10), font, 0.5, ink, 1, cv2.LINE_AA)
    cv2.putText(
        image, "share of the workers' time that is parsing (simulated)", (left, 22), font, 0.5, ink, 1, cv2.LINE_AA
    )
    colours = ((60, 122, 232), (196, 158, 118), (122, 160, 84))
    for number, ((name, values), colour) in enumerate(zip(lines.items(), colours, strict=True)):
        points = [place(x, y) for x, y in zip(counts, values, strict=True)]
        cv2.polylines(image, [np.array(points)], False, colour, 2, cv2.LINE_AA)
        cv2.putText(
            image, name, (points[-1][0] + 12, points[-1][1] + 5 + 22 * (number == 1)), font, 0.5, colour, 1, cv2.LINE_AA
        )
    cv2.imwrite(str(path), image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("cost", "workers"):
        each = commands.add_parser(name)
        each.add_argument("clips", nargs="+")
        each.add_argument("--engine")
        each.add_argument("--backend", default="onnxruntime")
    commands.add_parser("task")
    simulation = commands.add_parser("simulate")
    simulation.add_argument("picture", type=Path)
    for name in ("task", "gap", "start"):
        simulation.add_argument(f"--{name}", type=float, required=True)
    if sys.argv[1:2] == ["sample"]:
        sample(sys.argv[2:])
        return
    given = parser.parse_args()
    if given.command == "task":
        task()
    elif given.command == "simulate":
        simulate(given.picture, given.task, given.gap, given.start)
    else:
        engine = ["--backend", given.backend, *(["--engine", given.engine] if given.engine else [])]
        {"cost": cost, "workers": workers}[given.command](given.clips, engine)


if __name__ == "__main__":
    main()
