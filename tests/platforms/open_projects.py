"""Migration folders of open Supabase projects, tried on the Supabase fixture, as a table.

    python -m tests.platforms.open_projects FOLDER ...       (folders of TIMESTAMP_name.sql; "supabase 17")

Staging gets every file, as the Supabase CLI applies them; production all but the last. Then: status sees no drift,
generate says nothing to do, the last file is reviewed, and rehearsed with its rollback. What fails is NO, with its reason.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import psycopg

from safemig.errors import SafemigError
from safemig.postgres.history import make_history, record_applied
from safemig.project import Project
from tests.platforms.boxes import Boxes, Platform, sha256_of

MAJOR = 17
# Projects made before 2025 have these; their dumps name them.
OLDER = """
CREATE SCHEMA pgsodium; CREATE EXTENSION pgsodium SCHEMA pgsodium; GRANT USAGE ON SCHEMA pgsodium TO postgres;
CREATE EXTENSION IF NOT EXISTS pgjwt SCHEMA extensions;
"""


def apply(box: Platform, url: str, files: list[Path]) -> None:
    """Run files as the deploying role, a connection each, and record them as the Supabase CLI does."""
    with psycopg.connect(url) as connection:
        make_history(connection)
    for file in files:
        version, _, name = file.stem.partition("_")
        box.run(url, file.read_text())
        with psycopg.connect(url) as connection:
            text = file.read_text()
            record_applied(connection, version, name, [text], sha256_of(text), "test")


def untouched(project: Project) -> str:
    """No drift, and nothing to do."""
    drift = [each.drift for each in project.db_status().environments]
    assert drift == ["none", "none"], drift
    found = project.generate("nothing")
    assert found.path is None, found.text
    return "nothing to do"


def review(project: Project) -> str:
    """The verdict on the last file."""
    return f"{project.review().verdict}"


def rehearse(project: Project) -> str:
    """The last file on a copy, and back."""
    found = project.rehearse()
    assert found.rollback is not None
    assert found.rollback.is_proven, found.rollback.remaining
    return "REHEARSED" + (f", except {len(found.exceptions)}" if found.exceptions else "")


STEPS: dict[str, Callable[[Project], str]] = {"untouched": untouched, "review": review, "rehearse": rehearse}


def main() -> int:
    """Try every folder named and print the table; 1 where a step failed."""
    boxes, reasons = Boxes(), []
    try:
        for folder in map(Path, sys.argv[1:]):
            files = sorted(folder.glob("*.sql"))
            said = [f"{folder.name:32} {len(files)} files"]
            with tempfile.TemporaryDirectory() as name:
                box = boxes.get("supabase", MAJOR, team=False)
                project = box.project(Path(name))
                for file in files:
                    shutil.copy(file, Path(name) / "supabase" / "migrations" / file.name)
                began = time.monotonic()
                for url in (box.staging_admin, box.production_admin):
                    box.run(url, OLDER)
                try:
                    apply(box, box.staging, files)
                    apply(box, box.production, files[:-1])
                    said.append("applied")
                except psycopg.Error as error:
                    said.append("NO")
                    reasons.append(f"{folder.name}, apply: {error}")
                for step, act in STEPS.items():
                    try:
                        said.append(act(project))
                    except (SafemigError, AssertionError, psycopg.Error) as error:
                        said.append("NO")
                        reasons.append(f"{folder.name}, {step}: {' '.join(str(error).split())[:600]}")
            click.echo("  ".join([*said, f"{time.monotonic() - began:.0f}s"]))
    finally:
        boxes.close()
    click.echo("\n".join(["", *reasons]))
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
