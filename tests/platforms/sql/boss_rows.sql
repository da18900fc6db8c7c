INSERT INTO users (email) SELECT 'user' || n || '@example.com' FROM generate_series(1, 50) n;
INSERT INTO orders (user_id, total) SELECT id, 10 FROM users;
