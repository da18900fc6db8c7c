"""The review's picture, from a database that holds data: how long whom the work under a lock may keep waiting."""

from __future__ import annotations

from tests.operations.conftest import Shop

FILE = "20260102000000_index.sql"


def test_a_review_with_a_target_draws_what_may_be_blocked(shop: Shop) -> None:
    shop.write(FILE, "CREATE INDEX orders_total ON orders (total);")
    assert "Blocking per table" not in shop.project.review().render("html"), "a table of a thousand rows"
    shop.on(
        shop.production, "INSERT INTO orders (user_id, total) SELECT 1, n FROM generate_series(1, 120000) n; ANALYZE"
    )
    review = shop.project.review()
    assert "Blocking per table: orders longest, writes wait ≈ 0." in review.render("html")
    assert "Guessed from sizes, at 50.0 MiB a second" in review.render("text")
