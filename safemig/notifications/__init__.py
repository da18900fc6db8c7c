"""Tell other programs what an act on a database does: a command's standard input, a webhook, Slack.

Telling never changes an outcome: it happens in threads of its own, with time limits, and a failure is one line.
"""
