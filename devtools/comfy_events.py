"""The events that ComfyUI sends over its websocket, as a blocking stream."""

from __future__ import annotations

import asyncio
import json
import queue
import struct
import threading
from types import TracebackType
from typing import Any

import aiohttp

Event = dict[str, Any]
_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4


class EventStream:
    """The websocket of one client, read in a thread of its own.

    A thread, because callers may have an event loop running already (Playwright does).

    Args:
        url: base address of the server.
        client_id: the server sends a prompt's events to the client that queued it.
    """

    def __init__(self, url: str, client_id: str) -> None:
        self._address = f"{url}/ws?clientId={client_id}"
        self._events: queue.Queue[Event] = queue.Queue()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="comfy-events", daemon=True)

    def __enter__(self) -> EventStream:
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def next(self, timeout_s: float) -> Event | None:
        """The next event, or None when none came in time; ``closed`` is the last one."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _listen(self) -> None:
        try:
            asyncio.run(self._read())
        except (aiohttp.ClientError, OSError) as error:
            self._events.put({"type": "closed", "data": {"reason": str(error)}})
        else:
            self._events.put({"type": "closed", "data": {"reason": "the server closed it"}})
        finally:
            self._ready.set()

    async def _read(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._address, max_msg_size=0) as socket,
        ):
            self._ready.set()
            while not self._stop.is_set():
                try:
                    message = await socket.receive(timeout=0.2)
                except asyncio.TimeoutError:  # In Python 3.10 not the builtin one.
                    continue
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._events.put(json.loads(message.data))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._events.put(decode_binary(message.data))
                else:
                    return


def decode_binary(data: bytes) -> Event:
    """Turn a binary message into an event: type ``preview`` (``data["image"]``) or ``binary``."""
    (code,) = struct.unpack(">I", data[:4])
    if code == _PREVIEW:
        return {"type": "preview", "data": {"image": data[8:]}}
    if code == _PREVIEW_WITH_METADATA:
        (length,) = struct.unpack(">I", data[4:8])
        metadata = json.loads(data[8 : 8 + length])
        return {"type": "preview", "data": {**metadata, "image": data[8 + length :]}}
    return {"type": "binary", "data": {"code": code, "bytes": data[4:]}}
