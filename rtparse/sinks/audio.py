"""The sound of the input, carried over into an output video."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from rtparse.errors import SourceError
from rtparse.sources.ffmpeg import open_input, reason

_LOG = logging.getLogger("rtparse")
_BIT_RATE = 160_000
_RUN_IN = Fraction(1, 10)


class AudioTrack:
    """Copies the best audio stream of an input into `output`, packet by packet as they fall due.

    location: the file or URL of the input, which is opened a second time.
    copied: names of the codecs that the output's format and its players take as they are; others are encoded again
        with `encoder`, as mono or stereo.
    lead: seconds by which the sound begins before the pictures, and by which the output's pictures must be delayed.
        What begins less than a tenth of a second early is an encoder's run-in: it stays before time 0, where players
        skip it.

    Sound and pictures keep their distance in time. To be made before the first packet of `output` is written. Raises
    SourceError when the input cannot be opened or has no sound; sound that cannot be read later is left out, with a
    warning in the log `rtparse`.
    """

    def __init__(self, location: str, output: OutputContainer, copied: frozenset[str], encoder: str) -> None:
        self._output = output
        self._input = open_input(location, location)
        try:
            source = _best_audio(self._input, location)
            self._tick = source.time_base or Fraction(1, 90_000)
            start = _start_of_pictures(self._input)
            early = start - (source.start_time or 0) * self._tick
            self.lead = early if early > _RUN_IN else Fraction(0)
            self._origin = round((start - self.lead) / self._tick)
            self._copying = source.codec_context.codec.canonical_name in copied
            self._target = (
                output.add_stream_from_template(source) if self._copying else _encoded(output, source, encoder)
            )
            self._last_dts: int | None = None
            self._packets = self._read(source)
            self._pending = next(self._packets, None)
        except BaseException:
            self._input.close()
            raise

    def write_until(self, seconds: Fraction | None) -> None:
        """Write the sound that begins before this time of the output; None: all that is left."""
        while self._pending is not None:
            pts = self._pending.pts
            if seconds is not None and pts is not None and (pts - self._origin) * self._tick >= seconds:
                return
            self._write(self._pending)
            self._pending = next(self._packets, None)

    def finish(self) -> None:
        """Write what the encoder holds back; nothing is written after it."""
        if not self._copying:
            self._output.mux(self._target.encode(None))

    def close(self) -> None:
        """Free the input. Calling it twice does nothing."""
        self._pending = None
        self._input.close()

    def _read(self, source: AudioStream) -> Iterator[Packet[AudioStream]]:
        try:
            yield from self._input.demux(source)
        except av.error.FFmpegError as error:
            _LOG.warning("the sound of %s ends early: %s", self._input.name, reason(error))

    def _write(self, packet: Packet[AudioStream]) -> None:
        if self._copying:
            self._copy(packet)
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return  # a corrupt packet: a click of silence
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= self._origin
            self._output.mux(self._target.encode(frame))

    def _copy(self, packet: Packet[AudioStream]) -> None:
        if packet.dts is None or packet.pts is None:
            return  # the empty packet at the end
        # Muxers refuse a file over one step back in time; of a broken stream, that packet is dropped.
        if self._last_dts is not None and packet.dts <= self._last_dts:
            return
        self._last_dts = packet.dts
        packet.pts -= self._origin
        packet.dts -= self._origin
        packet.stream = self._target
        self._output.mux(packet)


def _best_audio(container: InputContainer, name: str) -> AudioStream:
    best = container.streams.best("audio")
    if not isinstance(best, AudioStream) or best.codec_context is None:
        raise SourceError(f"{name} has no sound that can be read")
    return best


def _start_of_pictures(container: InputContainer) -> Fraction:
    best = container.streams.best("video")
    if best is None or best.start_time is None or best.time_base is None:
        return Fraction(0)
    return best.start_time * best.time_base


def _encoded(output: OutputContainer, source: AudioStream, encoder: str) -> AudioStream:
    rates = av.Codec(encoder, "w").audio_rates
    rate = source.rate if rates is None or source.rate in rates else 48_000
    layout = "mono" if source.channels == 1 else "stereo"
    return cast(AudioStream, output.add_stream(encoder, rate=rate, bit_rate=_BIT_RATE, layout=layout))
