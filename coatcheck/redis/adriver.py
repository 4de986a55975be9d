"""Drives a verb with a client of ``redis.asyncio``: the twin of :mod:`coatcheck.redis.driver`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis import RedisError, ResponseError
from redis.exceptions import NoScriptError

from coatcheck.errors import CoatcheckError
from coatcheck.redis import connecting, failures
from coatcheck.redis.calls import Ask, Call, Command, Flow, Keep, Many, Pause
from coatcheck.redis.circuit import Circuit
from coatcheck.redis.driver import CHUNK

R = TypeVar("R")


AsyncKeeper = Callable[[Keep], Awaitable[None]]


class AsyncDriver:
    """A client of ``redis.asyncio``, and what it takes to run verbs with it."""

    def __init__(self, make: Callable[[], Any], *, owned: bool = True, circuit: Circuit | None = None) -> None:
        """``make``: makes a client when it is needed; ``owned``: close it too; ``circuit``: see the twin."""
        self._make = make
        self.circuit = circuit or Circuit()
        self._owned = owned
        self._client: Any = None
        self._is_cluster = False
        self._lock = asyncio.Lock()

    async def _ready(self) -> Any:
        """The client; that of a Cluster has asked for the nodes, once, before several coroutines use it."""
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    client = self._make()
                    self._is_cluster = connecting.is_cluster(client)
                    if self._is_cluster:
                        await client.initialize()
                    self._client = client
        return self._client

    async def close(self) -> None:
        """Close the client, if it is ours; the next request makes another."""
        client, self._client = self._client, None
        if client is not None and self._owned:
            await client.aclose()

    async def run(self, flow: Flow[R], keep: AsyncKeeper | None = None) -> R:
        """Run a verb to its end; what it returns. ``keep``: is told what Redis says of sessions."""
        try:
            request = next(flow)
            while True:
                try:
                    answer = None
                    if not isinstance(request, Keep):
                        answer = await self._answer(request)
                    elif keep is not None:
                        await keep(request)
                except CoatcheckError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        finally:
            flow.close()

    async def _answer(self, request: Any) -> Any:
        if isinstance(request, Pause):
            await asyncio.sleep(request.seconds)
            return None
        with failures.translated(), self.circuit.guard():
            return await self._asked(request)

    async def _asked(self, request: Any) -> Any:
        if isinstance(request, Call):
            return await self._call(request)
        if isinstance(request, Command):
            return await (await self._ready()).execute_command(request.name, *request.arguments)
        if isinstance(request, Many):
            return await self._many(request)
        assert isinstance(request, Ask)
        return await self._ask(request)

    async def _call(self, call: Call) -> Any:
        client = await self._ready()
        try:
            return await client.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
        except NoScriptError:
            return await client.eval(call.script.text, len(call.keys), *call.keys, *call.arguments)

    async def _many(self, many: Many) -> list[Any]:
        client = await self._ready()
        if self._is_cluster or len(many.calls) == 1:
            return [await self._asked(each) for each in many.calls]
        replies: list[Any] = []
        for start in range(0, len(many.calls), CHUNK):
            replies += await self._piped(client, many.calls[start : start + CHUNK])
        return replies

    async def _piped(self, client: Any, calls: Any) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for each in calls:
            if isinstance(each, Call):
                pipeline.evalsha(each.script.sha, len(each.keys), *each.keys, *each.arguments)
            else:
                pipeline.execute_command(each.name, *each.arguments)
        replies = await pipeline.execute(raise_on_error=False)
        for place, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                replies[place] = await self._call(calls[place])
            elif isinstance(reply, RedisError):
                raise reply
        return list(replies)

    async def _ask(self, ask: Ask) -> list[Any]:
        client = await self._ready()
        try:
            if self._is_cluster:
                masters = client.get_primaries()
                return [await client.execute_command(ask.name, *ask.arguments, target_nodes=each) for each in masters]
            if ask.after is None:
                return [await client.execute_command(ask.name, *ask.arguments)]
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command(ask.after.name, *ask.after.arguments)
            pipeline.execute_command(ask.name, *ask.arguments)
            return [(await pipeline.execute())[1]]
        except ResponseError:
            return [None]
