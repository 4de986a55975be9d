"""What all web integrations share: how a session is opened for a request, and what its response says about it.

Nothing here knows a framework. An integration finds the tokens of a request (:mod:`coatcheck.web.opening`), through a
cookie or a header (:mod:`coatcheck.web.transport`), and adds to the response what :mod:`coatcheck.web.answer` says.
"""
