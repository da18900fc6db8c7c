"""deploy_help: the commands, the workflow, the safety checklist, the emergency procedures."""

from __future__ import annotations

from dataclasses import dataclass

from safemig.errors import SettingsError
from safemig.operations.settings_reference import settings_page
from safemig.results import Help
from safemig.review.reference import reference_page


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb by all of its names. `runbook` and `magic` are "" where it has none; `npm` is the former npm script."""

    method: str
    magic: str
    command: str
    does: str
    runbook: str = ""
    npm: str = ""


# The one table of verbs: the help prints it, and the tests of the CLI, the magics and the runbooks check against it.
VERBS = (
    Verb("init", "", "init", "write safemig.toml and the folders; never overwrites"),
    Verb("", "", "demo", "the whole workflow on a throwaway local PostgreSQL"),
    Verb(
        "generate",
        'migration_generate "add user preferences table"',
        'generate "add user preferences table"',
        "write what was changed on staging as a migration file",
        "generate",
        "migration:generate",
    ),
    Verb(
        "review",
        "migration_review",
        "review [FILE...]",
        "findings and a verdict on the pending migrations",
        "review",
        "migration:review",
    ),
    Verb("plan", "", "plan", "what would be deployed, and the ID that approves it"),
    Verb(
        "rehearse",
        "rehearse",
        "rehearse",
        "the pending migrations on a copy of production: locks, times, a proven rollback",
        "rehearse",
    ),
    Verb(
        "backup_prod",
        "backup_prod",
        "backup-prod",
        "full and schema backup of one snapshot, proven by restoring it",
        "backup_prod",
    ),
    Verb(
        "migrate_staging",
        "migrate_staging",
        "migrate-staging",
        "apply the pending migrations to staging",
        "migrate_staging",
        "migrate:staging",
    ),
    Verb(
        "migrate_prod",
        "migrate_prod",
        "migrate-prod",
        "the safe deployment to production",
        "migrate_prod",
        "migrate:production:safe",
    ),
    Verb(
        "rollback_prod",
        "rollback_prod",
        "rollback-prod [SCRIPT]",
        "roll a deployment back by its script",
        "rollback_prod",
    ),
    Verb(
        "restore_prod",
        "restore_prod",
        "restore-prod [BACKUP]",
        "restore a backup beside production; --swap puts it in; --tables ... --put-back brings deleted rows back",
        "restore_prod",
    ),
    Verb(
        "sync_prod",
        "sync_prod",
        "sync-prod",
        "give an EMPTY production the schema of staging",
        "sync_prod",
        "sync:staging-to-prod:enhanced",
    ),
    Verb(
        "baseline_prod",
        "baseline_prod",
        "baseline-prod",
        "record migrations that were applied by hand, once proven",
        "baseline_prod",
    ),
    Verb("base", "base", "base", "write or refresh what the platform provides before the first migration"),
    Verb(
        "db_status", "db_status", "status", "both databases and every migration, side by side", "db_status", "db:status"
    ),
    Verb("doctor", "doctor", "doctor [TARGET]", "which verbs will work, and the command for each gap", "doctor"),
    Verb("workload", "workload", "workload", "collect the application's statements, which rehearsals try", "workload"),
    Verb(
        "schema_diff",
        "schema_diff production staging",
        "diff --from URL --to URL",
        "the DDL that turns one schema into the other",
        "schema_diff",
    ),
    Verb("fleet_status", "fleet_status", "fleet status", "every member of a fleet: version, pending, drift"),
    Verb(
        "fleet_plan", "fleet_plan", "fleet plan", "what a deployment to a fleet would do, and the ID that approves it"
    ),
    Verb(
        "fleet_migrate", "fleet_migrate", "fleet migrate", "the safe deployment to a fleet, in waves", "fleet_migrate"
    ),
    Verb("fleet_rollback", "fleet_rollback", "fleet rollback PLAN", "roll a fleet's deployment back", "fleet_rollback"),
    Verb("fleet_backup", "fleet_backup", "fleet backup", "a backup of every member, read back", "fleet_backup"),
    Verb("deployments", "deployments", "records", "the archive of records; --verify checks its seals", "deployments"),
    Verb("config", "", "config", "every setting in force; --schema for editors"),
    Verb("deploy_help", "deploy_help", "help [TOPIC]", "this help", npm="deploy:help"),
)

_WORKFLOW = """\
1. Change **staging**, then generate the migration: `safemig generate "add user preferences table"`.
2. Read the file; enable a disabled change only when you mean it: `safemig generate --enable N`. `safemig review` must say SAFE TO DEPLOY.
3. `safemig rehearse`: the same on a copy of production, with its locks and times, and a proven rollback.
4. `safemig migrate-prod`: pre-flight, review, backup, rehearsal, **your approval**, one transaction, validation.
5. `safemig status`, and commit the migration. The record is in `records/production/`."""

_CHECKLIST = """\
Before:
- [ ] the migration is in version control, and another person has read it
- [ ] `safemig review` says SAFE TO DEPLOY, and every accepted finding has a reason that you would sign
- [ ] `safemig rehearse` ran on data, and its longest lock is one that your users can wait for
- [ ] the application works with the schema before **and** after (add first, remove in a later deployment)
- [ ] no other deployment runs, and no long transaction is open (pre-flight looks)

