"""One process that adopts a session out of files: ``python -m tests.adopt.process_job HOME FILES ID [dies]``."""

from __future__ import annotations

import os
import signal
import sys

from cachelib import FileSystemCache

from coatcheck.adopt import Adopter, FlaskSessionCachelib
from coatcheck.client import connect


class Mortal(FlaskSessionCachelib):
    """Dies at the moment between the two stores."""

    def remove(self, legacy_id: str) -> bool:
        """Killed before anything is removed."""
        os.kill(os.getpid(), signal.SIGKILL)
        return super().remove(legacy_id)


def main(home: str, files: str, legacy_id: str, *dies: str) -> None:
    """Adopt, and say under which token; wait for a line first, so that all begin together."""
    kind = Mortal if dies else FlaskSessionCachelib
    source = kind(FileSystemCache(files, threshold=0), allow_pickle=True)
    with connect(home) as client:
        origin = Adopter([source]).origin_of(client, f"session={legacy_id}")
        assert origin is not None
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        session = client.open_from(origin)
        session.increment("visits")
        sys.stdout.write(f"{session.commit()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
