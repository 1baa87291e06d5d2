from __future__ import annotations

import time

import pytest

from rtparse.errors import SourceError
from rtparse.sources.camera import CameraSource


def test_a_missing_camera_is_one_quick_line(capfd: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    with pytest.raises(SourceError, match="camera 99") as caught:
        CameraSource(99)
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)
    assert "found" in str(caught.value)
    assert capfd.readouterr().err == ""
