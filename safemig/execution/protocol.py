"""The protocol by which every verb changes a database: alone, in bounds, told truthfully where it is cut short, checked after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from safemig.errors import DeploymentFailedError, DeploymentStoppedError, SettingsError
from safemig.execution.autocommit import run_apart
from safemig.execution.commit import told_when_interrupted
from safemig.execution.environment import open_environment
from safemig.execution.run import Run
from safemig.execution.steps import Listener, Segment, locks_up_front
from safemig.execution.transaction import Committed, Transaction, commit_steps, deploying_connection, only_deployment
from safemig.execution.validation import told_when_cut_short
from safemig.postgres.connection import Connection
from safemig.results import Step
from safemig.schema import Schema


@dataclass(frozen=True, slots=True)
class Protocol:
    """One run's way through the protocol. `did` and `named` are its messages' words: "rolled back", and which files."""

    run: Run
    did: str
    named: str
    go_on: str = ""  # the command that goes on where it stops between two parts
    url: str = ""  # of a copy, which no environment of the settings names

    @property
    def conninfo(self) -> str:
        """How the database is reached."""
        return self.url or self.run.settings.conninfo(self.run.environment)

    def lock(self) -> AbstractContextManager[None]:
        """Be the only deployment on the database (see `only_deployment`)."""
        run = self.run
        return only_deployment(self.conninfo, run.environment, run.run_id, run.settings.member_schema)

    def connection(self) -> AbstractContextManager[Connection]:
        """Open a connection that may change the database (see `deploying_connection`)."""
        return deploying_connection(self.run.settings, self.conninfo, self.run.environment, self.run.run_id)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Be the only deployment, on a connection that may change the database; what was cut off earlier is settled."""
        with self.lock(), self.connection() as connection:
            self.run.settle_earlier(connection)
            yield connection

    def told(self, part: str = "", named: str = "") -> AbstractContextManager[None]:
        """Say what is true where an interrupt or a fault comes at the COMMIT (see `told_when_interrupted`)."""
        run = self.run
        return told_when_interrupted(self.conninfo, run.environment, run.id_of(part), self.did, named or self.named)

    def commit(self, connection: Connection, transaction: Transaction) -> Committed:
        """Run one transaction (see `commit_steps`)."""
        return commit_steps(self.run, connection, self.conninfo, transaction)

    def commit_segment(
        self,
        connection: Connection,
        segment: Segment,
        validate: Callable[[Connection], Schema],
        *,
        part: str = "",
        rehearsed: Sequence[Step] = (),
        listen: Listener | None = None,
    ) -> Committed:
        """Run a segment and write it into the history: in one transaction, or its statements by themselves and then that.

        `rehearsed` are its steps as they ran on a copy with the data: they tell which locks to take first, and for how
        long the transaction may hold them.

        Raises:
            DeploymentStoppedError: its statements ran by themselves, and could not be recorded.
        """
        run, is_one = self.run, segment.transactional
        apart = () if is_one else run_apart(run, connection, self.conninfo, segment, listen)
        seen = [step for step in rehearsed if is_one and step.number in {each.number for each in segment.steps}]

        def record(connection: Connection, steps: Sequence[Step], schema: Schema) -> None:
            run.record_segment(connection, segment, (*apart, *steps), schema, part)

        try:
            committed = self.commit(
                connection,
                Transaction(
                    segment.steps if is_one else (),
                    validate,
                    record,
                    part=part,
                    locks=locks_up_front(connection, seen),
                    role=run.settings.deploy_as,
                    rehearsed_s=sum(step.ran_s or 0.0 for step in seen) if rehearsed else None,
                    listen=listen,
                ),
            )
        except (DeploymentFailedError, SettingsError) as error:  # the latter of the journal, which cannot be written
            if not apart:
                raise
            raise DeploymentStoppedError(
                error.what,
                where=f"the statements of {', '.join(segment.names)} ran and are in effect, but are not recorded; {error.where}",
                next=f"correct the cause, then {self.go_on}",
            ) from error
        return replace(committed, steps=(*apart, *committed.steps))

    def change(self, transaction: Transaction, prepare: Callable[[Connection], object] = lambda _: None) -> Committed:
        """Go all the way to the COMMIT of an act that is one transaction. `prepare` is called before it, under the lock.

        Raises:
            RefusedError: another deployment is under way.
            DeploymentFailedError: it failed and was rolled back; nothing was changed.
            DeploymentStoppedError: an interrupt or a fault came when it was done.
            OutcomeUnknownError: the server went away, and whether it was committed could not be learned.
        """
        with self.alone() as connection:
            prepare(connection)
            with self.told(), self.run.noted():
                return self.commit(connection, transaction)

    @contextmanager
    def checking(self, named: str = "") -> Iterator[Connection]:
        """Open the database anew to check what was done; what cuts that short is told as done, but not validated."""
        run = self.run
        with (
            told_when_cut_short(self.did, named or self.named),
            open_environment(run.settings, run.environment) as found,
        ):
            yield found
