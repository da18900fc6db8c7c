"""papermill's engine for records: as its own, but it never waits for a reply that will not come.

ipykernel loses the reply to a cell when an interrupt hits it between running the cell and answering (seen with 7.4:
"KeyboardInterrupt caught in kernel."). The kernel is idle then, and nbclient would wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger

NAME = "safemig"
_PATIENCE_S = 10


class RecordingClient(PapermillNotebookClient):  # type: ignore[misc]  # papermill is untyped
    """Run the cells; a cell whose kernel is idle again has `_PATIENCE_S` seconds to reply."""

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
        options["startup_timeout"] = options.pop("start_timeout", 60)
        return RecordingClient(nb_man, kernel_name=kernel_name, log=logger, **options).execute()
