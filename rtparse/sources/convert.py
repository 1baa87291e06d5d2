"""From whatever array or picture a user hands over to the one form that the rooms share: (H, W, 3) uint8 BGR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rtparse._cv import cv2
from rtparse.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

_EXPECTED = (
    "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16, bool, or float in 0..1, or a PIL image"
)
_ROUNDING = 1e-3


def to_bgr8(image: object, color: str = "bgr") -> NDArray[np.uint8]:
    """A user's picture as (H, W, 3) uint8 BGR, C-contiguous.

    image: a NumPy array of one of these forms, or a PIL image (whose mode says its colours; EXIF orientation applied).
        uint8    as it is
        uint16   0..65535 becomes 0..255, rounded
        bool     False is 0, True is 255
        float    0..1 becomes 0..255, rounded
        (H, W) or (H, W, 1) is grey; (H, W, 4) has straight alpha last and is laid over white
    color: "bgr" or "rgb", the order of the channels of arrays.

    The result shares memory with an array that needs no conversion, and is new otherwise. Thread-safe. Raises
    UsageError naming the shape and dtype (or type) that was got.
    """
    if color not in ("bgr", "rgb"):
        raise UsageError(f"the colour order is {color!r}", "choose bgr or rgb")
    if is_pil_image(image):
        return to_bgr8(_array_of_pil(image), "rgb")
    if not isinstance(image, np.ndarray):
        raise UsageError(f"got a {type(image).__module__}.{type(image).__qualname__}", _EXPECTED)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or image.size == 0:
        raise UsageError(f"got an array of shape {image.shape} and dtype {image.dtype}", _EXPECTED)
    pixels = np.ascontiguousarray(_to_8_bits(image))
    if channels == 1:
        return _uint8(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    if channels == 4:
        pixels = _over_white(pixels)
    return _uint8(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)) if color == "rgb" else pixels


def is_pil_image(image: object) -> TypeGuard[Image.Image]:
    """Whether this is a PIL image, found out without importing PIL: who holds one has it imported."""
    return any(cls.__module__ == "PIL.Image" and cls.__name__ == "Image" for cls in type(image).__mro__)


def _to_8_bits(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype == np.uint16:
        return _uint8(cv2.convertScaleAbs(np.ascontiguousarray(image), alpha=255 / 65535)).reshape(image.shape)
    if not np.issubdtype(image.dtype, np.floating):
        raise UsageError(f"got an array of shape {image.shape} and dtype {image.dtype}", _EXPECTED)
    low, high = float(image.min()), float(image.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise UsageError(
            f"got a {image.dtype} array with values from {low:g} to {high:g}, expected 0..1",
            "divide it by its largest value, or convert it to uint8",
        )
    return _uint8(np.rint(np.clip(image, 0, 1) * 255))


def _over_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = pixels[:, :, 3:].astype(np.uint16)
    blended = pixels[:, :, :3] * alpha + np.uint16(255) * (255 - alpha)  # at most 255 * 255: fits 16 bits
    return ((blended + 127) // 255).astype(np.uint8)


def _array_of_pil(image: Image.Image) -> NDArray[Any]:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, which older Pillows open as 32-bit
        return np.asarray(image).clip(0, 65535).astype(np.uint16)
    if image.mode in ("L", "RGB", "RGBA", "F"):
        return np.asarray(image)
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _uint8(array: Any) -> NDArray[np.uint8]:
    # OpenCV's stubs widen every result; the operations used here keep uint8.
    return np.asarray(array, dtype=np.uint8)
