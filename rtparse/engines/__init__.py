"""Engines: one model file behind one small protocol, one module each."""

from __future__ import annotations

from rtparse.engines.base import Engine

__all__ = ["Engine"]
