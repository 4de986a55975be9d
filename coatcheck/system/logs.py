"""Where the log goes: to stderr, one line a record, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import time
from typing import Any


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, logger, message, and the traceback where there is one."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        values: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:
            values["traceback"] = record.exc_text
        return json.dumps(values, ensure_ascii=False)


class WithoutShutdown(logging.Filter):
    """Leaves out what Thespian says of its own logger at each stop."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is worth telling."""
        return record.msg != "ActorSystem Logging Shutdown"


def definitions(level: str = "INFO", *, as_json: bool = False) -> dict[str, Any]:
    """For ``logging.config.dictConfig``, in the process that starts the system and in the one that logs for actors."""
    formatter: dict[str, Any] = (
        {"()": f"{__name__}.{JsonLines.__name__}"}
        if as_json
        else {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "filters": {"ours": {"()": f"{__name__}.{WithoutShutdown.__name__}"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["ours"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }
