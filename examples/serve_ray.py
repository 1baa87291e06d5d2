"""The JSON API of `rtparse serve` on a Ray cluster: replicas come and go with the load.

    pip install "rtparse[serve,cluster]" "ray[serve]"
    python serve_ray.py --replicas 1 4 --port 8000     # RAY_ADDRESS=auto on a node of a cluster
    curl --data-binary @photo.jpg -H "Content-Type: image/jpeg" http://127.0.0.1:8000/api/parse

Each replica loads the model once. The server checks no token: put it behind a proxy that does.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from fastapi import FastAPI
from ray import serve

from rtparse import Parser
from rtparse.engines import default_model, open_engine
from rtparse.models import resolve
from rtparse.serve.api import api_app


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--engine", help="model file or name, on every node")
    arguments.add_argument("--replicas", type=int, nargs=2, default=(1, 4), metavar=("LEAST", "MOST"))
    arguments.add_argument("--cpus", type=int, default=1, help="of a replica")
    arguments.add_argument("--gpus", type=float, default=0.0, help="share of a GPU of a replica")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8000)
    given = arguments.parse_args()

    def app() -> FastAPI:
        """Made in the replica."""
        return api_app(Parser(open_engine(resolve(given.engine or default_model()), threads=given.cpus)))

    @serve.deployment(
        ray_actor_options={"num_cpus": given.cpus, "num_gpus": given.gpus},
        autoscaling_config={
            "min_replicas": given.replicas[0],
            "max_replicas": given.replicas[1],
            "target_ongoing_requests": 2,
        },
    )
    @serve.ingress(app)
    class Api:
        pass

    if os.environ.get("RAY_ADDRESS"):
        ray.init(address="auto", logging_level="ERROR")
    else:  # alone; logical CPUs, so that all replicas fit
        cpus = max(os.cpu_count() or 1, given.replicas[1] * given.cpus)
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, logging_level="ERROR")
    serve.start(http_options={"host": given.host, "port": given.port})
    serve.run(Api.bind(), name="rtparse", route_prefix="/")
    print(f"serving on http://{given.host}:{given.port}", flush=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()


if __name__ == "__main__":
    main()
