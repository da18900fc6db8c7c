INSERT INTO users (email) SELECT 'user' || n || '@example.com' FROM generate_series(1, 50) n;
