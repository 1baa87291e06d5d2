"""`rtparse serve` as a user runs it: in a process of its own, over TLS too, until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from struct import pack

import click
import httpx
import pytest
from websockets.sync.client import connect

from rtparse import UsageError
from rtparse.cli import cli

ImageFile = Callable[..., bytes]
TOKEN = "0123456789abcdef"


def rtparse(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run that is to end by itself."""
    command = [sys.executable, "-m", "rtparse", "serve", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


@contextmanager
def started(*arguments: object, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The server on a free port, by the address that it prints; killed where the test has not ended it."""
    command = [sys.executable, "-m", "rtparse", "serve", "--port", "0", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:  # a server that is killed leaves its own behind
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": folder} | environment,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline().strip()
            assert re.fullmatch(r"https?://[^ ]+:\d+/", line), line + process.stderr.read()
            yield line.rstrip("/"), process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One for 127.0.0.1, signed by itself, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="no cryptography: pip install moto")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rtparse")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret = serialization.BestAvailableEncryption(b"password")
    for file, encryption in (("key.pem", plain), ("locked.pem", secret)):
        (folder / file).write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
    return folder / "cert.pem", folder / "key.pem"


def test_a_user_parses_an_image_and_ends_the_server(image_file: ImageFile, tiny_onnx: Path, walk: Path) -> None:
    with started(walk, "--engine", tiny_onnx) as (url, process):
        assert httpx.get(f"{url}/api/sources").json()["sources"][0]["name"] == "walk"
        answer = httpx.post(f"{url}/api/parse", content=image_file(), headers={"Content-Type": "image/jpeg"})
        assert answer.json()["width"] == 96
        with connect(url.replace("http", "ws") + "/live/sources/0", proxy=None, max_size=None) as viewer:
            while not isinstance(viewer.recv(60), bytes):
                pass
            process.send_signal(signal.SIGINT)  # with somebody watching
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert out == ""
    assert "Ctrl-C ends the server" in err


def test_https_with_a_token(image_file: ImageFile, tiny_onnx: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    trusting = ssl.create_default_context(cafile=str(cert))
    with started("--engine", tiny_onnx, "--cert", cert, "--key", key, RTPARSE_TOKEN=TOKEN) as (url, process):
        assert url.startswith("https://")
        with httpx.Client(base_url=url, verify=trusting) as client:
            assert client.get("/api/classes").status_code == 401
            cookie = client.post("/api/session", json={"token": TOKEN}).headers["set-cookie"]
            assert "secure" in cookie.lower()
            assert client.get("/api/classes").status_code == 200
        headers = {"Authorization": f"Bearer {TOKEN}", "Origin": url}
        address = url.replace("https", "wss") + "/live/camera"
        with connect(address, ssl=trusting, additional_headers=headers, proxy=None) as camera:
            camera.send(pack("<d", 1.5) + image_file())
            assert b'"pts": 1.5' in camera.recv(60)
        with pytest.raises(Exception, match="403"):  # a page that was loaded without TLS, by whoever could change it
            connect(address, ssl=trusting, additional_headers=headers | {"Origin": url.replace("https", "http")})
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert TOKEN not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "no token was given"),
        (("--host", "0.0.0.0", "--token", "short"), "got a token of 5 letters"),
        (("--host", "0.0.0.0", "--token", "with a space in between"), "without spaces"),
        (("--host", "192.0.2.1", "--token", TOKEN), "cannot listen on 192.0.2.1"),
        (("--host", "no.such.host.invalid", "--token", TOKEN), "cannot listen on no.such.host.invalid"),
        (("--host", "x" * 70, "--token", TOKEN), "cannot listen on xxx"),  # too long for a name
        (("--cert", "missing.pem"), "got one of --cert and --key"),
        (("--cert", "missing.pem", "--key", "missing.pem"), "there is no file missing.pem"),
        (("--cert", "{cert}", "--key", "{cert}"), "cannot be used"),
        (("--cert", "{cert}", "--key", "{locked}"), "without a password"),
        (("no-such-video.mp4",), "no-such-video.mp4"),
        (("--engine", "no-such-model.onnx"), "no-such-model.onnx"),
        (("--max-pixels", "0"), "not in the range"),
    ],
)
def test_wrong_use_is_told_at_once(certificate: tuple[Path, Path], arguments: tuple[str, ...], said: str) -> None:
    cert, key = certificate
    filled = [argument.format(cert=cert, locked=key.parent / "locked.pem") for argument in arguments]
    with pytest.raises((UsageError, click.UsageError)) as wrong:  # which `main` turns into a line and exit code 2
        cli.main(["serve", "--port", "0", *filled], standalone_mode=False)
    assert said in str(wrong.value)


def test_wrong_use_ends_with_a_line_and_two() -> None:
    done = rtparse("--host", "0.0.0.0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: others can reach 0.0.0.0, and no token was given; add --token")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken(tiny_onnx: Path) -> None:
    with started("--engine", tiny_onnx) as (url, _):
        done = rtparse("--engine", tiny_onnx, "--port", url.rsplit(":", 1)[1])
    assert done.returncode == 2
    assert "choose another --port" in done.stderr


def test_a_missing_extra_is_named_with_its_line() -> None:
    hidden = "import sys; sys.modules['uvicorn'] = None; sys.argv[1:] = ['serve']; from rtparse.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert 'pip install "rtparse[serve]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_decoders_end_with_a_server_that_is_killed(image_file: ImageFile, tiny_onnx: Path) -> None:
    with started("--engine", tiny_onnx) as (url, process):
        httpx.post(f"{url}/api/parse", content=image_file(), headers={"Content-Type": "image/jpeg"})
        children = [
            int(child)
            for task in Path(f"/proc/{process.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        assert children
        process.kill()
        process.wait()
        for child in children:
            for _ in range(1000):
                if not Path(f"/proc/{child}").exists():
                    break
                signal.sigtimedwait([], 0.02)
            assert not Path(f"/proc/{child}").exists()
