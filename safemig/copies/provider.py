"""A program that starts a scratch server, prints its URL, and is ended when the copies are done with."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO

from safemig.errors import ToolError
from safemig.postgres.dump.tools import ENDING_WITH_US
from safemig.secrets import hide, remember_conninfo

_END_SECONDS = 20.0


class Provider:
    """One run of the program of `[scratch] command`.

    Its contract: within `wait_s` seconds it prints the URL of a server as one line, and goes on until SIGTERM, at which
    it removes what it made. It gets that signal too when this process is killed; after 20 s it is killed with its children.
    """

    def __init__(self, command: str, wait_s: float) -> None:
        self._command = command
        self._wait_s = wait_s
        words = self._words()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the program runs
        self._process = self._started(words)

    def url(self) -> str:
        """Wait for the URL, and return it.

        Raises:
            ToolError: the program ended without one, or took too long; it is ended then.
        """
        deadline, said = time.monotonic() + self._wait_s, b""
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was asked for
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([output], [], [], min(left, 1.0))[0]:
                continue
            piece = os.read(output.fileno(), 4096)
            said += piece
            *lines, rest = said.split(b"\n")
            for line in lines if piece else [*lines, rest]:
                text = line.decode(errors="replace").strip()
                if "://" in text or "host=" in text:
                    remember_conninfo(text)  # it may hold a password
                    return text
            if not piece:
                self._process.wait()
                raise self._failure(f"it ended with exit code {self._process.returncode} and printed no URL")
        raise self._failure(f"it printed no URL within {self._wait_s:g} s")

    def stop(self) -> None:
        """End the program and all that it started. Safe to call again."""
        for number, seconds in ((signal.SIGTERM, _END_SECONDS), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # children that outlived it
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def _words(self) -> list[str]:
        words = shlex.split(self._command)
        program = shutil.which(words[0]) if words else None
        if program is None:
            raise ToolError(
                "the program that starts a scratch server was not found",
                where=f"[scratch] command: {words[0] if words else 'empty'}",
                next="write its whole path, or install it",
            )
        return [program, *words[1:]]

    def _started(self, words: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", "-c", ENDING_WITH_US, str(os.getpid()), *words]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )

    def _failure(self, what: str) -> ToolError:
        self._errors.seek(0)
        words = hide(self._errors.read()[-2000:].decode(errors="replace")).strip().splitlines()
        self.stop()
        return ToolError(
            f"no scratch server: {what}",
            where=f"[scratch] command{f': {words[-1]}' if words else ''}",
            next="run that command by hand; it must print the URL of a server as one line, and run until SIGTERM",
        )
