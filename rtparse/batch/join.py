"""From the outputs of the parts to those of the video, without decoding anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import av
import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
from av.container import OutputContainer

from rtparse.batch.inputs import Fetcher
from rtparse.batch.job import DAMAGED, DONE, Options, Record, Work
from rtparse.batch.parts import LabelsDigest, read_rows
from rtparse.batch.store import Store
from rtparse.batch.worker import OUTPUTS, finished, folder_of, parts_folder, publish
from rtparse.errors import SinkError, SourceError
from rtparse.sinks import VIDEO_FORMATS
from rtparse.sinks.audio import AudioTrack
from rtparse.sinks.partial import write_errors


def join(store: Store, options: Options, works: Sequence[Work]) -> Record:
    """Put the parts of a video together, in the order of `works`, and remove them.

    Frames are numbered through; every frame must come after the one before it, and none may be missing at a cut. Raises
    SourceError where that is not so or a part is not there, and SinkError.
    """
    started, used = time.perf_counter(), time.process_time()
    video = works[0].video
    key = options.key(video)
    if before := finished(store, video.name, key):
        return before
    folders = [folder_of(work) for work in works]
    records = [finished(store, folder, key) for folder in folders]
    parts = [record for record in records if record is not None]
    if len(parts) < len(works):
        raise SourceError(f"of {video.uri} only {len(parts)} of {len(works)} parts are there")
    if len({(part.width, part.height) for part in parts}) > 1:
        raise SourceError(f"{video.uri} changes its size, so its parts cannot be joined")
    with store.staging() as staging, ExitStack() as stack:

        def fetched(output: str) -> list[Path]:
            return [stack.enter_context(store.fetched(f"{folder}/{OUTPUTS[output]}")) for folder in folders]

        stats = staging / OUTPUTS["stats"]
        digest, frames = _join_rows(fetched("stats"), stats, works)
        if "stats" not in options.keep:
            stats.unlink()
        if "labels" in options.keep:
            _join_video(fetched("labels"), staging / OUTPUTS["labels"], frames, "matroska")
        if "overlay" in options.keep:
            fetcher = Fetcher()
            stack.callback(fetcher.close)
            _join_video(fetched("overlay"), staging / OUTPUTS["overlay"], frames, "mp4", fetcher.fetch(video.uri))
        damage = list(dict.fromkeys(part.error for part in parts if part.error))
        record = replace(
            parts[-1],
            status=DAMAGED if damage else DONE,
            error="; ".join(damage),
            frames=frames,
            labels_sha256=digest,
            parts=len(parts),
            seconds=sum(part.seconds for part in parts) + time.perf_counter() - started,
            cpu_seconds=sum(part.cpu_seconds for part in parts) + time.process_time() - used,
            finished=time.time(),
        )
        publish(store, staging, video.name, record)
    store.remove(parts_folder(video.name))
    return record


def _join_rows(paths: Sequence[Path], target: Path, works: Sequence[Work]) -> tuple[str, int]:
    """The checksum of the labels, and the number of frames."""
    digest, frames, last = LabelsDigest(), 0, float("-inf")
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for path in paths:
            for batch in read_rows(path):
                pts = batch.column("pts").to_numpy()
                if len(pts) and not (pts[0] > last and (pts[1:] > pts[:-1]).all()):
                    raise SourceError(f"{works[0].video.uri}: the parts overlap at {pts[0]:.3f} s")
                last = pts[-1] if len(pts) else last
                numbers = pa.array(range(frames, frames + len(pts)), pa.int64())
                table = pa.Table.from_batches([batch]).set_column(0, "index", numbers)
                with write_errors(target):
                    writer = writer or stack.enter_context(pq.ParquetWriter(target, table.schema, compression="zstd"))
                    writer.write_table(table)
                digest.add(batch)
                frames += len(pts)
    return digest.hexdigest(), frames


def _join_video(
    paths: Sequence[Path], target: Path, frames: int, container: str, audio_from: Path | None = None
) -> None:
    """Copy the packets of the parts, which carry the times of the whole video, and the sound of the input."""
    count, last = 0, -1.0
    options = {"movflags": "+faststart"} if container == "mp4" else {}
    with _errors(target), av.open(str(target), "w", format=container, container_options=options) as output:
        stream, coded, audio, lead = None, None, None, 0
        try:
            for path in paths:
                with av.open(str(path)) as part:
                    given = part.streams.video[0]
                    if stream is None:
                        stream, coded = output.add_stream_from_template(given), given.codec_context.extradata
                        audio = _audio(audio_from, output)
                    elif given.codec_context.extradata != coded:
                        raise SourceError(f"{path} is coded otherwise than the part before it")
                    for packet in part.demux(given):
                        if packet.dts is None or packet.pts is None or packet.time_base is None:
                            continue  # the last one, which is empty
                        seconds = float(packet.pts * packet.time_base)
                        if seconds <= last:
                            raise SourceError(f"{path} begins before the part before it has ended")
                        last = seconds
                        if audio:
                            lead = round(audio.lead / packet.time_base)
                            audio.write_until(packet.pts * packet.time_base + audio.lead)
                        packet.pts, packet.dts, packet.stream = packet.pts + lead, packet.dts + lead, stream
                        output.mux(packet)
                        count += 1
            if audio:
                audio.write_until(None)
                audio.finish()
        finally:
            if audio:
                audio.close()
    if count != frames:
        raise SourceError(f"{target.name} has {count} frames after joining, expected {frames}")


def _audio(location: Path | None, output: OutputContainer) -> AudioTrack | None:
    if location is None:
        return None
    with av.open(str(location.absolute()), metadata_errors="ignore") as source:
        if not any(stream.codec_context for stream in source.streams.audio):
            return None
    form = VIDEO_FORMATS[".mp4"]
    return AudioTrack(str(location), output, form.copied, form.audio_encoder)


@contextmanager
def _errors(target: Path) -> Iterator[None]:
    try:
        with write_errors(target):
            yield
    except av.error.FFmpegError as error:
        raise SinkError(f"{target.name} cannot be joined ({error.strerror})") from None
