"""Keep one PostgreSQL server running for as long as standard input stays open, then end it and tidy up.

Run as a program of its own, by `server.py`; standard library only, so that it starts in a few hundredths of a
second. Its standard input is a pipe from the process that asked for the server: when that process ends, however
it ends, the pipe closes, and this one ends the server and removes its folder. Should this one be killed too,
the kernel ends the server (PR_SET_PDEATHSIG).

Usage: python server_supervisor.py FOLDER KEEP UID GID PROGRAM ARGUMENT...   (KEEP: 1 leaves FOLDER; UID -1: as who we are)
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    # After the change of user: the kernel clears the setting when credentials change (prctl(2)).
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def main() -> None:
    folder, keep, uid, gid, *command = sys.argv[1:]
    who: dict[str, Any] = {} if uid == "-1" else {"user": int(uid), "group": int(gid), "extra_groups": []}
    log = os.open(os.path.join(folder, "server.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # noqa: PTH118
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", preexec_fn=_die_with_parent, **who
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        while server.poll() is None:
            ready, _, _ = select.select([0], [], [], 0.5)
            if ready and not os.read(0, 4096):
                break
    finally:
        # Fast shutdown (SIGINT) where the data is kept, immediate (SIGQUIT) where it is thrown away.
        for number, seconds in ((signal.SIGINT if keep == "1" else signal.SIGQUIT, 30), (signal.SIGQUIT, 5)):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                server.send_signal(number)
                server.wait(seconds)
                break
        if server.poll() is None:
            server.kill()
            server.wait()
        if keep != "1":
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
