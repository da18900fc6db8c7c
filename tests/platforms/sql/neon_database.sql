ALTER DATABASE {database} OWNER TO neondb_owner;
GRANT ALL ON DATABASE {database} TO neon_superuser;
