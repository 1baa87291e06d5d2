"""Every exception that rtparse raises on purpose.

RtparseError                    the root; `exit_code` is what the command line ends with
├── UsageError                  wrong use: a file, class, size or option that cannot be meant (exit code 2)
├── MissingDependencyError      an extra is not installed; the message holds the `pip install` line
├── SourceError                 a source cannot be opened or read
├── EngineError                 a model file cannot be loaded or run
│   └── DeviceError             the GPU or its driver cannot be used, or failed
│       └── DeviceMemoryError   not enough memory for it
├── SinkError                   an output cannot be written
└── ClusterError                a Ray cluster cannot be reached, or has nothing to work with

Errors of foreign libraries (FFmpeg, OpenCV, ONNX Runtime, the operating system) are translated where the library is
called and never travel further.
"""

from __future__ import annotations


class RtparseError(Exception):
    """Root of the tree. `message` says what was got and what was expected, `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(RtparseError, ValueError):
    """Wrong use: nothing was attempted."""

    exit_code = 2


class MissingDependencyError(RtparseError, ImportError):
    """A package that this call needs is not installed."""

    def __init__(self, package: str, extra: str, note: str = "") -> None:
        super().__init__(
            f"{package} is not installed", f'run: pip install "rtparse[{extra}]"{f" ({note})" if note else ""}'
        )


class SourceError(RtparseError):
    """A source cannot be opened or read."""


class EngineError(RtparseError):
    """A model file cannot be loaded or run."""


class DeviceError(EngineError):
    """The GPU or its driver cannot be used, or failed."""


class DeviceMemoryError(DeviceError):
    """Not enough memory on the GPU, or of what the host can lock for it."""


class SinkError(RtparseError):
    """An output cannot be written."""


class ClusterError(RtparseError):
    """A Ray cluster cannot be reached, or has nothing to work with."""
