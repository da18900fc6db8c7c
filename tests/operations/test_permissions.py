"""The grants on the page of permissions are enough for each role's verbs, and no more than the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.errors import RefusedError, SafemigError
from tests.operations.conftest import Shop

PAGE = (Path(__file__).parents[2] / "docs/permissions.md").read_text(encoding="utf-8")
GRANTS = dict(re.findall(r'^```sql title="(\w+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))
OWNED = """
ALTER TABLE users OWNER TO app_owner; ALTER TABLE orders OWNER TO app_owner; ALTER VIEW big_orders OWNER TO app_owner;
ALTER SCHEMA public OWNER TO app_owner; ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER SCHEMA safemig OWNER TO safemig_deploy; ALTER SCHEMA supabase_migrations OWNER TO safemig_deploy;
ALTER TABLE safemig.migrations OWNER TO safemig_deploy; ALTER TABLE safemig.deployments OWNER TO safemig_deploy;
ALTER TABLE safemig.steps OWNER TO safemig_deploy; ALTER TABLE supabase_migrations.schema_migrations OWNER TO safemig_deploy;
"""


@pytest.fixture
def granted(shop: Shop) -> Shop:
    """The shop, owned as the page says, with every role that the page creates."""
    database = str(conninfo_to_dict(shop.production)["dbname"])
    shop.on(shop.production, GRANTS["roles"] + OWNED)
    shop.on(shop.production, f'ALTER DATABASE "{database}" OWNER TO app_owner')
    for title in ("planning", "backup", "deploying", "restoring"):
        shop.on(shop.production, re.sub(r"\bDATABASE app\b", f'DATABASE "{database}"', GRANTS[title]))
    settings = shop.folder / "safemig.toml"
    settings.write_text('deploy_as = "app_owner"\n' + (settings.read_text() if settings.is_file() else ""))
    return shop


def test_each_role_can_do_its_verbs_and_the_reading_ones_nothing_more(
    granted: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect_as(role: str) -> None:
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", make_conninfo(granted.production, user=role))

    granted.write("20260102000000_add_note.sql", "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;")
    connect_as("safemig_plan")
    planned = granted.project.plan()
    assert str(granted.project.review().verdict) == "SAFE TO DEPLOY"
    assert granted.project.db_status("production").pending
    with pytest.raises(SafemigError, match=r"app_owner|row security|permission denied"):
        granted.project.rehearse()
    with pytest.raises(RefusedError):
        granted.project.migrate_prod(approve=planned.id)

    connect_as("safemig_backup")
    assert granted.project.backup_prod(verify=False).rows > 1000
    with pytest.raises(RefusedError):
        granted.project.migrate_prod(approve=planned.id)

    connect_as("safemig_deploy")
    assert granted.project.migrate_prod(approve=planned.id).verdict == "DEPLOYED"
    owner = granted.on(granted.production, "SELECT tableowner FROM pg_tables WHERE tablename = 'users'")
    assert owner == [("app_owner",)]
    restored = granted.project.restore_prod()
    assert restored.tables
