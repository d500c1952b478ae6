"""Work on a CPU shared out among as many threads as torch uses. What they run must release the interpreter's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

import torch


def spread(work: Callable[[int, int], object], count: int) -> None:
    """Call `work(start, stop)` for stretches that make up range(count), at once, one of them in this thread.

    torch's own loops must not run in it: each of these threads would start a team of them.
    """
    threads = torch.get_num_threads()
    shares = min(threads, count)
    if not shares:
        return
    first, *rest = pairwise(index * count // shares for index in range(shares + 1))
    others = [_pool(threads).submit(work, *ends) for ends in rest]
    try:
        work(*first)
    finally:
        wait(others)  # all of them, before an error of one is raised: they may still write where the caller reads
    for other in others:
        other.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="segrank-spread")


if hasattr(os, "register_at_fork"):
    # A forked process has the pool but none of its threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
