"""The same small site in each framework: what ``python -m benchmarks http`` asks.

``/start?n=5`` puts the data of session number 5 into a new session, ``/read`` answers with one key of it, ``/write``
changes one. The environment says who keeps the sessions:
``SITE_SIDE``, ``SITE_HOME``, ``SITE_REDIS`` (a port), ``SITE_SIZE``.
"""
