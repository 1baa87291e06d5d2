"""No password and no signature is in a manifest, in a message or in what tells videos apart."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="no Ray: pip install rtparse[cluster]")

from rtparse.batch.job import Options, Video, failed
from rtparse.batch.names import folder_name, identity, shown, shown_message

SIGNED = "https://me:word@host/a b.mp4?X-Amz-Date=1&X-Amz-Signature=abc&versionId=3"


@pytest.mark.parametrize(
    ("uri", "same", "seen"),
    [
        ("/a/b.mp4", "/a/b.mp4", "/a/b.mp4"),
        ("s3://bucket/k[1].mp4", "s3://bucket/k[1].mp4", "s3://bucket/k[1].mp4"),
        # Amazon's and Azure's signatures, which change
        (SIGNED, "https://host/a b.mp4?versionId=3", "https://host/a b.mp4?versionId=3"),
        ("https://host/a?sv=1&se=2&sp=r&sig=x%3D&id=7", "https://host/a?id=7", "https://host/a?id=7"),
        # without a signature these are names like others
        ("https://host/a?sp=1", "https://host/a?sp=1", "https://host/a?sp=1"),
        # what may tell videos apart, but is not for everybody
        ("https://host/a?token=x&id=7", "https://host/a?token=x&id=7", "https://host/a?token=***&id=7"),
        # bytes that are no UTF-8
        ("/a/\udcff.mp4", "/a/\udcff.mp4", "/a/\ufffd.mp4"),
    ],
)
def test_names(uri: str, same: str, seen: str) -> None:
    assert (identity(uri), shown(uri)) == (same, seen)


def test_messages_and_records() -> None:
    message = "ClientError: https://me:word@host/a?token=1, url='http://h/y?sig=2' (403)"
    assert shown_message(message) == "ClientError: https://host/a?token=***, url='http://h/y' (403)"
    other = SIGNED.replace("abc", "def").replace("me:word@", "")
    assert folder_name(SIGNED) == folder_name(other)
    options = Options("sha")
    assert options.key(Video(SIGNED, "")) == options.key(Video(other, ""))
    record = failed(Video(SIGNED, folder_name(SIGNED)), "key", "sha", message)
    assert not any(secret in str(record) for secret in ("word", "abc", "token=1"))
    assert folder_name("s3://bucket/Ünïcode & co.mov?versionId=1").startswith("n-code-co-")
    assert len({folder_name("a/\udcff.mp4"), folder_name("a/\udcfe.mp4")}) == 2
