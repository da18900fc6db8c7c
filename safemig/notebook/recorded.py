"""Run a verb that acts from a magic: through its runbook, so that it leaves the same record as from anywhere else."""

# IPython.display has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safemig import errors
from safemig.notebook.onlooker import end
from safemig.notebook.progress import LiveProgress
from safemig.records import RecordRun
from safemig.records.outcome import RecordedError
from safemig.result import link_to
from safemig.settings import Settings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Recorded:
    """The answer of a recorded run: shows itself like the result, and says where the record is.

    `data` are the result's facts, `record` the executed notebook, `page` its HTML, `verdict` the record's word.
    """

    run: RecordRun

    @property
    def verdict(self) -> str:
        """The word that stands in the record's name."""
        return self.run.verdict

    @property
    def record(self) -> Path:
        """The executed notebook."""
        return self.run.path

    @property
    def page(self) -> Path:
        """The record as HTML."""
        return self.run.html

    @property
    def data(self) -> dict[str, Any]:
        """The facts of the answer, as JSON-ready values."""
        return self.run.answer.data if self.run.answer else {}

    def to_frame(self) -> pd.DataFrame:
        """Return the answer's main table (steps, tables ...) as a pandas DataFrame, one row each; empty without one."""
        from safemig.views.in_frame import frame_of_data

        return frame_of_data(self.run.answer.kind if self.run.answer else "live", self.data)

    def __repr__(self) -> str:
        answer = f"{self.run.answer.text}\n\n" if self.run.answer else ""
        where = f"record: {self.record if self.run.is_written else 'could not be written'}"
        return "\n".join([f"{answer}{where}", *self.run.undelivered])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:  # noqa: ARG002
        answer = self.run.answer
        name = escape(os.path.relpath(self.record))
        link = escape(link_to(self.record))
        shown = f'<a href="{link}">{name}</a>' if link else f'<code style="font-family:monospace">{name}</code>'
        if not self.run.is_written:
            shown = "could not be written"
        lines = "".join(f"<br>{escape(line)}" for line in self.run.undelivered)
        where = f'<p style="margin:.6em 0">record: {shown}{lines}</p>'
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": (answer.html if answer else "") + where}
        if answer:
            bundle[f"application/vnd.safemig.{answer.kind}+json"] = answer.data
        return bundle


def run_recorded(
    verb: str, settings: Settings, parameters: dict[str, Any], variables: Mapping[str, str] | None = None
) -> Recorded:
    """Run the runbook of `verb`, showing its progress; ask at its gate where a person is present.

    Raises:
        SafemigError: the error that ended the run, as it was, after what there is of the run was shown.
    """
    from IPython.display import display

    from safemig.approval.approve import person_is_present

    present = person_is_present()
    progress = LiveProgress(verb, live=present)
    end()
    progress.begin()
    try:
        from safemig.records import run_runbook  # with papermill, which takes its time

        run = run_runbook(
            verb, settings, parameters, listen=progress, ask=input if present else None, variables=variables
        )
    finally:
        progress.close()
    recorded = Recorded(run)
    if run.exit_code == 0:
        return recorded
    display(recorded)
    if run.error is None:
        raise errors.OutcomeUnknownError(
            f"{verb} ended {run.verdict}", where=str(run.path), next="%db_status shows what is applied"
        )
    raise raised_again(run.error)


def raised_again(error: RecordedError) -> errors.SafemigError:
    """Return the error that was raised in the run's kernel, as an error here: same class, same lines."""
    known = getattr(errors, error.name, None)
    if not (isinstance(known, type) and issubclass(known, errors.SafemigError)):
        known = errors.OutcomeUnknownError if error.exit_code == 5 else errors.RefusedError
    what, where, next_ = error.parts
    return known(what, where=where, next=next_)
