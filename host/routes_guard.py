"""What every request of the browser goes through: whose page it is from, and how errors are told.

ComfyUI refuses requests that a browser marks as cross-site, and those whose Origin is not the
Host where the host is a loopback address (0.24.0 and 0.30.0 alike). That leaves open: servers
reached over plain http by another name, where browsers send no mark; pages of another port or
sub-domain; and everything once it runs with ``--enable-cors-header``, which takes that check
away. So whoever reads data or writes must send a header of ours. A form or an image of a foreign
page cannot send one, and a script of it may not without ComfyUI's consent, which ComfyUI does not
give for this header, with or without that option.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from ..core.errors import KilnError
from ..dataset.review import Conflict
from .paths import PathError

HEADER = "X-Kiln"
MOST_JSON_BYTES = 2**21
_FOREIGN = ("cross-site", "same-site")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


def guarded(handler: Handler, *, link: bool = False) -> Handler:
    """Wrap a handler: foreign pages are refused, and errors become JSON.

    Args:
        handler: may raise any ``KilnError``.
        link: whether it is for a picture or a download, which a browser fetches without our
            header. Such a handler must change nothing.
    """

    async def checked(request: web.Request) -> web.StreamResponse:
        site = request.headers.get("Sec-Fetch-Site", "")
        if site in _FOREIGN or not (link or request.headers.get(HEADER)):
            return _refusal(403, "The request is not from ComfyUI's own page",
                            f"the header {HEADER}, from the page that this server sent",
                            "Reload the page")
        try:
            return await handler(request)
        except Conflict as error:
            return told(error, 409, now=error.now)
        except PathError as error:
            return told(error, 404)
        except KilnError as error:
            return told(error, 400)
        except ConnectionError:
            raise  # The page was closed: nobody is there to be told.
        except OSError as error:
            return _refusal(507, f"The disk refuses: {error.strerror or error}",
                            "a disk with free space that ComfyUI may write to",
                            "Free some space, and look at the folder's permissions")

    return checked


def told(error: KilnError, status: int, **more: Any) -> web.Response:
    """An error as JSON, in the three parts that it was made of and as a text."""
    parts = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
    return web.json_response({"error": {**parts, "text": str(error)}, **more}, status=status)


async def json_body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        KilnError: it is none, or larger than 2 MiB.
    """
    data = bytearray()
    async for block in request.content.iter_chunked(2**16):
        data += block
        if len(data) > MOST_JSON_BYTES:
            raise _malformed("larger than 2 MiB")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed("not JSON") from error
    if not isinstance(body, dict):
        raise _malformed("not an object")
    return body


def text_of(body: Any, name: str, *, optional: bool = False) -> str:
    """A text among the values of a request.

    Raises:
        KilnError: it is not there, or no text that can be stored.
    """
    value = body.get(name)
    if value is None and optional:
        return ""
    if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
        raise _malformed(f"without a text '{name}'")
    return value


def number_of(body: Any, name: str) -> int:
    """A whole number, not below 0, among the values of a request.

    Raises:
        KilnError: it is not there, or something else.
    """
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise _malformed(f"without a number '{name}'")
    return value


async def in_thread(work: Callable[..., T], *given: Any, **named: Any) -> T:
    """Do what waits for a disk beside the server's loop, which serves everybody."""
    return await asyncio.get_running_loop().run_in_executor(None, partial(work, *given, **named))


def _malformed(what: str) -> KilnError:
    return KilnError(f"The request is {what}", expected="what ComfyUI's page with this version "
                     "of LoRA Kiln sends", remedy="Reload the page")


def _refusal(status: int, found: str, expected: str, remedy: str) -> web.Response:
    return told(KilnError(found, expected=expected, remedy=remedy), status)
