"""`rtparse serve`."""

from __future__ import annotations

import ipaddress
import re
import signal
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtparse.cli import options

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

LEAST_TOKEN = 16
"""Letters of a token, below which it can be guessed."""

CONNECTIONS = 256
"""At once; more are answered with 503."""

GRACE_SECONDS = 5
"""How long requests may go on after Ctrl-C."""


@click.command("serve")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@options.engine
@options.palette
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--token",
    envvar="RTPARSE_TOKEN",
    show_envvar=True,
    help=f"What visitors must show, {LEAST_TOKEN} letters or more; needed when others can reach --host.",
)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name of this server, besides localhost.")
@click.option("--cert", type=click.Path(path_type=Path), metavar="FILE", help="PEM certificate, for HTTPS.")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key.")
@click.option("--max-image", type=click.IntRange(1), default=32, show_default=True, help="MiB of an image.")
@click.option("--max-video", type=click.IntRange(1), default=512, show_default=True, help="MiB of a video.")
@click.option("--max-pixels", type=click.FloatRange(0.01), default=50.0, show_default=True, help="Megapixels.")
@click.option("--max-seconds", type=click.IntRange(1), default=3600, show_default=True, help="Of work on one video.")
@click.option("--max-clients", type=click.IntRange(1), default=16, show_default=True, help="Live views at once.")
@click.option("--keep", type=click.IntRange(1), default=60, show_default=True, help="Minutes that results are kept.")
@options.verbosity
def command(
    sources: tuple[str, ...],
    engine: str | None,
    backend: str | None,
    size: str,
    palette: str | None,
    host: str,
    port: int,
    token: str | None,
    hosts: tuple[str, ...],
    cert: Path | None,
    key: Path | None,
    max_image: int,
    max_video: int,
    max_pixels: float,
    max_seconds: int,
    max_clients: int,
    keep: int,
) -> None:
    """Serve a page for the browser and a JSON API until Ctrl-C.

    The page shows each SOURCE live (a camera's number, a URL, the screen, a file that is played in a loop), or the
    visitor's own camera, and parses images and videos that are uploaded.
    """
    from rtparse.cli.terminal import console, results
    from rtparse.errors import MissingDependencyError, UsageError
    from rtparse.parser import Parser

    try:
        import uvicorn

        from rtparse.serve.app import server_app
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "serve") from None
    from rtparse.serve.feeds import feed_source
    from rtparse.serve.limits import MIB, Limits

    if token is not None and not re.fullmatch(f"[!-~]{{{LEAST_TOKEN},}}", token):
        raise UsageError(
            f"got a token of {len(token)} letters", f"expected {LEAST_TOKEN} or more, of ASCII and without spaces"
        )
    if token is None and not _is_loopback(host):
        raise UsageError(
            f"others can reach {host}, and no token was given",
            'add --token "$(openssl rand -hex 16)", or set RTPARSE_TOKEN',
        )
    _check_certificate(cert, key)
    limits = replace(
        Limits(),
        image_bytes=max_image * MIB,
        video_bytes=max_video * MIB,
        pixels=round(max_pixels * 1e6),
        video_seconds=float(max_seconds),
        clients=max_clients,
        lifetime=keep * 60.0,
    )
    feeds = [feed_source(spec) for spec in sources]
    listening = _listen(host, port)
    with listening, Parser(engine, backend=backend, size=size, palette=palette) as parser:
        app = server_app(parser, feeds, limits=limits, token=token, hosts=hosts)
        server = uvicorn.Server(server_config(app, cert, key, limits.live_bytes))
        shown = f"[{host}]" if ":" in host else host
        url = f"{'https' if cert else 'http'}://{shown}:{listening.getsockname()[1]}/"
        results.print(url, soft_wrap=True)
        console.print("Ctrl-C ends the server", soft_wrap=True)
        _run(server, listening)


def server_config(app: FastAPI, cert: Path | None, key: Path | None, message_bytes: int) -> uvicorn.Config:
    import uvicorn

    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever asks could claim any address or scheme by them
        ws="websockets-sansio",
        ws_max_size=message_bytes + 1024,
        ws_per_message_deflate=False,  # what is sent is compressed
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=CONNECTIONS,
        ssl_certfile=None if cert is None else str(cert),
        ssl_keyfile=None if key is None else str(key),
    )


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Until SIGINT or SIGTERM, which are the usual end: the server raises them again, and here they do nothing."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_certificate(cert: Path | None, key: Path | None) -> None:
    """Raises UsageError for what HTTPS could not be served with."""
    from rtparse.errors import UsageError

    if (cert is None) != (key is None):
        raise UsageError("got one of --cert and --key", "give both")
    if cert is None or key is None:
        return
    for file in (cert, key):
        if not file.is_file():
            raise UsageError(f"there is no file {file}", "expected a PEM file")
    try:
        # A key with a password would ask for it, in the middle of everything.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UsageError(
            f"{cert} and {key} cannot be used ({getattr(error, 'reason', None) or error})",
            "expected a certificate and its private key, in PEM and without a password",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """Raises UsageError for an address that is not this machine's or that another program listens on."""
    from rtparse.errors import UsageError

    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:  # UnicodeError: of what is no name of a host
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host} port {port} ({reason})", "choose another --port") from None
