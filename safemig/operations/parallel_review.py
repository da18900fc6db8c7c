"""Read a long sequence of files on two processors, with the very result of reading it on one."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence

from safemig.review.engine import ReadFile, pass_over, read
from safemig.review.world import World
from safemig.sql import SourceFile

_WORTH_IT = 100_000  # characters; below, the second process costs more than it saves
_FIRST_SHARE = 0.62  # the second process goes over the first share too, in a third of the time


def read_in_two(world: World, files: Sequence[SourceFile]) -> list[ReadFile]:
    """Do what `review.read` does: this process reviews the first files, a second one the rest.

    The second process first passes over the first files, so that it knows what they make. Where it fails, this one
    goes on from where it stands, which is where the second began. Only for a process without threads.
    """
    number = _where_to_part(files)
    if number == 0 or sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return read(world, files)
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(out)
            pass_over(world, files[:number])
            with os.fdopen(into, "wb") as pipe:
                pickle.dump(read(world, files[number:]), pipe, protocol=5)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(into)
    first = read(world, files[:number])
    with os.fdopen(out, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        return first + read(world, files[number:])
    rest: list[ReadFile] = pickle.loads(answer)  # noqa: S301  (our own child wrote it)
    return first + rest


def _where_to_part(files: Sequence[SourceFile]) -> int:
    """Return how many files the first process reads; 0 where it is to read them all."""
    total = sum(len(file.sql) for file in files)
    if total < _WORTH_IT:
        return 0
    read_so_far = 0
    for number, file in enumerate(files):
        read_so_far += len(file.sql)
        if read_so_far >= total * _FIRST_SHARE:
            return number + 1 if number + 1 < len(files) else 0
    return 0
