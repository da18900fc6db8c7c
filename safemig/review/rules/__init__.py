"""The rules, a module a family; `safemig.review.registry` collects them."""
