"""Read the rarer kinds, and name those that are not modelled."""

from __future__ import annotations

from safemig.postgres.catalog.snapshot import Snapshot

UNMODELLED = """
SELECT 'publication ' || pubname FROM pg_publication
UNION ALL SELECT 'foreign-data wrapper ' || fdwname FROM pg_foreign_data_wrapper
UNION ALL SELECT 'server ' || srvname FROM pg_foreign_server
UNION ALL SELECT 'user mapping on ' || srvname FROM pg_user_mappings
UNION ALL SELECT 'statistics ' || stxname FROM pg_statistic_ext
UNION ALL SELECT 'collation ' || collname FROM pg_collation WHERE oid >= 16384
UNION ALL SELECT 'conversion ' || conname FROM pg_conversion WHERE oid >= 16384
UNION ALL SELECT 'cast ' || castsource::regtype || ' to ' || casttarget::regtype FROM pg_cast WHERE oid >= 16384
UNION ALL SELECT 'operator ' || oid::regoperator FROM pg_operator WHERE oid >= 16384
UNION ALL SELECT 'operator class ' || opcname FROM pg_opclass WHERE oid >= 16384
UNION ALL SELECT 'operator family ' || opfname FROM pg_opfamily WHERE oid >= 16384
UNION ALL SELECT 'text search parser ' || prsname FROM pg_ts_parser WHERE oid >= 16384
UNION ALL SELECT 'text search dictionary ' || dictname FROM pg_ts_dict WHERE oid >= 16384
UNION ALL SELECT 'text search template ' || tmplname FROM pg_ts_template WHERE oid >= 16384
UNION ALL SELECT 'text search configuration ' || cfgname FROM pg_ts_config WHERE oid >= 16384
UNION ALL SELECT 'language ' || lanname FROM pg_language WHERE oid >= 16384
UNION ALL SELECT 'access method ' || amname FROM pg_am WHERE oid >= 16384
UNION ALL SELECT 'transform for ' || trftype::regtype FROM pg_transform WHERE oid >= 16384
"""


def read_others(snapshot: Snapshot) -> None:
    """Name what is found of the kinds that are not modelled."""
    for (words,) in snapshot.rows(UNMODELLED):
        snapshot.unmodelled.append(words)
