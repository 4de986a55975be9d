"""``coatcheck tail``: what happens to sessions, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from coatcheck.admin.events import RINGS, Event, follow, recent
from coatcheck.admin.parameters import HANDLE, USER
from coatcheck.admin.reading.handles import HandleUnknown, is_handle
from coatcheck.admin.tool import Tool, tool_command

_ALL = 200_000


@tool_command("tail")
@click.option(
    "-n", "count", type=click.IntRange(0), default=10, show_default=True, help="Earlier events to begin with."
)
@click.option("--user", type=USER, help="Only of this user.")
@click.option("--session", "handle", type=HANDLE, metavar="HANDLE", help="Only of this session.")
@click.option("--kind", "kinds", multiple=True, help="Only of this kind, such as login; can be repeated.")
@click.option("--by", help="Only what this operator has done.")
@click.option("--ring", "rings", multiple=True, type=click.Choice(list(RINGS)), help="Only of this ring (all).")
@click.option("--no-follow", is_flag=True, help="Only what has happened.")
def command(
    tool: Tool,
    count: int,
    user: str | None,
    handle: str | None,
    kinds: tuple[str, ...],
    by: str | None,
    rings: tuple[str, ...],
    *,
    no_follow: bool,
) -> None:
    """What happens to sessions, as it happens: a line an event, within a fifth of a second, until Ctrl-C.

    With --json each line is an object. Events tell who, when, and which session by its handle; no token, no data.
    """
    if handle is not None and not is_handle(handle):
        raise HandleUnknown(handle)
    chosen = rings or tuple(RINGS)

    def fits(event: Event) -> bool:
        return (
            (user is None or event.principal == user)
            and (handle is None or (bool(event.session) and handle.lower().startswith(event.session)))
            and (not kinds or event.kind in kinds)
            and (by is None or event.by == by)
        )

    with tool.client(lasting=True) as client:
        from coatcheck.admin.reading.rings import store_of

        store = store_of(client)
        begun = recent(store, _ALL, rings=chosen)
        _tell(tool, [each for each in begun.events if fits(each)][-count:] if count else [], lambda _: True)
        if no_follow:
            return
        try:
            for batch in follow(store, begun.position, rings=chosen):
                _tell(tool, batch.events, fits)
        except KeyboardInterrupt:
            return


def _tell(tool: Tool, events: Iterable[Event], fits: Callable[[Event], bool]) -> None:
    for event in events:
        if fits(event):
            if tool.as_json:
                tool.tell_json(event.as_json())
            else:
                click.echo(event.as_text())
