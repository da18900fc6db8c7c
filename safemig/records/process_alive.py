"""Tell whether the run that writes a record is still alive."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path


def still_runs(path: Path) -> bool:
    """Tell whether the process that writes this record is alive; on another machine no one can know, so yes.

    A record that is read-only is written no more: its run ended, and its record could not be finished.
    """
    try:
        if not path.stat().st_mode & 0o222:
            return False
        facts = json.loads(path.read_bytes())["metadata"]["safemig"]
        if facts["machine"] != socket.gethostname():
            return True
        os.kill(int(facts["pid"]), 0)
    except PermissionError:
        return True  # alive, and another user's
    except (OSError, ValueError, KeyError):
        return False
    return True
