"""Drives a verb: does what it asks for with a client for threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from redis import RedisError, ResponseError
from redis.exceptions import NoScriptError

from coatcheck.errors import CoatcheckError
from coatcheck.redis import connecting, failures
from coatcheck.redis.calls import Ask, Call, Command, Flow, Keep, Many, Pause
from coatcheck.redis.circuit import Circuit

R = TypeVar("R")

CHUNK: Final = 500
"""Calls sent in one piece."""


Keeper = Callable[[Keep], None]


class Driver:
    """A client, and what it takes to run verbs with it."""

    def __init__(self, make: Callable[[], Any], *, owned: bool = True, circuit: Circuit | None = None) -> None:
        """``make``: makes a Redis or RedisCluster of redis-py when it is needed; ``owned``: close it too.

        ``circuit``: shared with others who speak to the same Redis; without one, its own.
        """
        self._make = make
        self.circuit = circuit or Circuit()
        self._owned = owned
        self._client: Any = None
        self._is_cluster = False

    @property
    def client(self) -> Any:
        """The client; a Cluster is asked for its nodes when it is made."""
        client = self._client
        if client is None:
            client = self._make()
            self._is_cluster = connecting.is_cluster(client)
            self._client = client  # of two threads that make one at once, one uses its own a little longer
        return client

    @property
    def is_cluster(self) -> bool:
        """Whether it speaks to a Cluster, whose servers have to be asked one by one."""
        _ = self.client
        return self._is_cluster

    def close(self) -> None:
        """Close the client, if it is ours; the next request makes another."""
        client, self._client = self._client, None
        if client is not None and self._owned:
            client.close()

    def run(self, flow: Flow[R], keep: Keeper | None = None) -> R:
        """Run a verb to its end; what it returns. ``keep``: is told what Redis says of sessions."""
        try:
            request = next(flow)
            while True:
                try:
                    answer = None
                    if not isinstance(request, Keep):
                        answer = self._answer(request)
                    elif keep is not None:
                        keep(request)
                except CoatcheckError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result

    def _answer(self, request: Any) -> Any:
        if isinstance(request, Pause):
            time.sleep(request.seconds)
            return None
        with failures.translated(), self.circuit.guard():
            return self._asked(request)

    def _asked(self, request: Any) -> Any:
        if isinstance(request, Call):
            return self._call(request)
        if isinstance(request, Command):
            return self.client.execute_command(request.name, *request.arguments)
        if isinstance(request, Many):
            return self._many(request)
        assert isinstance(request, Ask)
        return self._ask(request)

    def _call(self, call: Call) -> Any:
        try:
            return self.client.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
        except NoScriptError:
            # The server is new, or has been told to forget: this loads it too. Nothing of the call has been done.
            return self.client.eval(call.script.text, len(call.keys), *call.keys, *call.arguments)

    def _many(self, many: Many) -> list[Any]:
        client = self.client
        if self._is_cluster or len(many.calls) == 1:
            return [self._asked(each) for each in many.calls]
        replies: list[Any] = []
        for start in range(0, len(many.calls), CHUNK):
            replies += self._piped(client, many.calls[start : start + CHUNK])
        return replies

    def _piped(self, client: Any, calls: Any) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for each in calls:
            if isinstance(each, Call):
                pipeline.evalsha(each.script.sha, len(each.keys), *each.keys, *each.arguments)
            else:
                pipeline.execute_command(each.name, *each.arguments)
        replies = pipeline.execute(raise_on_error=False)
        for place, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                replies[place] = self._call(calls[place])
            elif isinstance(reply, RedisError):
                raise reply
        return list(replies)

    def _ask(self, ask: Ask) -> list[Any]:
        client = self.client
        try:
            if self._is_cluster:
                masters = client.get_primaries()
                return [client.execute_command(ask.name, *ask.arguments, target_nodes=each) for each in masters]
            if ask.after is None:
                return [client.execute_command(ask.name, *ask.arguments)]
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command(ask.after.name, *ask.after.arguments)
            pipeline.execute_command(ask.name, *ask.arguments)
            return [(pipeline.execute())[1]]
        except ResponseError:
            return [None]
