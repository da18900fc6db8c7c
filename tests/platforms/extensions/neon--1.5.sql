CREATE FUNCTION pg_cluster_size() RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint $$;
CREATE VIEW neon_lfc_stats AS SELECT 'file_cache_misses'::text AS lfc_key, 0::bigint AS lfc_value;
