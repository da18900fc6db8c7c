"""A Supabase project in small: what the platform brings before the first migration, by its own SQL, and an application.

The tests build their Supabase from the same files (tests/platforms/boxes.py). The extensions are stand-ins, with the
objects that migrations meet and nothing that runs.
"""
