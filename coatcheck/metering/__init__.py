"""Counters of all processes of a state directory: counted as plain integers, put together once a second.

``board.py`` is the folder in which every process has a file, ``meter.py`` what a process does to keep its own up to
date. :func:`read` adds them all up.
"""

from coatcheck.metering.board import Process, Tally, read
from coatcheck.metering.meter import Meter, Source, meter_of

__all__ = ["Meter", "Process", "Source", "Tally", "meter_of", "read"]
