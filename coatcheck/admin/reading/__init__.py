"""What an administrator wants to know, read once for all tools: no token, no session data unless it is asked for.

Nothing here needs the extra: ``flask coatcheck`` and ``manage.py coatcheck`` read by it too.
"""
