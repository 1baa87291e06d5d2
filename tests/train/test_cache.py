"""The cache: what it keeps, and that it stays within its bound."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rtparse.train.cache import Arrays, ByteCache


class Maker:
    """Makes an array of 100 bytes, and counts."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, key: int) -> Arrays:
        self.made.append(key)
        return (np.full(100, key, np.uint8),)


def test_what_was_used_last_stays() -> None:
    cache, make = ByteCache(250), Maker()
    for key in (1, 2, 1, 3, 1, 2):  # 3 pushes 2 out, since 1 was used after it
        assert (cache.get(key, lambda key=key: make(key))[0] == key).all()
        assert cache.bytes <= 250
    assert make.made == [1, 2, 3, 2]


def test_what_is_larger_than_the_cache_is_made_every_time() -> None:
    cache, make = ByteCache(99), Maker()
    for _ in range(2):
        cache.get(1, lambda: make(1))
    assert make.made == [1, 1]
    assert cache.bytes == 0


def test_kept_arrays_cannot_be_written() -> None:
    (array,) = ByteCache(1000).get(1, lambda: (np.zeros(10, np.uint8),))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_pickled_cache_starts_empty() -> None:
    cache, make = ByteCache(1000), Maker()
    cache.get(1, lambda: make(1))
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.bytes == 0
    copy.get(1, lambda: make(1))
    assert make.made == [1, 1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_cache_works_while_the_parents_lock_is_held() -> None:
    cache, make = ByteCache(1000), Maker()
    cache.get(1, lambda: make(1))
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with cache._lock:
        child = multiprocessing.get_context("fork").Process(
            target=lambda: sender.send(int(cache.get(2, lambda: make(2))[0][0]))
        )
        child.start()
    assert receiver.poll(20)
    assert receiver.recv() == 2
    child.join(20)
    assert child.exitcode == 0


def test_threads_share_it() -> None:
    cache, make = ByteCache(1000), Maker()

    def use(number: int) -> bool:
        return bool((cache.get(number % 20, lambda: make(number % 20))[0] == number % 20).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(2000)))
    assert cache.bytes == 1000
