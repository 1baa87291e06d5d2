"""Every parsing to a function of the user's."""

from __future__ import annotations

from collections.abc import Callable

from rtparse.errors import RtparseError, SinkError
from rtparse.parsing import Parsing


class CallbackSink:
    """Calls `function` with each parsing, which it may keep. What the function raises becomes a SinkError."""

    def __init__(self, function: Callable[[Parsing], object]) -> None:
        self._function = function

    def write(self, parsing: Parsing) -> None:
        try:
            self._function(parsing)
        except RtparseError:
            raise
        except Exception as error:
            name = getattr(self._function, "__qualname__", type(self._function).__qualname__)
            raise SinkError(f"the callback {name} raised {type(error).__name__}: {error}") from error

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass
