"""``coatcheck rotate-secret``: another server secret, without signing anybody out."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.acting import acting_as
from coatcheck.admin import exits, rotation
from coatcheck.admin.reading.words import clock_time
from coatcheck.admin.tool import Failed, Tool, tool_command
from coatcheck.clock import NEVER, SECOND
from coatcheck.store.files import SECRET
from coatcheck.store.lmdb import LmdbStore


@tool_command("rotate-secret")
@click.option("--drop-old", is_flag=True, help="The last step: drop the old secrets, when no live session needs them.")
@click.option("--force", is_flag=True, help="Take the step though a check says no: users may be signed out.")
def command(tool: Tool, *, drop_old: bool, force: bool) -> None:
    """Replace the server's secret in the file of the state directory, without signing anybody out.

    Give it once: a new secret is added, which nobody uses yet. Restart all workers and the actor system, and give it
    again: now the new one is the newest; restart once more. (With everything stopped both are one step.) Give it with
    --drop-old when it says so: at the latest after the longest absolute lifetime. Each step checks that the one before
    has reached every process, and says which have to be restarted. Exit code 6: not yet.
    """
    path = tool.settings.home / SECRET
    rotation.require_file(path, tool.settings.secrets)
    with rotation.held(path), tool.store(any_keys=True) as store, acting_as(tool.by):
        others = tuple(pid for pid in store.vitals().openers)
        known = rotation.read(path)
        if drop_old:
            told = _drop(tool, store, known, others, force=force)
        elif known.mark is not None and known.mark[0] == "next":
            told = _activate(tool, store, known, others, force=force)
        elif known.mark is not None and len(known.roots) > 1:
            told = _waiting(store, known, others)
        else:
            told = _add(tool, store, known, others)
    tool.tell(told, lambda: click.echo(f"{told['did']}\n  -> {told['next']}"))


def _add(tool: Tool, store: LmdbStore, known: rotation.SecretFile, others: tuple[int, ...]) -> dict[str, Any]:
    new = rotation.new_root()
    path = tool.settings.home / SECRET
    if others:
        rotation.write(path, (*known.roots, new), "next")
        did = "a new secret is in the file, and not used yet"
        then = f"restart all workers and the actor system (processes {_list(others)}), then give the command again"
        step = "added"
    else:
        rotation.write(path, (new, *known.roots), "newest")
        did = "nobody has the store open: a new secret is the newest at once"
        then, step = "start everything; later: rotate-secret --drop-old", "newest"
    store.note_action("secret_rotated", step=step)
    return {"step": step, "did": did, "next": then, "secrets": len(known.roots) + 1, "waiting_for": list(others)}


def _activate(
    tool: Tool, store: LmdbStore, known: rotation.SecretFile, others: tuple[int, ...], *, force: bool
) -> dict[str, Any]:
    assert known.mark is not None
    _require_restarted(others, known.mark[1], force=force)
    *rest, new = known.roots
    rotation.write(tool.settings.home / SECRET, (new, *rest), "newest")
    store.note_action("secret_rotated", step="newest")
    return {
        "step": "newest",
        "did": "the new secret is the newest: who starts from now on makes tokens under it",
        "next": "restart all workers and the actor system; later: rotate-secret --drop-old",
        "secrets": len(known.roots),
        "waiting_for": list(others),
    }


def _waiting(store: LmdbStore, known: rotation.SecretFile, others: tuple[int, ...]) -> dict[str, Any]:
    count, ends, running = _needed(store, known, others)
    return {
        "step": "newest",
        "did": f"{count} live sessions may have tokens from before the new secret",
        "next": f"restart processes {_list(tuple(running))} first" if running else _when(count, ends),
        "secrets": len(known.roots),
        "waiting_for": running,
    }


def _drop(
    tool: Tool, store: LmdbStore, known: rotation.SecretFile, others: tuple[int, ...], *, force: bool
) -> dict[str, Any]:
    if known.mark is None or known.mark[0] != "newest" or len(known.roots) < 2:
        msg = "there is no old secret to drop: rotate-secret without --drop-old says which step is next"
        raise Failed(msg, exits.MISCONFIGURED)
    count, ends, running = _needed(store, known, others)
    if running and not force:
        _require_restarted(others, known.mark[1], force=False)
    if count and not force:
        msg = (
            f"{count} live sessions may have tokens from before the new secret: {_when(count, ends)}; --force ends them"
        )
        raise Failed(msg, exits.UNAVAILABLE)
    rotation.write(tool.settings.home / SECRET, known.roots[:1], None)
    store.note_action("secret_rotated", step="dropped")
    return {
        "step": "dropped",
        "did": f"{len(known.roots) - 1} old secrets are gone from the file",
        "next": "restart all workers and the actor system: until then they go on with what they have read",
        "secrets": 1,
        "waiting_for": list(others),
    }


def _needed(store: LmdbStore, known: rotation.SecretFile, others: tuple[int, ...]) -> tuple[int, int, list[int]]:
    """Live sessions whose token may be from before; the end of the last one; processes that may still make such."""
    assert known.mark is not None
    running = rotation.older_than(others, known.mark[1])
    starts = [start for start in map(rotation.began, others) if start is not None]
    count, ends = store.tokens_before(round(max(known.mark[1], *starts) * SECOND) if starts else _since(known))
    return count, ends, running


def _since(known: rotation.SecretFile) -> int:
    assert known.mark is not None
    return round(known.mark[1] * SECOND)


def _require_restarted(others: tuple[int, ...], moment: float, *, force: bool) -> None:
    running = rotation.older_than(others, moment)
    if running and not force:
        msg = (
            f"processes {_list(tuple(running))} have run since before the last step, and may not know it: restart them"
        )
        raise Failed(msg, exits.UNAVAILABLE)


def _when(count: int, ends: int) -> str:
    if not count:
        return "the old secrets can go: rotate-secret --drop-old"
    if ends == NEVER:
        return "some of them have no absolute limit: end them, or let their users sign in anew"
    return f"the last of them ends by {clock_time(ends)} UTC at the latest: then rotate-secret --drop-old"


def _list(pids: tuple[int, ...]) -> str:
    return ", ".join(map(str, pids))
