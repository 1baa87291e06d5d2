"""The one way in which things that hold a resource let go of it."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class Closing(Protocol):
    """Has `close`, and is closed on leaving its `with` block. Inherit from it."""

    def close(self) -> None:
        """Let go. Calling it twice does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
