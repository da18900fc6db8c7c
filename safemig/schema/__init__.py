"""The schema as facts: model, comparison, order, rendering. Pure."""
