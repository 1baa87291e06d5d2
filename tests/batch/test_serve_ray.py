"""The example of Ray Serve answers as `rtparse serve` does. It takes half a minute: RTPARSE_SERVE_RAY=1 runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

ray = pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")
pytest.importorskip("fastapi", reason="no FastAPI: pip install rtparse[serve]")

EXAMPLE = Path(__file__).parents[2] / "examples/serve_ray.py"


@pytest.mark.skipif("RTPARSE_SERVE_RAY" not in os.environ, reason="RTPARSE_SERVE_RAY=1 runs it")
def test_two_replicas_answer_as_one_process(walk: list[NDArray[np.uint8]], tiny_onnx: Path) -> None:
    from starlette.testclient import TestClient

    from rtparse import Parser
    from rtparse.serve.api import api_app

    pytest.importorskip("ray.serve", reason="no Ray Serve: pip install ray[serve]")
    images = [cv2.imencode(".png", frame)[1].tobytes() for frame in walk[::25]]
    header = {"Content-Type": "image/png"}
    with Parser(tiny_onnx) as parser, TestClient(api_app(parser)) as client:
        expected = [client.post("/api/parse", content=image, headers=header).json() for image in images]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(EXAMPLE), "--engine", str(tiny_onnx), "--replicas", "2", "2", "--port", str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    )
    try:
        assert server.stdout
        line = next((line for line in server.stdout if "serving on" in line), "")
        assert str(port) in line
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            assert len(client.get("/api/classes").json()["classes"]) == 20
            answers = [client.post("/api/parse", content=image, headers=header) for image in images]
        assert [answer.json() for answer in answers] == expected
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
