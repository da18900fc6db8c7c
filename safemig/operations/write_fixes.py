"""Write reviewed migrations in their safer form: each in its own file, further parts beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safemig.errors import MigrationError
from safemig.review import Review
from safemig.whole_files import write_atomically


def write_fixed(
    made: Review, paths: Mapping[str, Path], *, takes_parts: bool = True
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Write what `made.fixed_files` says; `paths` tells where each reviewed file lies.

    Returns all files in their order, and those of them that were written. A file whose text stays is not touched;
    no file but a reviewed one is ever overwritten, and each is replaced as a whole or not at all.

    Raises:
        MigrationError: a part's name is taken, a file cannot be written, or, without `takes_parts`, a part is needed: only
            the tool that the folder belongs to knows how a further file is called. Then the reviewed files are as they were.
    """
    every: list[Path] = []
    replaced: dict[Path, str] = {}
    new: dict[Path, str] = {}
    for file in made.fixed_files:
        if path := paths.get(file.name):
            if path.read_text(encoding="utf-8-sig", errors="surrogateescape") != file.sql:
                replaced[path] = file.sql
        else:
            if not takes_parts:
                raise MigrationError(
                    "the safer form needs a further file, which safemig does not name for this tool",
                    where=str(every[-1]),
                    next="make an empty migration after it with the tool, and put the second part there: safemig review shows it",
                )
            path = every[-1].parent / Path(file.name).name
            new[path] = file.sql
        every.append(path)
    if taken := [path for path in new if path.exists()]:
        raise MigrationError(
            f"the safer form needs a file of that name, which already exists: {taken[0].name}",
            where=str(taken[0].parent),
            next="rename or remove it, then fix again; nothing was written",
        )
    written: list[Path] = []
    try:
        for path, sql in new.items():
            with path.open("x", encoding="utf-8") as file_:
                written.append(path)
                file_.write(sql)
        for path, sql in replaced.items():
            write_atomically(path, sql.encode())
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise MigrationError(
            f"the file cannot be written: {os.strerror(error.errno or 0)}",
            where=str(error.filename or ""),
            next="correct its permissions or free space, then fix again",
        ) from None
    return tuple(every), tuple(path for path in every if path in replaced or path in new)
