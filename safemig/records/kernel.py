"""The kernel that runs runbooks: always the interpreter that safemig itself runs in.

A kernel named `python3` may be any interpreter that a user registered once; with another one, a runbook would run
another safemig, or none.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

Ask = Callable[[str], str]

_FOLDERS = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR")
# A kernel that is left alone ends within moments, and may write there until then.
_REMOVE = 'read -r word; [ -n "$word" ] || { rm -rf -- "$1"; sleep 5; rm -rf -- "$1"; }'


class AnsweringClient(AsyncKernelClient):
    """A client that passes the kernel's questions (`input()`) on to a person, where there is one."""

    ask: Ask | None = None
    kernel: OwnKernel | None = None
    _answering: asyncio.Task[None] | None = None
    _asking: threading.Thread | None = None

    @property
    def allow_stdin(self) -> bool:
        """Tell the kernel whether someone can answer; nbclient would always say no."""
        return self.ask is not None

    @allow_stdin.setter
    def allow_stdin(self, _: bool) -> None:
        pass

    def execute(self, code: str, **options: Any) -> Any:  # type: ignore[override]
        """Send a cell, and answer what it asks meanwhile; after an interrupt, no further cell is sent."""
        if self.kernel is not None and self.kernel.was_interrupted:
            raise KeyboardInterrupt
        self._stop_answering()
        if self.ask is not None:
            self._answering = asyncio.ensure_future(self._answer(self.ask))
        return super().execute(code, **options)

    def stop_channels(self) -> None:
        """Close the connection to the kernel."""
        self._stop_answering()
        super().stop_channels()

    async def _answer(self, ask: Ask) -> None:
        while True:
            message = await self.stdin_channel.get_msg()
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[str] = loop.create_future()
            self._asking = _ask_in_thread(ask, message["content"]["prompt"], loop, answer)
            self.input(await answer)

    def _stop_answering(self) -> None:
        if self._answering is not None and not self._answering.get_loop().is_closed():
            self._answering.cancel()
        if self._asking is not None:
            end_question(self._asking)
        self._answering = self._asking = None


def _ask_in_thread(
    ask: Ask, prompt: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[str]
) -> threading.Thread:
    """Ask in a thread that does not keep the process alive: an interrupted question must not wait for an answer."""

    def work() -> None:
        try:
            text = ask(prompt)
        except BaseException:  # noqa: BLE001  Ctrl-D, or an interrupted question: no answer, which approves nothing
            text = ""
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(text))

    thread = threading.Thread(target=work, daemon=True, name="safemig-gate")
    thread.start()
    return thread


def end_question(thread: threading.Thread) -> None:
    """End a question that no one will answer any more, as an interrupt would.

    A notebook's `input()` waits in a loop of Python, where the exception reaches it; left alone, it would take the
    answer to the next question. A terminal's waits in the kernel until its process ends, which harms no one.
    """
    if thread.is_alive() and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))


class OwnKernel:
    """One kernel of this interpreter, in a private folder; `manager_class` is what nbclient starts it by."""

    def __init__(self, folder: Path, ask: Ask | None, variables: Mapping[str, str]) -> None:
        self._manager: AsyncKernelManager | None = None
        self.was_interrupted = False
        kernel = self
        # The outer notebook's context, for asking there; nbclient runs us in threads of its own.
        context = contextvars.copy_context()
        asked = (lambda prompt: context.copy().run(ask, prompt)) if ask else None

        class Manager(AsyncKernelManager):
            """Start the kernel from this interpreter; ask no registry of kernels."""

            def __init__(self, **arguments: Any) -> None:
                arguments |= {"transport": "ipc", "ip": str(folder / "k"), "connection_file": str(folder / "k.json")}
                super().__init__(**arguments)
                kernel._manager = self

            @property
            def kernel_spec(self) -> KernelSpec:
                return KernelSpec(
                    argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                    display_name="Python 3 (safemig)",
                    language="python",
                    # A profile of its own in the private folder: no code of the user's startup runs in a record, and
                    # IPython and Jupyter write neither into the home folder nor, where that cannot be, beside us.
                    env={**variables, **{name: str(folder / "ipython") for name in _FOLDERS}},
                )

            async def _async_interrupt_kernel(self) -> None:
                """Do nothing: jupyter_client interrupts before every shutdown, which an idle kernel reports as an error.

                Interrupts that a person means come by `OwnKernel.interrupt`.
                """

            def client(self, **arguments: Any) -> AnsweringClient:  # type: ignore[override]
                client = super().client(**arguments)
                assert isinstance(client, AnsweringClient)  # noqa: S101 - by `client_factory` below
                client.ask = asked
                client.kernel = kernel
                return client

            def _client_factory_default(self) -> type[AnsweringClient]:
                return AnsweringClient

        self.manager_class = Manager

    def interrupt(self) -> bool:
        """Interrupt what the kernel does; False where there is none that could be."""
        self.was_interrupted = True
        provisioner = getattr(self._manager, "provisioner", None)
        pid = getattr(provisioner, "pid", None)
        if not pid:
            return False
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            return False
        return True


@contextmanager
def own_kernel(ask: Ask | None = None, variables: Mapping[str, str] | None = None) -> Iterator[OwnKernel]:
    """Give a kernel that talks through Unix sockets in a private folder: no port, no one else can listen.

    `variables` are added to its environment.

    Meanwhile Ctrl-C and SIGTERM interrupt the kernel, not the one who records it: the statement is cancelled on the
    server, and what the cell says to that is in the record. A second Ctrl-C ends the recording too.
    """
    # Jupyter's own runtime folder may be too long for a socket's path (108 bytes).
    with tempfile.TemporaryDirectory(prefix="safemig-") as folder, _removed_when_killed(folder):
        kernel = OwnKernel(Path(folder), ask, variables or {})
        with _interrupts(kernel):
            yield kernel


@contextmanager
def _removed_when_killed(folder: str) -> Iterator[None]:
    """Have a shell wait for the end of this process, and remove `folder` where a kill kept us from doing so."""
    try:
        # A session of its own: what ends our terminal or our process group leaves it alone.
        waiting = subprocess.Popen(
            ["/bin/sh", "-c", _REMOVE, "safemig", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    except OSError:  # no shell, or no room for a process: all but a kill is seen to without it
        yield
        return
    try:
        yield
    finally:
        waiting.communicate(b"ended\n")


@contextmanager
def _interrupts(kernel: OwnKernel) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set a handler
        return

    def interrupt(_signal: int, _frame: object) -> None:
        if kernel.was_interrupted or not kernel.interrupt():
            raise KeyboardInterrupt

    former = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
