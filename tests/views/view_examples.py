"""One result of each kind, built by hand: what the views are tried on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from safemig.load_facts import LoadedStep, LoadError, LoadPoint, LoadRun, StatementUnderLoad
from safemig.result import Result
from safemig.results import (
    Access,
    Approval,
    Archive,
    Backup,
    BackupFile,
    BaseFile,
    Behaviour,
    Blocker,
    Check,
    Configuration,
    Deployment,
    Diagnosis,
    DisabledChange,
    Enabled,
    EnvironmentStatus,
    Failure,
    Gap,
    Generated,
    HeldLock,
    Help,
    Initialised,
    Live,
    MigrationState,
    Moved,
    Plan,
    PlannedMigration,
    Preflight,
    RecordEntry,
    Rehearsal,
    RehearsedRights,
    Restored,
    RestoredTable,
    RestoredTables,
    Rights,
    RightsFinding,
    RollbackProof,
    RowChange,
    SettingInForce,
    Stage,
    Status,
    Step,
    TableContent,
    Target,
    Tried,
    Validation,
    VerbGap,
    VerbOutlook,
)
from safemig.review import (
    Acceptance,
    Evidence,
    Finding,
    FixedReview,
    LeftAlone,
    Proof,
    Review,
    ReviewedFile,
    ReviewedStatement,
    Severity,
)
from safemig.review.model import TableLock
from safemig.schema import Change, SchemaDiff, Statement
from safemig.sql import SourceFile
from safemig.sql.locks import LockMode
from safemig.workload_facts import (
    CollectedWorkload,
    LoadRow,
    SeenWindow,
    StatementOutcome,
    WorkloadCheck,
    WorkloadFinding,
)

BEFORE_FIX = "ALTER TABLE users\n  -- first\n  ADD COLUMN a int,\n  ADD COLUMN b int;\n"
AFTER_FIX = BEFORE_FIX.replace("COLUMN", "COLUMN IF NOT EXISTS")


def examples(table: str = "orders", person: str = "dana") -> dict[str, Result]:
    """Return a result of every kind; `table` and `person` may be hostile names."""
    at = datetime(2026, 11, 22, 20, 9, 4, tzinfo=UTC)
    target = Target("production", "db.example.org", "app", "deployer", 170010, "7412")
    file = "20261122200000_add_note.sql"
    planned = (
        Step(1, file, 3, "ALTER TABLE", f"ALTER TABLE {table} ADD COLUMN note text"),
        Step(2, file, 4, "UPDATE", f"UPDATE {table} SET note = ''"),
        Step(
            3, file, 6, "CREATE INDEX", f"CREATE INDEX CONCURRENTLY note_idx\n  ON {table} (note)", transactional=False
        ),
    )
    ran = (
        Step(1, file, 3, "ALTER TABLE", planned[0].sql, True, "ran", 0.05, 1.4, 2, None,
             (HeldLock(table, LockMode.ACCESS_EXCLUSIVE),)),
        Step(2, file, 4, "UPDATE", planned[1].sql, True, "ran", 2.9, 0.0, 1, 12_400_000,
             (HeldLock(table, LockMode.ROW_EXCLUSIVE), HeldLock("users", LockMode.SHARE))),
        Step(3, file, 6, "CREATE INDEX", planned[2].sql, False, "ran", 0.7, 0.2, 1, None, (), ("note_idx",),
             notices=(f"NOTICE: {table} has a toast table (200,000 times)",)),
    )  # fmt: skip
    expected = (
        replace(planned[0], locks=(HeldLock(table, LockMode.ACCESS_EXCLUSIVE, None, 12_400_000, 3 << 30),)),
        *planned[1:],
    )
    broken = (
        ran[0],
        Step(2, file, 4, "UPDATE", planned[1].sql, True, "failed", 1.2, 0.0, 1, error="division by zero"),
        Step(3, file, 6, "CREATE INDEX", planned[2].sql, False, "not run"),
    )
    waiting = (ran[0], Step(2, file, 4, "UPDATE", planned[1].sql, True, "waiting", None, 4.2, 6), planned[2])
    blocker = Blocker(4711, person, "app_rw", "idle in transaction", 184.0, f"SELECT *\nFROM {table}")
    stages = (
        Stage("restore the copy", "done", 9.1, 12_400_000, 12_400_000),
        Stage("compare the copy with the backup", "running", 6.0, 3_100_000, 12_400_000),
    )
    rows = (RowChange(table, 12_400_000, 12_400_000), RowChange("notes", None, 0), RowChange("legacy", 7, None))
    tables = (TableContent(table, 12_400_000, "ab" * 32), TableContent("users", 5_000, "cd" * 32))
    diff = SchemaDiff(
        (
            Change("column", f"public.{table}.note", "add", "text"),
            Change("index", f"public.{table}_old_idx", "remove", ""),
            Change("type", "public.state", "change", "value 'paid' added"),
        ),
        (
            Statement(f"ALTER TABLE {table} ADD COLUMN note text;", None, (table,), False, "", None, True, None, False),
            Statement(
                f"DROP INDEX {table}_old_idx;", None, (), True, "the index is lost", "drop-index", True, None, False
            ),
            Statement("CREATE VIEW v AS SELECT 1;", None, (), False, "", None, True, None, False, "the index is lost"),
        ),
        ("a rule is not modelled",),
        ("column total was dropped and sum added: perhaps renamed",),
    )
    checks = (
        Check("server reachable", "ok", "PostgreSQL 17.10"),
        Check(
            "no long transaction", "failed", f"pid 4711 by {person}, 184 s", "under 60 s", "end it, then start again"
        ),
        Check("disk space", "warning", "12 GiB free", "20 GiB", "free some"),
        Check("replicas", "not done", "there is none"),
    )
    good = (Check("schema is the rehearsed one", "ok", "equal"), Check("rows", "ok", "none lost"))
    backup = Path("backups/production")
    review = Review(
        (
            Finding("drop-table", Severity.DANGEROUS, "A table is dropped with its rows", file, 6, 1,
                    f"DROP TABLE {table}", f"drops table {table} and all of its rows",
                    f"ALTER TABLE {table} RENAME TO old;", LockMode.ACCESS_EXCLUSIVE, True, table, None, "DROP TABLE"),
            Finding("index-not-concurrent", Severity.CAUTION, "An index is built while writes wait", file, 4, 1,
                    f"CREATE INDEX i ON {table} (note)", "writes wait until it is built", "", LockMode.SHARE, False,
                    f"{table}.i", "built at night", "CREATE INDEX"),
            Finding("prefer-text", Severity.RECOMMENDATION, "varchar(n) where text would do", file, 3, 1, "", "use text"),
        ),
        (
            ReviewedFile(file, (
                ReviewedStatement(f"CREATE INDEX i\n  ON {table} (note)", 4, 1, "CREATE INDEX", LockMode.SHARE, (table,),
                                  ("index-not-concurrent",), (TableLock(table, LockMode.SHARE),), True, 12_400_000, 3_328_599_654),
                ReviewedStatement(f"DROP TABLE {table}", 6, 1, "DROP TABLE", LockMode.ACCESS_EXCLUSIVE, (table,),
                                  ("drop-table",), (), True, None, None),
            ), ("set a lock_timeout",)),
        ),
        evidence=Evidence("production"),
        unused_acceptances=(Acceptance("drop-column", "users.fax", "unused since 2020"),),
        assumptions=("PostgreSQL 15 or newer",),
    )  # fmt: skip

    put_back_table = RestoredTable(
        f"public.{table}", f"restored_20261122200904.{table}", 12_400, "c" * 64, ("id",), 1_003, 1_000, 3, 12,
        differing_columns=("total (3)",), triggers_off=("touch", "note"), notes=(f"column {person} was added since",),
    )  # fmt: skip

    def entry(i: int, verdict: str) -> RecordEntry:
        path = Path(f"records/production/2026112{i}T200904Z-production-migrate_prod-{verdict}.ipynb")
        return RecordEntry(path, "production", "migrate_prod", verdict, at + timedelta(days=i), person, "3f2a9c1",
                           (file,), 6.4 + i, "sealed", 0.21 * i)  # fmt: skip

    def deployment(verdict: str, steps: tuple[Step, ...], **more: object) -> Deployment:
        return Deployment("migrate_prod", verdict, "8c1f", target, "3f2a9c1", person, at, at + timedelta(seconds=6.4),
                          (file,), steps, **more)  # type: ignore[arg-type]  # fmt: skip

    legacy = f"SELECT legacy FROM {table} WHERE id = $1"
    workload = WorkloadCheck(
        SeenWindow(at - timedelta(days=9), at, 21_400, 216.0),
        5,
        4,
        {"utility statements": 11},
        (
            WorkloadFinding(
                "breaks",
                "42703",
                legacy,
                person,
                12_400,
                f"{file}, line 3: ALTER TABLE {table} DROP COLUMN legacy",
                "migration",
                "a" * 12,
                "breaks-statement",
                f"{table}.legacy",
                'column "legacy" does not exist',
                57.4,
                0.61,
            ),
            WorkloadFinding(
                "result-type",
                "0A000",
                f"SELECT * FROM {table}",
                "app",
                900,
                "",
                "migration",
                "b" * 12,
                "changes-result-type",
                table,
                "cached plan must not change result type",
                4.2,
                None,
                "the pool is recycled",
            ),
            WorkloadFinding(
                "refused",
                "42501",
                f"DELETE FROM {table}",
                person,
                100,
                "",
                "rollback",
                "c" * 12,
                "refuses-statement",
                table,
                f"permission denied for table {table}",
                0.5,
                0.01,
            ),
        ),
        (
            StatementOutcome(
                "a" * 12, legacy, person, 12_400, 'breaks (42703): column "legacy" does not exist', "works"
            ),
            StatementOutcome("d" * 12, f"UPDATE {table} SET note = $1", "app", 8_000, "works", "works"),
        ),
        21_300,
        "schema first",
        ("new application, before the migration: 2 of 3 statements that only it sends fail",),
        (f"whether the values that 1 statement (8,000 calls) write meet CHECK note_check of {table}",),
    )
    return {
        "base": BaseFile(
            Path("supabase/base.sql"), "refreshed", target, "Supabase", 241, ("pgcrypto", "uuid-ossp"), ("auth", "storage"),
            ("+ CREATE TABLE auth.oauth_clients (id uuid)", "- DROP FUNCTION auth.old()"),
        ),
        "init": Initialised(Path("shop"), ("safemig.toml", "supabase/migrations/"), ("records/",)),
        "generate": Generated(
            f"add note to {table}", Path(f"supabase/migrations/{file}"), diff, f"-- add note\nALTER TABLE {table};\n",
            ((f"DROP INDEX {table}_old_idx;", "the index is lost"),), (checks[0], checks[3]), "proven equal", (),
            (Path("supabase/migrations/20261122200001_add_note_2.sql"),),
            Behaviour(
                (file, "20261122200001_add_note_2.sql"),
                (
                    Tried(f"read view {table}_totals", "", ("works, 3 rows", "relation does not exist (42P01)", "works, 3 rows")),
                    Tried(f"insert into {table}", person, ("works", "works", "works")),
                ),
                (Gap(f"read view {table}_totals", "", 1, 2, "relation does not exist (42P01)"),),
                (Failure("call old_total(integer)", "", "old_total(integer)", 1, "it does not exist (42883)"),),
                (f"update {table}_archive",), (((table, "ACCESS EXCLUSIVE"),), ()), (table,),
                ("ALTER TABLE: NotNullViolation (23502)",), 21, (Moved(2, 2, f"update {table}"),),
            ),
            (DisabledChange(2, f"index {table}_old_idx: dropped", "the index is lost", (f"still has index {table}_old_idx",), (),
                            (f"call upsert(text): no unique index of {table} (42P10)",)),
             DisabledChange(3, f"type of {table}.id", "values may not fit", (), (), (), "type text cannot be cast (42846)")),
        ),
        "generate nothing": Generated("x", None, SchemaDiff((), ()), ""),
        "config": Configuration(
            Path("safemig.toml"),
            (SettingInForce("lock_timeout_ms", "100", "default"), SettingInForce("keep_backups", "5", "safemig.toml"),
             SettingInForce("layout", '""', "default")),
        ),
        "enable": Enabled(3, (Path(f"supabase/migrations/{file}"), Path("supabase/migrations/20261122200001_add_note_part_2.sql"))),
        "preflight": Preflight("production", checks),
        "preflight ready": Preflight("production", (checks[0],)),
        "preflight many checks": Preflight("production", (checks[2], *(replace(checks[0], name=f"check {n}") for n in range(9)))),
        "live": Live("rehearse", stages, (), (), "", 15.1),
        "live waiting": Live("deploy", (), waiting, (blocker,), "", 5.6),
        "plan": Plan("3f2a9c1", target, "ee" * 32, (PlannedMigration("20261122200000", "add_note", file, "ff" * 32),), expected, "app_owner",
            (Access(person, f"public.{table}", "table", "SELECT", "yes", ""), Access(person, f"public.{table}", "table", "INSERT", "columns", "")),
        ),
        "plan rights": Plan("3f2a9c1-8a41c2", target, "ee" * 32, (PlannedMigration("20261122200000", "add_note", file, "ff" * 32),), expected,
            "app_owner", (), RehearsedRights(datetime(2026, 11, 21, 9, 30, tzinfo=UTC), "77aa01f", False, (
                Access(person, f"public.{table}", "table", "SELECT", "yes", "no"),
                Access("PUBLIC", f"public.{table}", "table", "INSERT", "no", "columns"),
            )),
        ),
        "backup": Backup(
            target, "20261122200904", BackupFile(backup / "backup_full_20261122200904.sql", 3_328_599_654, "aa" * 32),
            BackupFile(backup / "backup_schema_20261122200904.sql", 40_960, "bb" * 32),
            backup / "manifest_20261122200904.json", tables, "0/1DCA000", "17.10", 41.2, "restored",
        ),
        "rehearsal": Rehearsal(
            "3f2a9c1", "data", "17.10", ran, diff, "ee" * 32, rows,
            RollbackProof(backup / "rollback_20261122200904.sql", True, (), (f"7 rows of {table}",)), "restored", 12.3,
        ),
        "rehearsal not proven": Rehearsal(
            "3f2a9c1", "schema", "17.10", ran, diff, "ee" * 32, rows,
            RollbackProof(backup / "rollback_20261122200904.sql", False, (f"column {table}.x",), ()), "no", 1.2,
        ),
        "rehearsal rights": Rehearsal(
            "3f2a9c1", "data", "17.10", ran, diff, "ee" * 32, (), None, "restored", 12.3,
            Rights(
                "dba", "app_owner", (person,),
                (
                    Access(person, f"public.{table}", "table", "SELECT", "yes", "yes", "yes", "rows"),
                    Access(person, f"public.{table}", "table", "DELETE", "yes", "no", "yes", ""),
                    Access("PUBLIC", "public.twice(integer)", "function", "EXECUTE", "", "yes"),
                    Access(person, "public.notes", "table", "INSERT", "yes", "columns", "", "no", "permission denied"),
                    Access(person, "public.kept", "table", "SELECT", "yes", "yes", "yes", "yes"),
                ),
                (
                    RightsFinding("owner-differs", f"public.{table}", "table belongs to dba", f"ALTER TABLE {table} OWNER TO x;"),
                    RightsFinding("right-lost", f"public.{table}", f"{person} loses DELETE", "GRANT ...;", "read only now"),
                ),
                (f"{person} becomes a member of app_read",),
            ),
        ),
        "rehearsal workload": Rehearsal(
            "3f2a9c1", "data", "17.10", ran, diff, "ee" * 32, (), None, "restored", 12.3, workload=workload,
        ),
        "rehearsal load": Rehearsal(
            "3f2a9c1", "data", "17.10", ran, diff, "ee" * 32, (), None, "restored", 12.3,
            load=LoadRun(
                50, 40.0, 39.2, 10, 4.0, 6.2, "",
                (
                    StatementUnderLoad("a" * 12, f"SELECT * FROM {table} WHERE id = $1", person, 57, 2, 1.24, 2034.4, 2050.1),
                    StatementUnderLoad("b" * 12, "SELECT 1", "app", 20, 0, 0.4, 3.1, 3.1),
                    StatementUnderLoad("c" * 12, "SELECT 2", "app", 0, 0, None, None, None),
                ),
                (LoadError("0A000", 2, "cached plan must not change result type"), LoadError("40P01", 1, "deadlock detected")),
                (LoadedStep(1, f"ALTER TABLE {table} ALTER total TYPE bigint", 4.1, 6.1, 3, 0.31),),
                3,
                (
                    LoadPoint(0.0, 12, 0, 1.2, 4.0), LoadPoint(3.9, 11, 0, 1.3, 6.0), LoadPoint(4.2, 9, 0, 1.9, 2050.1),
                    LoadPoint(6.0, 9, 2, 1.9, 2050.1), LoadPoint(6.4, 14, 0, 1.2, 5.0),
                ),
                3, (("no call of it was counted", 4),), (f"{person} is not on the copy",),
            ),
        ),
        "rehearsal load stopped": Rehearsal(
            "3f2a9c1", "data", "17.10", ran, diff, "ee" * 32, (), None, "restored", 12.3,
            load=LoadRun(
                100, 40.0, 12.0, 10, 4.0, 9.0, f"could not acquire the lock on {table} after 30 attempts", (), (), (), 31, (), 1,
            ),
        ),
        "workload_check": workload,
        "workload_check fine": replace(workload, findings=(), not_checked=(), order="", order_reasons=()),
        "workload": CollectedWorkload(
            "production", Path("workload/production.jsonl"), workload.window,
            (
                LoadRow("a" * 12, person, "SELECT", 12_400, 57.4, 0.61, 1.25, 44.0, 12_400, "pg_stat_statements",
                        f"SELECT * FROM {table} WHERE id = $1"),
                LoadRow("b" * 12, "app", "INSERT", 0, None, None, 0.0, 0.0, 0, "sql", "INSERT INTO t VALUES ($1)"),
            ),
            ("pg_stat_statements of production",), 2, 3, {"utility statements": 11}, ("seen for 3.0 h only",),
        ),
        "doctor": Diagnosis(
            "production", target, "Supabase", "postgres", "postgres", ("CREATEDB", "BYPASSRLS"), (person,),
            (
                VerbOutlook("review", "works"),
                VerbOutlook("backup_prod", "will not work", f"may not read {table}", (f"GRANT SELECT ON {table} TO postgres;",)),
                VerbOutlook("restore_prod", "limited", "serves no second database"),
                VerbOutlook("sync_prod", "refuses", "the database holds rows"),
            ),
            (
                VerbGap(f"may not read {table}", ("backup_prod",), "will not work", (f"GRANT SELECT ON {table} TO postgres;",)),
                VerbGap("serves no second database", ("restore_prod",), "limited"),
                VerbGap("the database holds rows", ("sync_prod",), "refuses"),
            ),
            ("extension vector: not on this machine's PostgreSQL 17.10",), ("left to the platform: auth, storage",),
        ),
        "doctor unreachable": Diagnosis(
            "production", None, verbs=(VerbOutlook("review", "will not work", "cannot be reached", ("check the host",)),),
            gaps=(VerbGap("cannot be reached", ("review",), "will not work", ("check the host",)),),
            problem="production cannot be reached (connection refused)",
        ),
        "approval": Approval("3f2a9c1", target, person, at, "typed"),
        "deployment": deployment(
            "DEPLOYED", ran, diff=diff, rows=rows, validation=good, backup=backup / "manifest_20261122200904.json",
            rollback=backup / "rollback_20261122200904.sql", rollback_is_proven=True, transaction_id="744",
            commit_lsn="0/1DCA000", recorded_only=("20261101000000_base.sql",), notes=("one statement waited",),
        ),
        "deployment failed": deployment("FAILED", broken),
        "deployment nothing": deployment("NOTHING TO DEPLOY", ()),
        "validation": Validation(target, (*good, checks[1]), rows),
        "restore": Restored(target, backup / "manifest_1.json", "app_restored", "", tables, good, 92.0, False),
        "restore swapped": Restored(target, backup / "manifest_1.json", "app", "app_before", tables, good, 92.0, True),
        "restore tables": RestoredTables(
            "RESTORED BESIDE PRODUCTION", target, backup / "manifest_20261122200904.json", "restored_20261122200904",
            (RestoredTable(f"public.{table}", f"restored_20261122200904.{table}", 12_400, "c" * 64),), good, 1.2,
            f"safemig restore-prod 20261122200904 --tables public.{table} --put-back",
        ),
        "restore compared": RestoredTables(
            "COMPARED", target, backup / "manifest_20261122200904.json", "restored_20261122200904",
            (put_back_table,), good, 1.2,
            f"safemig restore-prod 20261122200904 --tables public.{table} --put-back --approve 3f2a9c1",
            plan_id="3f2a9c1", where="user_id = 42",
        ),
        "restore put back": RestoredTables(
            "PUT BACK", target, backup / "manifest_20261122200904.json", "restored_20261122200904",
            (replace(put_back_table, inserted=1000, updated=3), RestoredTable("public.items", "x", 7, "d" * 64, ("id",), 7, 7, 0, 2)),
            good, 1.2, "safemig restore-prod --drop restored_20261122200904", plan_id="3f2a9c1", update=True,
            run_id="9b1d40c2", transaction_id="744",
            notes=(f"public.payments refers to public.{table} ON DELETE CASCADE: if rows were deleted there, name it in --tables, too",),
        ),
        "status": Status(
            (
                EnvironmentStatus("staging", target, 8_000_000, 12, 200_000, "none"),
                EnvironmentStatus("production", None, problem=f"production cannot be reached: {table}"),
            ),
            (
                MigrationState("20261101000000", "base", "20261101000000_base.sql", {"staging": "applied", "production": "applied"}),
                MigrationState("20261122200000", f"add_{table}", file, {"staging": "applied", "production": "pending"}),
                MigrationState("20261123200000", "by_hand", "", {"staging": "missing", "production": "unknown"}),
            ),
            ("two people applied by hand",),
        ),
        "status fine": Status((EnvironmentStatus("production", target, 8_000_000, 12, 200_000, "none"),), ()),
        "archive": Archive(
            Path("records"), (entry(3, "DEPLOYED"), entry(2, "FAILED"), entry(1, "NOTHING-TO-DEPLOY")),
            ("20261121T200904Z… was edited since it was sealed",), verified=True,
        ),
        "archive empty": Archive(Path("records"), ()),
        "help": Help("", (("The workflow", "1. Change **staging**\n2. `safemig review`"),)),
        "review": review,
        "fixed_review": FixedReview(
            (SourceFile("a.sql", BEFORE_FIX),),
            Review((), (), (SourceFile("a.sql", AFTER_FIX),), (LeftAlone("a.sql", 7, "its safer form would not keep it"),)),
            Review((), (ReviewedFile("a.sql", (ReviewedStatement("SELECT 1", 1, 1, "SELECT", None, ()),)),)),
            (Proof("a.sql", "proven equal", "both ran on PostgreSQL 17.10, on an empty database; their pg_dump is the same"),),
        ),
        "review safe": Review((), (ReviewedFile("a.sql", (ReviewedStatement("SELECT 1", 1, 1, "SELECT", None, ()),)),)),
        "schema_diff": diff,
        "schema_diff equal": SchemaDiff((), ()),
    }  # fmt: skip
