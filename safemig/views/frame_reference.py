"""The reference of `.to_frame()`: each result's columns, their dtypes, and what they hold."""

from __future__ import annotations

from safemig.fleet_facts import Cohort, CohortRehearsal, FleetMember, MemberOutcome
from safemig.results import (
    Check,
    MigrationState,
    RecordEntry,
    RestoredTable,
    SettingInForce,
    Step,
    TableContent,
    VerbOutlook,
)
from safemig.review import Finding
from safemig.schema.difference import Change
from safemig.views.in_frame import ROWS, columns_of
from safemig.workload_facts import LoadRow, WorkloadFinding

_HEAD = """\
# The columns of .to_frame()

Every result has `.to_frame()`: its main table as a pandas DataFrame. A result that is not listed here is one row of its
own facts. `int64` becomes `Int64` where a value may be missing; a duration is a `timedelta64`, a time is in UTC.
`status` has one more column, a category, for each environment: applied, pending, edited, missing or unknown.
"""
_TITLES: dict[type, str] = {
    RecordEntry: "Records",
    SettingInForce: "Settings",
    TableContent: "Tables of a backup",
    Step: "Steps",
    VerbOutlook: "Verbs",
    Check: "Checks",
    RestoredTable: "Restored tables",
    Finding: "Findings of a review",
    Change: "Differences of two schemas",
    MigrationState: "Migrations",
    FleetMember: "Members of a fleet",
    Cohort: "Cohorts of a fleet's plan",
    CohortRehearsal: "Rehearsals of a fleet's cohorts",
    MemberOutcome: "Members of a run over a fleet",
    LoadRow: "The application's statements",
    WorkloadFinding: "Findings about the application's statements",
}
DESCRIPTIONS: dict[type, dict[str, str]] = {
    RecordEntry: {
        "path": "the record's file",
        "environment": "target environment",
        "act": "the verb, such as migrate_prod",
        "verdict": "the outcome, as in the file's name",
        "at": "when the run started",
        "by": "who ran it",
        "plan_id": "the plan's ID, empty without a plan",
        "migrations": "versions of the migrations",
        "duration": "how long the run took",
        "integrity": "what the ledger says of the file",
        "lock_wait": "the longest wait of a step for a lock",
    },
    TableContent: {
        "name": "schema and table",
        "rows": "number of rows",
        "sha256": "hash of its rows",
    },
    Step: {
        "number": "place in the plan, from 1",
        "file": "migration file",
        "line": "line in that file",
        "kind": "statement, such as ALTER TABLE",
        "sql": "the statement",
        "transactional": "whether it runs in the transaction",
        "state": "planned, ran, failed, ...",
        "ran": "how long it ran, without waiting for locks",
        "lock_wait": "how long it waited for locks",
        "attempts": "attempts to acquire its locks",
        "rows": "rows it wrote",
        "locks": "locks it held to the end of its transaction",
        "rewrites": "tables it rewrote",
        "scans": "tables it read from end to end",
        "batches": "how it is run in batches, if it is",
        "error": "the server's error",
        "notices": "the server's notices",
    },
    SettingInForce: {
        "name": "the setting",
        "value": "its value, in TOML",
        "source": "the file, the variable, or default",
    },
    VerbOutlook: {
        "verb": "the verb",
        "outlook": "whether it will work there",
        "why": "why not, or not for everything",
        "fixes": "commands that close the gap",
    },
    Check: {
        "name": "what is checked",
        "state": "the answer",
        "found": "what was found",
        "needed": "what is needed",
        "fix": "what to do",
    },
    RestoredTable: {
        "name": "schema and table",
        "beside": "where the backup's rows are now",
        "rows": "rows in the backup",
        "sha256": "hash of these rows",
        "key": "columns by which rows are compared",
        "meant": "rows of the backup that --where selects",
        "missing": "rows that production does not have",
        "differing": "rows with other values in production",
        "only_in_production": "rows that only production has",
        "differing_columns": "columns with other values",
        "inserted": "rows put back",
        "updated": "rows updated",
        "triggers_off": "triggers that do not fire",
        "notes": "what to know about this table",
    },
    Finding: {
        "rule": "the rule's name",
        "severity": "dangerous, caution or recommendation",
        "title": "the hazard in a few words",
        "file": "migration file",
        "line": "line in that file, from 1",
        "column": "column in that line, from 1",
        "statement": "the statement",
        "message": "what happens and why",
        "safer": "SQL to use instead",
        "lock": "the strongest table lock it takes",
        "data_loss": "whether data is lost",
        "object": "the object, by which it is accepted",
        "accepted": "the reason of its acceptance",
        "kind": "statement, such as ALTER TABLE",
    },
    Change: {
        "kind": "kind of object",
        "name": "the object",
        "action": "add, change or remove",
        "detail": "what differs",
    },
    MigrationState: {
        "version": "the migration's version",
        "name": "its name",
        "file": "its file, empty where only a database has it",
    },
    FleetMember: {
        "name": "the member",
        "state": "where its history stands to the files",
        "version": "the newest migration applied",
        "drift": "how its schema differs from what its migrations make",
        "error": "why it could not be asked, or what contradicts",
        "pending": "migrations not applied",
        "cohort": "the same for members that are alike",
        "server": "host and port",
        "database": "the database",
        "schema": "the member's schema, empty where it is a database",
        "labels": "its labels",
    },
    Cohort: {
        "key": "its short name",
        "members": "who is in it",
        "pending": "migration files to deploy",
        "schema_fingerprint": "hash of the members' schema",
        "server_major": "PostgreSQL's major version",
        "extensions": "extensions with their versions",
        "rehearses": "the member whose copy is rehearsed on",
    },
    CohortRehearsal: {
        "cohort": "the cohort's short name",
        "member": "whose copy it was",
        "mode": "data or schema",
        "steps": "statements run",
        "longest_lock": "the longest time a lock was held",
        "rollback": "the rollback script",
        "rollback_is_proven": "whether it brings the schema back",
        "cannot_bring_back": "what it does not bring back",
        "duration": "how long the rehearsal took",
    },
    MemberOutcome: {
        "member": "the member",
        "outcome": "deployed, failed, set aside, ...",
        "wave": "its wave",
        "cohort": "its cohort's short name",
        "version": "the newest migration applied",
        "duration": "how long it took",
        "lock_wait": "how long its steps waited for locks",
        "run_id": "the run's ID, as its database has it",
        "transaction_id": "the transaction's ID",
        "backup": "the manifest of its backup",
        "error": "why it failed or was set aside",
        "next": "what to do",
    },
    LoadRow: {
        "id": "the statement's ID in the workload file",
        "role": "the role that runs it",
        "kind": "SELECT, INSERT, ...",
        "calls": "how often it ran in the window",
        "calls_per_hour": "the same by the hour",
        "share": "share of the load, 0 to 1",
        "mean": "mean time of a call",
        "max": "longest time of a call",
        "rows": "rows read or written",
        "source": "where it was collected from",
        "text": "the normalised statement",
    },
    WorkloadFinding: {
        "kind": "breaks, result-type, refused or plan",
        "sqlstate": "the error's SQLSTATE",
        "statement": "the normalised statement",
        "role": "the role that runs it",
        "calls": "how often it ran in the window",
        "cause": "the step of the migration that does it",
        "after": "after the migration, or after its rollback",
        "id": "the statement's ID in the workload file",
        "rule": "the rule's name",
        "object": "the object, by which it is accepted",
        "message": "what happens and why",
        "calls_per_hour": "calls by the hour",
        "share": "share of the load, 0 to 1",
        "accepted": "the reason of its acceptance",
    },
}


def frames_page() -> str:
    """Return the reference as Markdown: every result's columns with dtype and meaning."""
    lines = [_HEAD]
    for row, described in DESCRIPTIONS.items():
        kinds = ", ".join(f"`{kind}`" for kind, (_, of) in ROWS.items() if of is row)
        lines += [
            f"## {_TITLES[row]}",
            "",
            f"Results: {kinds}.",
            "",
            "| column | dtype | what it holds |",
            "|---|---|---|",
        ]
        lines += [f"| `{each.name}` | {each.dtype} | {described[each.name]} |" for each in columns_of(row)]
        lines.append("")
    return "\n".join(lines)
