"""What every sink offers, whatever it writes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rtparse.parsing import Parsing


class WindowClosed(Exception):  # noqa: N818 - a signal, not an error
    """Raised by a sink's `write` when the viewer has seen enough: the work ends as if the source had ended."""


class Sink(Protocol):
    """Takes parsings in order, from one thread.

    A sink that makes a file writes beside its final name; `finish` renames, `abort` removes. Exactly one of the two is
    called, once, also when `write` raised.
    """

    def write(self, parsing: Parsing) -> None:
        """Take one parsing; the sink keeps no reference to it afterwards. Raises SinkError."""
        ...

    def finish(self) -> None:
        """All is written (also after Ctrl-C or a damaged input): make it whole and give it its final name."""
        ...

    def abort(self) -> None:
        """The work failed: leave nothing behind under the final name. Never raises."""
        ...


@runtime_checkable
class AttendedSink(Sink, Protocol):
    """A sink that has to be looked after while no parsing comes, as a window whose user may close it."""

    def attend(self) -> None:
        """Called a few times a second by the thread that writes. Raises WindowClosed and SinkError."""
        ...
