"""Many databases, or many schemas of one: who they are, where each of them stands, and one change to all of them.

Nothing is kept of where a member stands: every act asks the members' own histories. So workers, scheduler and runner
may be killed at any time, and who comes after them asks again.
"""
