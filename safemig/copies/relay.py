"""A relay to a scratch server, whose log we do not have: a program talks to the server through it, and it reads along.

What it reads is PostgreSQL's protocol, version 3 (manual, 55.7, "Message Formats"): which statements a session sends, and
which answer ends each. Values of parameters are passed on and not looked at.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.postgres.connection import Connection

_HOST = "127.0.0.1"
_ENCRYPTION_REQUESTS = (80877103, 80877104)  # TLS, GSSAPI: between us and the program there is none
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)
_CANCEL_REQUEST = 80877102
_LAST_STATEMENTS_S = 5.0  # what a program sent just before it ended is answered within this time


class Statement(NamedTuple):
    """A statement that a session ran to its end."""

    ended_at: float  # in seconds, as the others of its session
    session: int
    seconds: float
    sql: str


@contextmanager
def relayed(copy: Connection, url: str) -> Iterator[tuple[str, list[Statement]]]:
    """Give a URL of this machine that leads to `url`, the database of `copy`, and the statements that come through it.

    Both hold until the block is left. What `url` sets for its sessions, such as the role, is set for each that comes.
    """
    told: list[Statement] = []
    relay = _Relay(copy, url, told.append)
    loop, is_ready = asyncio.new_event_loop(), threading.Event()
    thread = threading.Thread(target=_run, args=(loop, relay, is_ready), name="safemig relay", daemon=True)
    thread.start()
    is_ready.wait()
    try:
        yield make_conninfo(url, host=_HOST, hostaddr=None, port=relay.port, sslmode="disable", options=None), told
    finally:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(relay.end(), loop).result(2 * _LAST_STATEMENTS_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, relay: _Relay, is_ready: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    loop.run_until_complete(relay.listen())
    is_ready.set()
    loop.run_forever()


class _Relay:
    def __init__(self, copy: Connection, url: str, tell: Callable[[Statement], None]) -> None:
        self.port = 0
        self._host, self._port = copy.info.hostaddr or copy.info.host, copy.info.port
        self._given = conninfo_to_dict(url)
        self._is_encrypted = bool(copy.pgconn.ssl_in_use)
        self._tell = tell
        self._numbers = count(1)
        self._sessions: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """Let no one else in, and wait until the sessions have ended; those of a program that stays behind are cut."""
        if self._server:
            self._server.close()
        if self._sessions:
            _, left = await asyncio.wait(self._sessions, timeout=_LAST_STATEMENTS_S)
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as one
        self._sessions.add(task)
        try:
            await self._session(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # either side is gone: the other one learns it by the end of its connection
        finally:
            await _close(writer)
            self._sessions.discard(task)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code not in _ENCRYPTION_REQUESTS:
                break
            writer.write(b"N")
        server_reader, server_writer = await self._connected()
        server_writer.write(_packed(b"", body if code == _CANCEL_REQUEST else self._with_options(body)))
        seen = _Session(next(self._numbers), self._tell)
        to_server = asyncio.create_task(_pass_on(reader, server_writer, seen.sent))
        to_program = asyncio.create_task(_pass_on(server_reader, writer, seen.answered))
        try:
            done, _ = await asyncio.wait((to_server, to_program), return_when=asyncio.FIRST_COMPLETED)
            if to_program not in done:  # the program has left; what it sent last may still be running
                if server_writer.can_write_eof():
                    server_writer.write_eof()
                await asyncio.wait((to_program,), timeout=_LAST_STATEMENTS_S)
        finally:
            server_writer.close()
            to_server.cancel()
            to_program.cancel()
            await asyncio.gather(to_server, to_program, return_exceptions=True)
            await _close(server_writer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith(("/", "@")):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        reader, writer = await asyncio.open_connection(self._host, self._port)
        if self._is_encrypted:
            writer.write(_TLS_REQUEST)
            if await reader.readexactly(1) != b"S":
                await _close(writer)
                raise OSError("the scratch server no longer accepts TLS")
            await writer.start_tls(self._tls(), server_hostname=str(self._given.get("host") or ""))
        return reader, writer

    def _tls(self) -> ssl.SSLContext:
        """Return what the server's certificate is held to: what libpq holds it to for that URL (manual, 34.19)."""
        mode, root = self._given.get("sslmode"), str(self._given.get("sslrootcert") or "")
        context = ssl.create_default_context(cafile=root if root not in ("", "system") else None)
        context.check_hostname = mode == "verify-full" or root == "system"
        if mode not in ("verify-ca", "verify-full") and root != "system":
            context.verify_mode = ssl.CERT_NONE
        if certificate := self._given.get("sslcert"):
            context.load_cert_chain(str(certificate), str(self._given.get("sslkey") or certificate))
        return context

    def _with_options(self, startup: bytes) -> bytes:
        """Return a session's start-up message with the options of the copy's URL after its own, which they overrule."""
        words = startup[4:].split(b"\0")
        parameters = dict(zip(words[::2], words[1::2], strict=False))
        parameters.pop(b"", None)
        parts = (parameters.get(b"options", b"").decode(), str(self._given.get("options") or ""))
        if options := " ".join(filter(None, parts)):
            parameters[b"options"] = options.encode()
        return startup[:4] + b"".join(name + b"\0" + value + b"\0" for name, value in parameters.items()) + b"\0"


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until its socket is: the loop is stopped after the last one."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes, bytes], None]
) -> None:
    """Pass on message by message, each seen before it goes, until one side ends."""
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            kind, length = struct.unpack("!ci", await reader.readexactly(5))
            body = await reader.readexactly(length - 4)
            see(kind, body)
            writer.write(_packed(kind, body))
            await writer.drain()


@dataclass
class _Asked:
    kind: bytes  # of the message: Query, Execute, Sync
    sql: str
    since: float
    has_failed: bool = False


@dataclass
class _Session:
    """What one session has asked and is not answered yet, in order, as the server answers it."""

    number: int
    tell: Callable[[Statement], None]
    _prepared: dict[bytes, str] = field(default_factory=dict)
    _portals: dict[bytes, str] = field(default_factory=dict)
    _waiting: deque[_Asked] = field(default_factory=deque)

    def sent(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._prepared[name] = _text(rest)
        elif kind == b"B":
            portal, name, _ = body.split(b"\0", 2)
            self._portals[portal] = self._prepared.get(name, "")
        elif kind in (b"Q", b"E", b"S"):
            sql = _text(body) if kind == b"Q" else self._portals.get(body.partition(b"\0")[0], "")
            self._waiting.append(_Asked(kind, sql if kind != b"S" else "", time.monotonic()))

    def answered(self, kind: bytes, _: bytes) -> None:
        head = self._waiting[0] if self._waiting else None
        if kind in (b"C", b"s", b"I") and head and head.kind == b"E":
            self._end(self._waiting.popleft())
        elif kind == b"E":  # the server leaves out all until the next Sync
            while self._waiting and self._waiting[0].kind == b"E":
                self._waiting.popleft()
            if self._waiting:
                self._waiting[0].has_failed = True
        elif kind == b"Z" and head:
            self._end(self._waiting.popleft())

    def _end(self, asked: _Asked) -> None:
        if asked.sql and not asked.has_failed:
            now = time.monotonic()
            self.tell(Statement(now, self.number, now - asked.since, asked.sql))


def _text(body: bytes) -> str:
    return body.partition(b"\0")[0].decode(errors="replace")
