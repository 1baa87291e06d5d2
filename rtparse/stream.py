"""What iterating over sources looks like from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rtparse.closing import Closing
from rtparse.parsing import Parsing
from rtparse.pipeline import Pipeline
from rtparse.sources.base import Source, SourceInfo


class Stream(Closing):
    """An iterator over the parsings of one source or several, from one thread; keeps none of them. A context manager.

    sources: what is parsed, in the order given; `parsing.frame.source` is an index into them. They belong to the
        stream, which closes each at its end, and all on `close`; their `info` and `damage` may be read at any time.
    """

    def __init__(self, sources: Sequence[Source], pipeline: Pipeline[Parsing]) -> None:
        self.sources = tuple(sources)
        self._pipeline = pipeline

    @property
    def info(self) -> SourceInfo:
        """What was known of the (first) source before its first frame."""
        return self.sources[0].info

    @property
    def damage(self) -> tuple[str, ...]:
        """What was wrong with the input so far, one line each, which of several sources begin with their name."""
        if len(self.sources) == 1:
            return self.sources[0].damage
        return tuple(f"{source.info.name}: {line}" for source in self.sources for line in source.damage)

    @property
    def dropped(self) -> int:
        """Frames of live sources that were dropped to stay up to date."""
        return self._pipeline.dropped

    @property
    def ended(self) -> Mapping[int, BaseException | None]:
        """The sources, by number, whose last parsing has been taken, and the error that ended each, None for its end.

        A live view. The news comes with the parsing after it, or with the end of the stream.
        """
        return self._pipeline.ended

    def __iter__(self) -> Iterator[Parsing]:
        return self

    def __next__(self) -> Parsing:
        return next(self._pipeline)

    def close(self) -> None:
        """End the threads and close the sources. Done at the end, on an error and on leaving the loop as well."""
        self._pipeline.close()
