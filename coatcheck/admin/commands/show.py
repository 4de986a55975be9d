"""``coatcheck show HANDLE``: what a session is, its life, and why it ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from coatcheck.acting import acting_as
from coatcheck.admin.parameters import HANDLE
from coatcheck.admin.reading.plain import plain
from coatcheck.admin.reading.rings import store_of
from coatcheck.admin.reading.rows import session_row, story_row
from coatcheck.admin.reading.story import Story, sid_of, tell
from coatcheck.admin.reading.words import clock_time, device, duration, size
from coatcheck.admin.tool import Tool, tool_command

if TYPE_CHECKING:
    from coatcheck.store.record import Record


@tool_command("show")
@click.argument("handle", type=HANDLE)
@click.option("--reveal", is_flag=True, help="The values of its data and the texts of its flashes, too; audited.")
def command(tool: Tool, handle: str, *, reveal: bool) -> None:
    """One session: what it is, what happened to it, and why it ended, if it has.

    HANDLE is the first 8 or more hex digits of its sid, as lists show them. Its data is shown by the names of its keys;
    the values only with --reveal.
    """
    with tool.client() as client:
        sid = sid_of(client, handle)
        record = store_of(client).session(sid)
        if reveal and record is not None:
            with acting_as(tool.by):
                store_of(client).note_action("data_viewed", sid=sid, principal=record.principal)
        story = tell(client, sid, live=None if record is None else record.info())
        values = story_row(story)
        if record is not None and story.live is not None:
            values["session"] = session_row(story.live)
            values["session"].update(_about(record), data=_data(record, reveal=reveal))
            values["session"]["flashes"] = _flashes(record) if reveal else len(record.flashes)
    tool.tell(values, lambda: _show(story, record, values))


def _about(record: Record) -> dict[str, Any]:
    lifetimes = record.lifetimes
    return {
        "version": record.version,
        "idle": lifetimes.idle,
        "absolute": lifetimes.absolute,
        "touch_interval": lifetimes.touch_interval,
    }


def _data(record: Record, *, reveal: bool) -> Any:
    return plain(record.data) if reveal else sorted(record.data)


def _flashes(record: Record) -> list[dict[str, Any]]:
    return [{"level": each.level, "title": each.title, "message": each.message} for each in record.flashes]


def _show(story: Story, record: Record | None, values: dict[str, Any]) -> None:
    from coatcheck.admin.rendering import console, facts, table

    to = console()
    rows: list[tuple[str, object]] = [("sid", story.sid)]
    live, told = story.live, values.get("session")
    if live is not None and record is not None and told is not None:
        rows += [
            ("user", live.principal or "nobody"),
            ("device", device(live.meta) or "not known"),
            ("created", f"{clock_time(live.created_at)} UTC"),
            ("last seen", f"{clock_time(live.last_seen_at)} UTC"),
            ("ends", f"{clock_time(live.expires_at)} UTC, if it is not used"),
            ("in any case", f"{clock_time(record.absolute_expires_at)} UTC"),
            ("lifetimes", f"idle {duration(told['idle'])}, absolute {duration(told['absolute'])}"),
            ("data", f"{size(live.size)}, changed {record.version - 1} times"),
        ]
    rows.append(("state", story.why))
    to.print(facts(rows))
    if told is not None:
        _show_data(told)
    if story.steps:
        to.print()
        steps = [(clock_time(step.at), step.words, _detail(step.detail)) for step in story.steps]
        to.print(table(("WHEN (UTC)", "WHAT HAPPENED", "DETAIL"), steps))


def _show_data(told: dict[str, Any]) -> None:
    from coatcheck.admin.rendering import console, facts

    data, flashes = told["data"], told["flashes"]
    if isinstance(data, dict):
        console().print(facts([(f"  {key}", _value(value)) for key, value in data.items()]))
        console().print(facts([("flashes", _value(flashes))]))
    else:
        console().print(facts([("keys", ", ".join(data) or "none"), ("flashes", f"{flashes} wait to be shown")]))


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _detail(detail: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items())