Done for you, each time: a backup that was restored once and compared; a rollback script that ran on the copy;
a lock timeout, so that other sessions do not queue behind the deployment; one transaction; the schema compared with the
rehearsed one before COMMIT.

After:
- [ ] the validation is all OK, and the application reports no new errors
- [ ] the person on call knows the name of the rollback script"""

_EMERGENCY = """\
**First: what is the state?** `safemig status` shows what is applied where. Exit codes of the last command:
1 nothing was changed; 3 failed and rolled back, nothing was changed; 4 stopped part-way, the message has the command that
resumes; 5 outcome unknown, the message says how to find out.

**A. A deployment was interrupted** (connection lost, machine gone, job cancelled).
Run `safemig status`. The transaction was committed as a whole or not at all. If the migration is not applied, run `safemig migrate-prod`
again; if it is, there is nothing more to do. A record named RUNNING, INCOMPLETE or UNKNOWN is a crash report, not a sign
that something was applied; `safemig records --settle`, like the next run, asks the database and adds the outcome to it.
If some statements cannot run in a transaction, a part of the deployment may be applied. Then the message, `safemig status` and
the pre-flight name the command that resumes exactly this deployment and runs nothing twice:
```
safemig migrate-prod --resume ID
```

**B. The deployment is applied, and the application fails.** Roll the schema back:
```
safemig rollback-prod
```
It runs the latest `backups/production/rollback_[timestamp].sql`, which ran on a copy before the deployment, and first runs
it on a fresh copy again. Rows of tables and columns that existed before stay; data in new ones is lost. A column that the
deployment dropped comes back empty: for its data see C and D.

**C. Rows were deleted or overwritten.** Bring back only these, in the same database, while the application runs:
```
safemig restore-prod --tables public.orders,public.items                # into the schema restored_[timestamp], to look at
safemig restore-prod --tables public.orders,public.items --put-back     # compares by primary key, and prints the plan ID
safemig restore-prod --tables public.orders,public.items --put-back --approve ID
safemig restore-prod --tables public.orders --put-back --where "user_id = 42"
safemig restore-prod --drop restored_[timestamp]                        # later
```
It inserts the rows that production lacks, parents before children, in one transaction, and compares again before COMMIT.
Triggers do not fire, foreign keys are checked, sequences are raised. What was written since the backup stays. `--update`
also overwrites rows that differ (their present content is kept in the schema). To use an earlier backup, give its timestamp. Also name
the tables that lost rows by ON DELETE CASCADE; the comparison lists them.

**D. More is lost or wrong.** Restore beside production, look, then swap; the former database is kept. The restored one lacks
what was written since the backup. The role needs CREATEDB; without it, and on Supabase or Heroku, everything is restored into
a schema of production, and `--tables all --put-back` brings back what is missing:
```
safemig restore-prod
safemig restore-prod --swap
safemig restore-prod --drop [former database]     # later, when you are sure that nothing is missing
```

