"""Where a kept demo's server has its data, and the note in the project that says so."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safemig.errors import SettingsError

NOTE = "demo.json"
# A Unix socket's path may have 107 bytes (unix(7)); the server's own socket name and a margin are taken off.
_LONGEST_PATH = 80


@dataclass(frozen=True, slots=True)
class Note:
    """What a kept demo remembers of its server."""

    server: Path
    major: int
    staging_server: Path | None = None  # of the demo on Supabase's imitation, where staging is a server of its own

    @property
    def servers(self) -> tuple[Path, ...]:
        """Where all the data is."""
        return (self.server, *([self.staging_server] if self.staging_server else []))


def server_folder(project: Path, name: str = "server") -> Path:
    """Return an existing folder for a server's data: below `project`, or below /var/tmp where that cannot serve.

    Started as root, the server runs as another user, who must be able to enter every folder on the way; and the
    socket's path must be short.
    """
    wanted = project / name
    closed = os.geteuid() == 0 and any(not each.stat().st_mode & stat.S_IXOTH for each in (project, *project.parents))
    if closed or len(os.fsencode(wanted)) > _LONGEST_PATH:
        # Made exclusively and with a name that no one can foresee: /var/tmp is everyone's.
        return Path(tempfile.mkdtemp(prefix="safemig-demo-", dir="/var/tmp"))
    wanted.mkdir(mode=0o700)
    return wanted


def write_note(project: Path, server: Path, major: int, staging_server: Path | None = None) -> None:
    """Write down where the server's data is, and of which major version it is."""
    content = {"server": str(server), "postgresql": major, "start": f"safemig demo --serve {project}"}
    if staging_server is not None:
        content |= {"platform": "supabase", "staging_server": str(staging_server)}
    (project / NOTE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_note(project: Path) -> Note:
    """Return what `write_note` wrote.

    Raises:
        SettingsError: there is no kept demo in `project`, or its data is gone.
    """
    try:
        content = json.loads((project / NOTE).read_text(encoding="utf-8"))
        staging = content.get("staging_server")
        note = Note(Path(content["server"]), int(content["postgresql"]), Path(staging) if staging else None)
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(
            "there is no kept demo here", where=str(project), next=f"make one: safemig demo --keep {project}"
        ) from None
    if gone := [str(each) for each in note.servers if not (each / "data").is_dir()]:
        raise SettingsError(
            "the data of the kept demo's server is missing",
            where=", ".join(gone),
            next="make another one: safemig demo --keep DIR with a new folder",
        )
    return note
