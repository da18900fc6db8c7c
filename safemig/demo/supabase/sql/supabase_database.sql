-- What is set on the database itself. Run by supabase_admin.
ALTER DATABASE postgres OWNER TO postgres;
GRANT ALL ON DATABASE postgres TO dashboard_user;
ALTER DATABASE postgres SET "app.settings.jwt_exp" = '3600';
