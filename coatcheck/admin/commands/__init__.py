"""The commands of ``coatcheck``, one a module; ``program.py`` has the table."""