**E. safemig itself cannot run.** With `psql` alone, over the damaged database:
```
psql "$PRODUCTION_DATABASE_URL" -1 -v ON_ERROR_STOP=1 -f backups/production/backup_full_[timestamp].sql
# on a platform (Supabase, RDS, Neon, Heroku) backup_team_[timestamp].sql instead, which also restores into a new project
# a file that ends in .zst (.gz: gzip); test it first, for a truncated file would be committed as far as it goes:
zstd -t backup_full_[timestamp].sql.zst &&
  zstd -dc backup_full_[timestamp].sql.zst | psql "$PRODUCTION_DATABASE_URL" -1 -v ON_ERROR_STOP=1 -f -
# a folder, in pg_dump's directory format (it changes nothing and stops if newer objects depend on what it replaces):
pg_restore -1 --clean --if-exists -d "$PRODUCTION_DATABASE_URL" backups/production/backup_full_[timestamp]
# if it stops: restore beside the damaged database, which is kept as [database]_former; use its ENCODING and locale
psql "$PRODUCTION_DATABASE_URL" -c 'CREATE DATABASE "[database]_restored" TEMPLATE template0'
pg_restore -1 -d "[the same URL, to [database]_restored]" backups/production/backup_full_[timestamp]
psql "[the same URL, to postgres]" -1 -v ON_ERROR_STOP=1 \\
  -c 'ALTER DATABASE "[database]" RENAME TO "[database]_former"' -c 'ALTER DATABASE "[database]_restored" RENAME TO "[database]"'
# settings and grants of the database itself are in backup_cluster_[timestamp].sql
```
WARNING: the full backup was made with `--clean --if-exists`. It replaces everything that it holds, so **everything written
since the backup is lost**; tables created since then stay. It is one transaction: an error leaves the database as it was.
Stop the application first, and prefer C or D, which keep what is there.

**Never** run `backup_schema_[timestamp].sql` over a database with data. It is for reading and comparing: it has no
`--clean`, so it fails on the first object that exists. To roll a schema back, use B."""

# The last two are shown only when they are asked for: they are long.
TOPICS = ("commands", "workflow", "checklist", "emergency", "npm", "settings", "rules")


def deploy_help(topic: str = "") -> Help:
    """Return the help, or one topic: commands, workflow, checklist, emergency, npm, settings, rules.

    Raises:
        SettingsError: there is no such topic.
    """
    sections = {
        "workflow": ("The workflow", _WORKFLOW),
        "commands": ("The commands", _commands()),
        "checklist": ("The safety checklist", _CHECKLIST),
        "emergency": ("Emergency procedures", _EMERGENCY),
        "npm": ("Coming from the npm scripts", _npm()),
    }
    wanted = topic.strip().lower()
    if wanted in ("settings", "rules"):
        title, _, page = (settings_page() if wanted == "settings" else reference_page()).partition("\n")
        return Help(wanted, ((title.removeprefix("# "), page.strip()),))
    if wanted and wanted not in sections:
        raise SettingsError(f"there is no help on {topic!r}", next=f"topics: {', '.join(TOPICS)}")
    return Help(wanted, (sections[wanted],) if wanted else tuple(sections.values()))


def _commands() -> str:
    rows = [(f"safemig {verb.command}", f"%{verb.magic}" if verb.magic else "", verb.does) for verb in VERBS]
    return _table(("command", "in a notebook", "does"), rows)


def _npm() -> str:
    rows = [(f"npm run {verb.npm}", f"safemig {verb.command}", f"%{verb.magic}") for verb in VERBS if verb.npm]
    return _table(("npm script", "command", "in a notebook"), rows)


def _table(columns: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> str:
    """Return a Markdown table whose columns also line up as plain text."""
    cells = [columns, *((*(f"`{each}`" if each and i < 2 else each for i, each in enumerate(row)),) for row in rows)]
    if columns[0] == "npm script":
        cells = [columns, *(tuple(f"`{each}`" for each in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
