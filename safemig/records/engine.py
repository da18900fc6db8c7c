"""papermill's engine for records: as its own, but it never waits for a reply that will not come.

ipykernel loses the reply to a cell when an interrupt hits it between running the cell and answering (seen with 7.4:
"KeyboardInterrupt caught in kernel."). The kernel is idle then, and nbclient would wait forever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nbclient.exceptions import DeadKernelError
from nbformat.notebooknode import from_dict
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger

from safemig.live import GATE, MOMENT
from safemig.terminal.output import DRAWN

NAME = "safemig"
_PATIENCE_S = 10
_WITH_DATA = ("display_data", "execute_result", "update_display_data")


class RecordingClient(PapermillNotebookClient):  # type: ignore[misc]  # papermill is untyped
    """Run the cells; a cell whose kernel is idle again has `_PATIENCE_S` seconds to reply.

    What a cell tells of the moment goes to `on_moment`, what it draws for a terminal to `on_drawn`, what it asks about
    to `on_gate`: not into the notebook.
    """

    on_moment: Callable[[Any], None] | None = None
    on_drawn: Callable[[str], None] | None = None
    on_gate: Callable[[Any], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_places: dict[str, Any] = {}

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Take out a moment; anything else is the notebook's."""
        data = msg["content"].get("data") if msg["msg_type"] in _WITH_DATA else None
        if data and (drawn := data.pop(DRAWN, None)) is not None and self.on_drawn is not None:
            self.on_drawn(drawn)
        if data and GATE in data:
            if self.on_gate is not None:
                self.on_gate(data[GATE])
            return None
        if not data or MOMENT not in data:
            output = super().process_message(msg, cell, cell_index)
            if output is not None and (place := (msg["content"].get("transient") or {}).get("display_id")):
                self._in_places[place] = output
            return output
        if self.on_moment is not None:
            self.on_moment(data)
        return None

    def _update_display_id(self, display_id: str, msg: Any) -> None:
        """Change what was shown in that place: nbclient finds it by a number that joining the streams made wrong."""
        shown = self._in_places.get(display_id)
        if shown is not None and msg["msg_type"] == "update_display_data":
            shown.data, shown.metadata = from_dict(msg["content"]["data"]), from_dict(msg["content"]["metadata"])  # type: ignore[no-untyped-call]

    async def _async_check_alive(self) -> None:
        """Find the kernel dead also where its client is gone.

        nbclient forgets the task that asks this every second when a cell is given up (a lost reply, an interrupt); the
        task would ask a client that is not there any more, and fail with no one to hear it.
        """
        if self.kc is None:
            raise DeadKernelError("the cell was given up")
        await super()._async_check_alive()

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        await super()._async_poll_output_msg(parent_msg_id, cell, cell_index)
        # The kernel said that it is idle. Its reply comes before that, or not at all; nbclient reads cancelling the
        # wait for it as a dead kernel, and for the record it is one.
        reply = self.task_poll_for_reply
        asyncio.get_running_loop().call_later(_PATIENCE_S, lambda: reply.done() or reply.cancel())


class RecordingEngine(NBClientEngine):  # type: ignore[misc]  # papermill is untyped
    """Hands the notebook to `RecordingClient`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Run the notebook; papermill's hook for an engine."""
        for unused in ("input_path", "log_output", "stdout_file", "stderr_file", "execution_timeout"):
            options.pop(unused, None)
        options["coalesce_streams"] = True  # a line of a log is no output of its own
        options["startup_timeout"] = options.pop("start_timeout", 60)
        on_moment, on_drawn, on_gate = (options.pop(each, None) for each in ("on_moment", "on_drawn", "on_gate"))
        client = RecordingClient(nb_man, kernel_name=kernel_name, log=logger, **options)
        client.on_moment, client.on_drawn, client.on_gate = on_moment, on_drawn, on_gate
        return client.execute()
