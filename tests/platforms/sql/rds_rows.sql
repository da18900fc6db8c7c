INSERT INTO app.customers (email, place) SELECT 'customer' || n || '@example.com', st_makepoint(n, n) FROM generate_series(1, 50) n;
INSERT INTO billing.invoices (customer, total) SELECT id, 10 FROM app.customers;
