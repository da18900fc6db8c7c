"""Schemas of real applications, as their packages ship them: which files of which package make one.

The packages are unpacked, each in a folder of its name, below the folder that SAFEMIG_REAL_SCHEMAS names
(`.ci/run` does it); nothing of theirs is kept here.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "SAFEMIG_REAL_SCHEMAS"
DEBIAN, PYPI = "debian", "pypi"


@dataclass(frozen=True)
class Application:
    """An application's schema: the files of `package`, loaded in this order after `before`."""

    name: str
    package: str
    files: tuple[str, ...]
    registry: str = DEBIAN
    before: str = ""

    def scripts(self, folder: Path) -> list[str]:
        """Return the SQL of its files. Raises FileNotFoundError where the package does not have one."""
        found = [self.before]
        for pattern in self.files:
            paths = sorted((folder / self.package).glob(pattern))
            if not paths:
                raise FileNotFoundError(folder / self.package / pattern)
            found += [_text(path) for path in paths]
        return found


def _text(path: Path) -> str:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode(errors="replace")


def folder() -> Path | None:
    """Return the folder of unpacked packages, where there is one."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


# The order that its own list of modules gives.
_LEDGERSMB = (
    "Settings", "Util", "App_Module", "Menu", "Entity", "Drafts", "Account", "Session", "Robot", "Business_type",
    "Business_Unit", "Location", "Company", "Customer", "Date", "Employee", "Payment", "Person", "PNL", "trial_balance",
    "Report", "Voucher", "admin", "Reconciliation", "TaxForm", "1099_reports", "EndOfYear", "Assets", "Files", "Parts",
    "COGS", "Inventory", "Payroll", "Goods", "Roles", "Templates", "Timecards", "PriceMatrix", "arap", "Backup",
)  # fmt: skip
_FREERADIUS = "etc/freeradius/3.0/mods-config/sql"

APPLICATIONS = (
    Application("zabbix", "zabbix-server-pgsql", ("usr/share/zabbix-server-pgsql/schema.sql.gz",)),
    Application(
        "icingadb", "icingadb", ("usr/share/icingadb/schema/pgsql/schema.sql",), before="CREATE EXTENSION citext;"
    ),
    Application("icinga2-ido", "icinga2-ido-pgsql", ("usr/share/icinga2-ido-pgsql/schema/pgsql.sql",)),
    Application(
        "ledgersmb",
        "ledgersmb",
        (
            "usr/share/ledgersmb/sql/Pg-database.sql",
            *(f"usr/share/ledgersmb/sql/modules/{name}.sql" for name in _LEDGERSMB),
        ),
        before="CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gist; CREATE EXTENSION tablefunc;",
    ),
    Application("pgq", "postgresql-15-pgq3", ("usr/share/postgresql/15/contrib/pgq_pl_only.sql",)),
    Application(
        "davical",
        "davical",
        (
            "usr/share/davical/dba/davical.sql",
            "usr/share/davical/dba/caldav_functions.sql",
            "usr/share/davical/dba/rrule_functions.sql",
            "usr/share/davical/dba/views/*.sql",
        ),
    ),
    Application("roundcube", "roundcube-core", ("usr/share/roundcube/SQL/postgres.initial.sql",)),
    Application("tt-rss", "tt-rss", ("usr/share/dbconfig-common/data/tt-rss/install/pgsql",)),
    Application(
        "bacula", "bacula-director-pgsql", ("usr/share/dbconfig-common/data/bacula-director-pgsql/install/pgsql",)
    ),
    Application(
        "freeradius",
        "freeradius-config",
        tuple(
            f"{_FREERADIUS}/{part}"
            for part in (
                "main/postgresql/schema.sql",
                "main/postgresql/process-radacct.sql",
                "ippool/postgresql/schema.sql",
                "ippool/postgresql/procedure.sql",
                "cui/postgresql/schema.sql",
                "main/postgresql/extras/cisco_h323_db_schema.sql",
            )
        ),
    ),
    Application(
        "kamailio",
        "kamailio-postgres-modules",
        (
            "usr/share/kamailio/postgres/standard-create.sql",
            "usr/share/kamailio/postgres/[a-r]*-create.sql",
            "usr/share/kamailio/postgres/uid*-create.sql",
        ),
    ),
    Application("ejabberd", "ejabberd", ("usr/share/ejabberd/sql/pg.new.sql",)),
    Application("gammu", "gammu-smsd", ("usr/share/doc/gammu-smsd/examples/pgsql.sql",)),
    Application("request-tracker", "request-tracker5", ("usr/share/request-tracker5/etc/schema.Pg",)),
    Application("powerdns", "pdns-backend-pgsql", ("usr/share/pdns-backend-pgsql/schema/schema.pgsql.sql",)),
    Application("jabberd2", "jabberd2", ("usr/share/doc/jabberd2/db-setup.pgsql.gz",)),
    Application("procrastinate", "procrastinate", ("procrastinate/sql/schema.sql",), registry=PYPI),
)


# davical's tables lean on awl's; the others have migrations worth a review, and no schema that is loaded alone.
_MORE = {"libawl-php", "mediawiki", "postgresql-15-partman"}
_ELSE = ("mysql", "sqlite", "oracle", "mssql", "sybase", "mariadb", "firebird", "informix", "lite.")


def packages(registry: str) -> list[str]:
    """Return the packages of `registry` that are needed."""
    found = {application.package for application in APPLICATIONS if application.registry == registry}
    return sorted(found | (_MORE if registry == DEBIAN else set()))


def scripts(package: Path) -> dict[str, str]:
    """Return each file of SQL for PostgreSQL in an unpacked package, schemas and migrations, by its path.

    Where a package sorts its files by the server, only those for PostgreSQL. A file of more than four million characters is left out: that is a dump of rows (zabbix has one of 32 million).
    """
    found = {}
    for path in sorted(package.rglob("*")):
        name = str(path.relative_to(package))
        is_sql = name.removesuffix(".gz").endswith((".sql", ".Pg", ".pgsql")) or "dbconfig-common/data" in name
        if path.is_file() and is_sql and not any(word in name.lower() for word in _ELSE):
            found[name] = _text(path)
    ours = {name for name in found if "postgres" in name or "pgsql" in name or name.endswith(".Pg")} or set(found)
    return {name: text for name, text in found.items() if name in ours and len(text) <= 4_000_000}
