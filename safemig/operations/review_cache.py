"""What a review without a target said of the very same files before: its answer depends on nothing else.

An answer is found by the SHA-256 of all that it rests on: each file's name and bytes, what was accepted and asked for, and
safemig's own code. It lies in the user's cache folder, which only the user can write: in the project's folder, anyone who
can commit could plant an answer there. Imports nothing heavy, for a hit should take no longer than reading the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from safemig.whole_files import write_atomically

OFF = "SAFEMIG_NO_CACHE"  # set to anything: each review is re-created, and none is kept
_KEPT = 40
_WORTH_IT = 200_000  # bytes of SQL; what is shorter takes longer to look up than to review
_CONFIG = ("supabase", "config.toml")


def cache_folder() -> Path | None:
    """Return the folder of answers; None where the user has no home, or wants none."""
    if os.environ.get(OFF):
        return None
    with suppress(RuntimeError):  # no home folder
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "safemig" / "reviews"
    return None


def key_of(files: Sequence[str], asked: Sequence[str]) -> str | None:
    """Return the key of an answer on `files`; None where one cannot be read, or where a review is as quick. Reads only."""
    found = hashlib.sha256()
    size = 0
    for part in (*_own_code(), *asked, _supabase(files)):
        found.update(f"{len(part)}:{part}".encode(errors="surrogateescape"))
    for name in files:
        try:
            with open(name, "rb", buffering=0) as file:  # noqa: PTH123 - 1,500 files: Path costs as much as reading
                content = file.read()
        except OSError:
            return None
        size += len(content)
        found.update(f"{len(name)}:{name}{len(content)}:".encode(errors="surrogateescape"))
        found.update(content)
    return found.hexdigest() if size >= _WORTH_IT else None


def _supabase(files: Sequence[str]) -> str:
    """Return what tells the platform: the folders in which a Supabase project's configuration lies."""
    folders = {"", *(os.path.dirname(os.path.dirname(os.path.realpath(name))) for name in files)}  # noqa: PTH120
    places = [os.path.join(folder, *(_CONFIG if not folder else _CONFIG[1:])) for folder in sorted(folders)]  # noqa: PTH118
    return json.dumps([place for place in places if os.path.isfile(place)])  # noqa: PTH113


def _own_code() -> list[str]:
    """Return what tells one state of safemig's code, and of what it runs on, from another."""
    package = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    said = [sys.version, package]
    for folder in ("", "review", "review/rules", "sql", "views"):
        with os.scandir(os.path.join(package, folder)) as entries:  # noqa: PTH118
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.name.endswith(".py"):
                    state = entry.stat()
                    said.append(f"{entry.path} {state.st_size} {state.st_mtime_ns}")
    return said


def kept_answer(key: str) -> tuple[int, str] | None:
    """Return the exit code and the report that are kept under the key, whole and undamaged; None where none is."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        content = (folder / key).read_bytes()
    except OSError:
        return None
    head, _, report = content.partition(b"\n")
    code, _, checksum = head.partition(b" ")
    if checksum.decode(errors="replace") != hashlib.sha256(code + report).hexdigest():
        return None
    return int(code), report.decode()


def keep_answer(key: str, code: int, report: str) -> None:
    """Keep an answer for the next time, and the newest 40 in all. A folder that cannot be written keeps none."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        content = report.encode()
    except UnicodeEncodeError:
        return
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        checksum = hashlib.sha256(str(code).encode() + content).hexdigest()
        write_atomically(folder / key, f"{code} {checksum}\n".encode() + content, flush=False)
        for old in sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime)[:-_KEPT]:
            old.unlink()
