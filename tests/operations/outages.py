"""What takes a server or a network away from a run: a crash, a proxy that drops or swallows, a standby that is promoted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import psycopg

from safemig.postgres.server.data_folder import run_as
from safemig.postgres.server.throwaway import ThrowawayServer, _server_user
from tests.conftest import QUIET
from tests.operations.striking import wait_for
from tests.places import short_folder


class Production:
    """A server of its own that is stopped as a crash does, and started again a moment later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = self._started()
        self._thread: threading.Thread | None = None

    def _started(self) -> ThrowawayServer:
        # As production servers are: what was acknowledged is on disk.
        return ThrowawayServer.start(folder=self.folder, settings=QUIET | {"synchronous_commit": "on", "fsync": "on"})

    def crash(self, how: signal.Signals) -> None:
        """Stop it (SIGQUIT: immediately, as a crash; SIGINT: fast), and start it again in the background."""
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]), how)
        self.server.stop()
        self._thread = threading.Thread(target=self._start)
        self._thread.start()

    def wait(self) -> None:
        """Wait until it is up again."""
        if self._thread:
            self._thread.join()

    def stop(self) -> None:
        """Stop it for good."""
        self.wait()
        self.server.stop()
        shutil.rmtree(self.folder)

    def _start(self) -> None:
        time.sleep(1)
        self.server = self._started()


class Network:
    """A TCP proxy before the server: it can drop what goes through it, swallow it forever, or lead elsewhere."""

    def __init__(self, url: str) -> None:
        self.target = socket_of(url)
        name = url.split("/")[3].split("?")[0]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.url = f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}/{name}?sslmode=disable"
        self._over = threading.Event()
        self._pairs: list[list[socket.socket]] = []
        self._swallowed: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def drop(self) -> None:
        """End every connection; new ones go through."""
        for each in self._all():
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def swallow(self) -> None:
        """Pass on nothing more of the connections that are there, and refuse nothing either; new ones go through."""
        self._swallowed |= set(self._all())

    def close(self) -> None:
        """End all of it."""
        self._over.set()
        self.drop()
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._all()]:
            each.close()

    def passes(self, source: socket.socket, sink: socket.socket, data: bytes) -> bool:
        """Tell whether what came from `source` goes on to `sink`."""
        return source not in self._swallowed

    def _all(self) -> list[socket.socket]:
        return [each for pair in self._pairs for each in pair]

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                server.close()
                continue
            self._pairs.append([client, server])
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pump, args=(source, sink))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.passes(source, sink, data):
                    sink.sendall(data)
        # Who was cut off by a black hole does not hear of it.
        if source not in self._swallowed:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)


def socket_of(url: str) -> str:
    """Return the path of the Unix socket that a URL of the tests is about."""
    return f"{unquote(url.split('host=')[1].split('&')[0])}/.s.PGSQL.5432"


@contextmanager
def standby_of(server: ThrowawayServer) -> Iterator[str]:
    """A hot standby of a server; the folder of its socket, quoted for a URL."""
    user = _server_user()
    folder = short_folder("safemig-standby-")
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    subprocess.run(
        [server.programs.folder / "pg_basebackup", "-D", folder / "data", "-R", "-h", server.folder, "-p", "5432",
         "-U", "postgres", "-c", "fast"],
        check=True, cwd="/", **run_as(user),
    )  # fmt: skip
    try:
        with ThrowawayServer.start(folder=folder, major=server.major, settings=QUIET):
            yield quote(str(folder), safe="")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def promote(standby: str, primary: str) -> None:
    """Promote a standby, once it has all that its primary wrote."""
    with psycopg.connect(primary, autocommit=True) as there, psycopg.connect(standby, autocommit=True) as here:
        there.execute("CHECKPOINT")  # the test server does not wait for its disk
        (written,) = there.execute("SELECT pg_current_wal_flush_lsn()").fetchone()  # type: ignore[misc]
        caught_up = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_for(lambda: here.execute(caught_up, (written,)).fetchone() == (True,), "the standby to catch up")
        here.execute("SELECT pg_promote()")
