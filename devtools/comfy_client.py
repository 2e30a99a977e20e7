"""A small blocking client of ComfyUI's HTTP and websocket interface."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .comfy_events import Event, EventStream

_FINAL_EVENTS = ("execution_error", "execution_interrupted")
_QUIET_S = 2.0
# Never through a proxy: the server is on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PromptFailed(Exception):
    """ComfyUI refused a prompt, failed in it, or was interrupted.

    Attributes:
        kind: ``validation``, ``execution``, ``interrupted`` or ``timeout``.
        details: what the server said, as it said it.
    """

    def __init__(self, kind: str, text: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.details = dict(details or {})


class ServerGone(ConnectionError):
    """The server ended, or closed the connection."""


def describe_refusal(answer: Mapping[str, Any]) -> str:
    """The text of a prompt's validation error: every node's, in words."""
    error = answer.get("error", {})
    if not isinstance(error, Mapping):
        error = {"message": error}
    lines = [f"ComfyUI refused the prompt: {error.get('message', 'no reason given')}"]
    if error.get("details"):
        lines.append(f"  {error['details']}")
    for node_id, node in (answer.get("node_errors") or {}).items():
        for item in node.get("errors", []):
            where = f"node {node_id} ({node.get('class_type', '?')})"
            lines.append(f"  {where}: {item.get('message')}: {item.get('details')}")
    return "\n".join(lines)


def describe_failure(data: Mapping[str, Any]) -> str:
    """The text of an ``execution_error`` event, with the end of its traceback."""
    trace = "".join(data.get("traceback") or [])[-4000:]
    return (
        f"Node {data.get('node_id')} ({data.get('node_type')}) failed with "
        f"{data.get('exception_type')}: {data.get('exception_message')}\n{trace}"
    )


class ComfyClient:
    """One client of a server.

    Args:
        url: base address of the server.

    Attributes:
        client_id: what the server knows this client by.
        events: events of the latest ``run``, previews without their pictures.
        previews: number of preview pictures in the latest ``run``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.client_id = uuid.uuid4().hex
        self.events: list[Event] = []
        self.previews = 0

    def request(
        self, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> bytes:
        """GET, or POST where there is a body; ``urllib.error.HTTPError`` on a refusal."""
        headers = {} if body is None else {"Content-Type": content_type}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        with _opener.open(request, timeout=120) as answer:
            data: bytes = answer.read()
        return data

    def get(self, path: str) -> Any:
        """GET a JSON document."""
        return json.loads(self.request(path))

    def post(self, path: str, value: Any = None) -> bytes:
        """POST a value as JSON; the answer may be empty."""
        return self.request(path, json.dumps({} if value is None else value).encode())

    def system_stats(self) -> dict[str, Any]:
        """Versions, devices and memory."""
        return dict(self.get("/system_stats"))

    def object_info(self, node_id: str | None = None) -> dict[str, Any]:
        """Every node's interface, or one node's."""
        return dict(self.get("/object_info" + (f"/{node_id}" if node_id else "")))

    def history(self, prompt_id: str) -> dict[str, Any]:
        """What became of a finished prompt; empty while it waits or runs."""
        return dict(self.get(f"/history/{prompt_id}").get(prompt_id, {}))

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """A file that the server serves, as an output's ``filename, subfolder, type`` name it."""
        query = {"filename": filename, "subfolder": subfolder, "type": type}
        return self.request("/view?" + urllib.parse.urlencode(query))

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop what runs, or only the named prompt."""
        self.post("/interrupt", {"prompt_id": prompt_id} if prompt_id else {})

    def free(self) -> None:
        """Have the server forget cached results and unload models."""
        self.post("/free", {"unload_models": True, "free_memory": True})

    def upload(self, file: Path, subfolder: str = "", type: str = "input") -> dict[str, Any]:
        """Upload a picture; returns ``name``, ``subfolder`` and ``type``."""
        boundary = uuid.uuid4().hex
        fields = {"subfolder": subfolder, "type": type, "overwrite": "true"}
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="{file.name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        body = "".join(parts).encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        answer = self.request("/upload/image", body, f"multipart/form-data; boundary={boundary}")
        return dict(json.loads(answer))

    def submit(self, prompt: Mapping[str, Any], extra_data: Mapping[str, Any] | None = None) -> str:
        """Queue a prompt in API form and return its id.

        Raises:
            PromptFailed: the server refused it.
        """
        body = {"prompt": prompt, "client_id": self.client_id, "extra_data": extra_data or {}}
        try:
            answer = json.loads(self.request("/prompt", json.dumps(body).encode()))
        except urllib.error.HTTPError as error:
            details = json.loads(error.read() or b"{}")
            raise PromptFailed("validation", describe_refusal(details), details) from None
        if answer.get("node_errors"):
            # One broken output: the server has queued the others. That is not what was asked for.
            self.post("/queue", {"delete": [answer["prompt_id"]]})
            self.interrupt(answer["prompt_id"])
            raise PromptFailed("validation", describe_refusal(answer), answer)
        return str(answer["prompt_id"])

    def run(
        self,
        prompt: Mapping[str, Any],
        *,
        on_event: Callable[[Event], None] | None = None,
        timeout_s: float = 600.0,
        extra_data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Queue a prompt, wait for its end, and return its history entry (``outputs``, ``status``).

        Args:
            prompt: the graph in API form.
            on_event: called in this thread with each event, also with ``preview`` events.
            timeout_s: longest time to wait.
            extra_data: what the front end would send beside the prompt.

        Raises:
            PromptFailed: refused, failed, interrupted or too slow.
            ServerGone: the server ended.
        """
        self.events, self.previews = [], 0
        with EventStream(self.url, self.client_id) as stream:
            prompt_id = self.submit(prompt, extra_data)
            deadline = time.monotonic() + timeout_s
            failure: Event | None = None
            while True:
                event = stream.next(_QUIET_S)
                if event is None:
                    # Events can be lost with a connection; the history is the truth.
                    if self.history(prompt_id):
                        break
                else:
                    self._note(event, on_event)
                    data = event.get("data") or {}
                    if event["type"] == "closed":
                        raise ServerGone(f"{self.url} is gone in prompt {prompt_id}: {data}")
                    if data.get("prompt_id") == prompt_id:
                        if event["type"] in _FINAL_EVENTS:
                            failure = event
                        if event["type"] == "executing" and data.get("node") is None:
                            break
                if time.monotonic() > deadline:
                    text = f"Prompt {prompt_id} did not end within {timeout_s:g} s."
                    raise PromptFailed("timeout", text)
        return self._result(prompt_id, failure)

    def _note(self, event: Event, on_event: Callable[[Event], None] | None) -> None:
        if event["type"] == "preview":
            self.previews += 1
            plain = {key: value for key, value in event["data"].items() if key != "image"}
            self.events.append({"type": "preview", "data": plain})
        else:
            self.events.append(event)
        if on_event is not None:
            on_event(event)

    def _result(self, prompt_id: str, failure: Event | None) -> dict[str, Any]:
        entry = self.history(prompt_id)
        if failure is None:
            for kind, data in entry.get("status", {}).get("messages", []):
                if kind in _FINAL_EVENTS:
                    failure = {"type": kind, "data": data}
        if failure is None:
            return entry
        if failure["type"] == "execution_interrupted":
            text = f"Prompt {prompt_id} was interrupted."
            raise PromptFailed("interrupted", text, failure["data"])
        raise PromptFailed("execution", describe_failure(failure["data"]), failure["data"])
