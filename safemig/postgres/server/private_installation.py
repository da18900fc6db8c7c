"""A private installation: one PostgreSQL's own files by links, with more extensions beside them, for one server alone.

PostgreSQL finds its files by the way from its own program (manual, 19; src/port/path.c), so a tree of the same layout
reads only itself. Nothing is written into the installation that it is made from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from safemig.errors import ToolError
from safemig.postgres.server.programs import Programs


@dataclass(frozen=True, slots=True)
class ExtraFiles:
    """What a private installation has beyond the one that it is made from: content by file name."""

    extension: Mapping[str, str] = field(default_factory=dict)
    tsearch_data: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.extension or self.tsearch_data)


def make_private_installation(programs: Programs, home: Path, extra: ExtraFiles) -> Programs:
    """Make a tree under `home` with the server of `programs` and `extra`, and return its programs.

    Files of `extra` stand in place of those of the same name. Client programs are those of `programs`.

    Raises:
        ToolError: the installation's folder of extensions is not where it is looked for.
    """
    share = programs.share
    if share is None:
        raise ToolError(
            f"PostgreSQL {programs.version} does not show where its extensions are",
            where=str(programs.folder),
            next="point SAFEMIG_POSTGRES_BIN to an installation that has bin, lib and share in one folder",
        )
    root, tree = programs.folder.parent, home / "installation"
    shutil.rmtree(
        tree, ignore_errors=True
    )  # of an earlier start, where the data is kept: links may lead nowhere by now
    if share.is_relative_to(root):
        # As a wheel lays it out: libraries may be beside the package.
        package = root.parent
        own = tree / package.name / root.name
        own_share = own / share.relative_to(root)
        beside = list(package.parent.glob(f"{package.name}*.libs"))
    else:  # Debian: /usr/lib/postgresql/15/bin and /usr/share/postgresql/15
        common = Path(os.path.commonpath([root, share]))
        own, own_share, beside = tree / root.relative_to(common), tree / share.relative_to(common), []
    (own / "bin").mkdir(parents=True)
    for libraries in beside:
        (tree / libraries.name).symlink_to(libraries)
    for folder in root.iterdir():
        if folder.is_dir() and folder.name.startswith("lib"):
            (own / folder.name).symlink_to(folder)
    # A link of its own, not a symbolic one: the server follows that to where it leads.
    _link(programs.path("postgres"), own / "bin" / "postgres")
    _mirror(share, own_share, {"extension": extra.extension, "tsearch_data": extra.tsearch_data})
    for path in (tree, *tree.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    return replace(programs, server_folder=own / "bin")


def _mirror(share: Path, own: Path, extra: Mapping[str, Mapping[str, str]]) -> None:
    own.mkdir(parents=True)
    for entry in share.iterdir():
        if entry.name not in extra:
            (own / entry.name).symlink_to(entry)
    for name, files in extra.items():
        (own / name).mkdir()
        for entry in (share / name).iterdir() if (share / name).is_dir() else ():
            if entry.name not in files:
                (own / name / entry.name).symlink_to(entry)
        for file, content in files.items():
            path = own / name / file
            path.write_text(content, encoding="utf-8")
            path.chmod(0o644)


def _link(source: Path, to: Path) -> None:
    try:
        to.hardlink_to(source.resolve())
    except OSError:  # another disk, or not ours to link
        shutil.copy2(source, to)
