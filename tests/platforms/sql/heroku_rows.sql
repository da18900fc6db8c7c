INSERT INTO posts (title) SELECT 'post ' || n FROM generate_series(1, 50) n;
INSERT INTO comments (post, body) SELECT id, 'comment' FROM posts;
