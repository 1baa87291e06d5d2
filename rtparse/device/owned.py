"""What everything that lives in a device's context has in common."""

from __future__ import annotations

import logging
from abc import abstractmethod

from rtparse.closing import Closing
from rtparse.device.context import Device
from rtparse.device.driver import forked
from rtparse.errors import DeviceError

_log = logging.getLogger("rtparse")


class Owned(Closing):
    """Freed by `close`, at the latest when its device is closed. Closing is thread-safe and waits for no other thread's
    use of it: that is the user's to know."""

    def __init__(self, device: Device) -> None:
        """Called last, when there is something to free."""
        self.device = device
        self._freed = False
        device.own(self)

    def close(self) -> None:
        """Free it; twice does nothing. What CUDA refuses to free is logged and tried again with the device.

        Of a GPU that was lost nothing can be freed: the end of the context does it. Nothing is in a forked process.
        """
        if forked():  # whose thread that holds the lock is not here
            return
        with self.device.lock:
            if self._freed or self.device.lost:
                return
            try:
                with self.device.current():
                    self._free()
            except DeviceError as error:
                # A handler may keep what it is given: not the error, whose traceback holds the device.
                _log.warning("%s was not freed: %s", type(self).__name__, str(error))
                return
            self._freed = True
            self.device.disown(self)

    @abstractmethod
    def _free(self) -> None:
        """Called with the context current."""
