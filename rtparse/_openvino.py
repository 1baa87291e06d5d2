"""OpenVINO as rtparse uses it: silent, and safe in threads."""

from __future__ import annotations

import sys

import numpy as np

_TELEMETRY = "openvino_telemetry"

# Importing OpenVINO sends an event to its maker's analytics, from a thread, unless this package cannot be imported.
_known = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
try:
    import openvino as ov  # type: ignore[import-untyped, unused-ignore]
    from openvino.frontend import FrontEndManager  # type: ignore[import-untyped, unused-ignore]
    from openvino.passes import ConstantFolding, Manager  # type: ignore[import-untyped, unused-ignore]
finally:
    del sys.modules[_TELEMETRY]
    if _known is not None:
        sys.modules[_TELEMETRY] = _known

# The first look into a tensor sets up OpenVINO's bridge to NumPy; two threads that do so at once wait for each other
# for ever, the interpreter's lock in hand (2026.4). While a module is imported there is one.
_BRIDGE = ov.Tensor(np.zeros(1, np.float32)).data

__all__ = ["ConstantFolding", "FrontEndManager", "Manager", "ov"]
