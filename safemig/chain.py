"""Files of JSON lines, each with the hash of the one before: the ledger of records and the journal of runs.

Anyone who removes, edits, adds or moves a line leaves a contradiction in what follows it. What no such file can show by
itself is that its newest lines were cut off; for that, its last hash is kept elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FIRST = "0" * 64  # what the first line names as the one before it
PATIENCE_S = 60.0
_TAIL = 64 * 1024


def hash_of(facts: Mapping[str, Any]) -> str:
    """Return the hash of a line: sha256 over its facts but `hash`, as JSON with sorted keys."""
    content = {name: value for name, value in facts.items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_of_unchained(lines: list[bytes]) -> str:
    """Return the hash of lines that were written before there was a chain."""
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def append(path: Path, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add a line with the hash of the one before it, and return it when it is on disk.

    Raises:
        OSError: it cannot be written, or another process holds the file; the file is then as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        lock(descriptor)
        size = os.fstat(descriptor).st_size
        line = {**facts, "previous": _last_hash(descriptor, size)}
        line["hash"] = hash_of(line)
        # A crash may have left the last line without its end; it stays, as a line that is none.
        torn = b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""
        content = torn + json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            _write(descriptor, content)
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)  # a full disk takes a part of a line
            raise
    finally:
        os.close(descriptor)
    return line


def read_lines(path: Path) -> list[tuple[bytes, dict[str, Any] | None]]:
    """Return every line as it is, with its facts, or None where it is no JSON object. A missing file has no lines."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return [(line, _facts(line)) for line in content.splitlines()]


def head(path: Path) -> dict[str, Any] | None:
    """Return how many lines a file has and the hash that stands for all of them; None where it has none."""
    lines = [line for line in read_lines(path) if line[1] is not None]
    if not lines:
        return None
    _, last = lines[-1]
    chained = str(last["hash"]) if last and "hash" in last else hash_of_unchained([raw for raw, _ in lines])
    return {"lines": len(lines), "hash": chained}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing. Released when the process dies.

    Raises:
        OSError: the file system cannot lock, or another process held it for `PATIENCE_S`.
    """
    with path.open("a") as file:
        lock(file.fileno())
        yield


def lock(descriptor: int) -> None:
    """Lock an open file for this process alone, until it is closed.

    Raises:
        OSError: the file system cannot lock, or another process held it for `PATIENCE_S`.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(None, f"another process has held its lock for {PATIENCE_S:.0f} s") from None
            time.sleep(0.02)
        else:
            return


def _last_hash(descriptor: int, size: int) -> str:
    length = min(size, _TAIL)
    while length:
        tail = os.pread(descriptor, length, size - length)
        lines = tail.splitlines()
        whole = lines if length == size else lines[1:]
        for facts in map(_facts, reversed(whole)):
            if facts is not None and "hash" in facts:
                return str(facts["hash"])
            if facts is not None:  # of before there was a chain: the first of the chain names all of them
                content = os.pread(descriptor, size, 0)
                return hash_of_unchained([line for line in content.splitlines() if _facts(line) is not None])
        if length == size:
            break
        length = min(size, length * 4)
    return FIRST


def _facts(line: bytes) -> dict[str, Any] | None:
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
