"""The kernel that runs runbooks: always the interpreter that safemig itself runs in.

A kernel named `python3` may be any interpreter that a user registered once; with another one, a runbook would run
another safemig, or none.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager


class OwnKernelManager(AsyncKernelManager):
    """Start a kernel from this interpreter; ask no registry of kernels."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The one kernel there is."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3 (safemig)",
            language="python",
        )


@contextmanager
def own_kernel() -> Iterator[type[OwnKernelManager]]:
    """Give a manager whose kernels talk through Unix sockets in a private folder: no port, nobody else can listen."""
    # Jupyter's own runtime folder may be too long for a socket's path (108 bytes).
    with tempfile.TemporaryDirectory(prefix="safemig-") as folder:

        class PrivateKernelManager(OwnKernelManager):
            def __init__(self, **arguments: object) -> None:
                super().__init__(
                    transport="ipc",
                    ip=str(Path(folder) / "k"),
                    connection_file=str(Path(folder) / "k.json"),
                    **arguments,
                )

        yield PrivateKernelManager
