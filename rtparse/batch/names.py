"""What a video is called: in the manifest, in messages, as a folder. None of these holds a password."""

from __future__ import annotations

import hashlib
import posixpath
import re

from rtparse.sources.ffmpeg import without_password

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*[^\s'\"<>.,;:)]")
_SIGNATURES = frozenset({"signature", "sig", "x-amz-signature", "x-goog-signature"})
_SIGNING = re.compile(
    r"x-amz-.*|x-goog-.*|awsaccesskeyid|googleaccessid|signature|sig|expires|key-pair-id|policy"
    r"|s[eiprtv]|spr|sk[estv]|skoid|sktid",  # of Amazon, Google and Azure
    re.IGNORECASE,
)
_SECRET = re.compile(r"token|secret|passw|pwd|auth|credential|api_?key|access_?key|sig|^key$", re.IGNORECASE)


def identity(uri: str) -> str:
    """What stays the same of a path or URL: without a user, and without a signature, which is another one each day."""
    if "://" not in uri:
        return uri
    address, fields = _split(uri)
    if not _SIGNATURES.isdisjoint(_name(field).lower() for field in fields):
        fields = [field for field in fields if not _SIGNING.fullmatch(_name(field))]
    return _joined(address, fields)


def shown(uri: str) -> str:
    """A path or URL as people may see it: valid UTF-8, and without what may be a secret."""
    uri = identity(uri).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "://" not in uri:
        return uri
    address, fields = _split(uri)
    return _joined(address, [f"{_name(field)}=***" if _SECRET.search(_name(field)) else field for field in fields])


def shown_message(text: str) -> str:
    """A message with all that it names as people may see it."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _URL.sub(lambda found: shown(found.group()), text)


def folder_name(uri: str) -> str:
    """A name that is the same in every run and of no other URI: the file's, and 12 hexadecimal digits of a hash."""
    uri = identity(uri)
    path = uri.partition("://")[2].partition("?")[0] if "://" in uri else uri
    stem = posixpath.splitext(posixpath.basename(path.rstrip("/")))[0]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:60]
    digits = hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{plain or 'video'}-{digits}"


def _split(url: str) -> tuple[str, list[str]]:
    address, _, query = without_password(url).partition("?")
    return address, [field for field in query.split("&") if field]


def _joined(address: str, fields: list[str]) -> str:
    return f"{address}?{'&'.join(fields)}" if fields else address


def _name(field: str) -> str:
    return field.partition("=")[0]
