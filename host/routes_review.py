"""Routes of the review grid: what there is, small pictures, and decisions.

``GET /kiln/review/<id>`` lists; ``GET /kiln/picture`` shows; ``POST /kiln/review/caption``,
``…/accept``, ``…/reject`` and ``…/undo`` change one picture each.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from ..core.errors import ConfigError
from ..dataset.items import MAX_FILE_BYTES
from ..dataset.review import (
    accept,
    reject,
    rejected_picture,
    require_picture,
    save_caption,
    take_back,
)
from ..dataset.text import MAX_CAPTION_BYTES
from .paths import DEMO_STYLE, dataset_file, resolve_folder
from .review_page import extensions_of, read_review
from .routes_guard import Handler, guarded, in_thread, json_body, text_of
from .thumbnails import MAKERS, SIZES_PX, kept_thumbnail, thumbnail

FOR_EVER = "private, max-age=31536000, immutable"
"""Addresses of small pictures carry the time of the file that they show."""


def review_routes() -> list[tuple[str, str, Handler]]:
    """Method, path and handler of each."""
    return [
        ("GET", "/kiln/review/{id:[0-9a-f]{64}}", guarded(_list)),
        ("GET", "/kiln/picture", guarded(_picture, link=True)),
        ("POST", "/kiln/review/caption", guarded(_caption)),
        ("POST", "/kiln/review/accept", guarded(_accept)),
        ("POST", "/kiln/review/reject", guarded(_reject)),
        ("POST", "/kiln/review/undo", guarded(_undo)),
    ]


async def _list(request: web.Request) -> web.Response:
    # Of ten thousand pictures also the writing as JSON takes its time.
    text = await in_thread(lambda key: json.dumps(read_review(key)), request.match_info["id"])
    return web.Response(text=text, content_type="application/json")


async def _picture(request: web.Request) -> web.Response:
    query = request.query
    path = await in_thread(_picture_file, query.get("folder", ""), query.get("file", ""))
    return await small_picture(path, request)


def _picture_file(folder: str, name: str) -> Path:
    root = resolve_folder(folder)
    path = dataset_file(root, name)
    return path if path.is_file() else rejected_picture(root, name) or require_picture(root, name)


async def small_picture(path: Path, request: web.Request) -> web.Response:
    """A picture in the size that the request asks for."""
    asked = request.query.get("size", "")
    size = int(asked) if asked.isdecimal() and len(asked) < 6 else SIZES_PX[0]
    size = min(SIZES_PX, key=lambda own: abs(own - size))
    data = await in_thread(kept_thumbnail, path, path.name, size)
    if data is None:
        # In threads of their own: sixty that wait for their turn must not fill those that the
        # whole server shares.
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(MAKERS, thumbnail, path, path.name, size)
    return web.Response(body=data, content_type="image/webp", headers={
        "Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff",
    })  # fmt: skip


async def _caption(request: web.Request) -> web.Response:
    body = await json_body(request)
    root, file = await in_thread(_named, body)
    text = text_of(body, "text")
    if len(text.encode("utf-8")) > min(MAX_CAPTION_BYTES, MAX_FILE_BYTES):
        raise ConfigError("The caption is larger than 1 MiB", expected="a caption",
                          remedy="Shorten it")
    seen = text_of(body, "seen") if body.get("seen") is not None else None
    extensions = await in_thread(extensions_of, text_of(body, "review"), text_of(body, "folder"))
    made = await in_thread(save_caption, root, file, text, seen=seen, extensions=extensions)
    return _changed(made)


async def _accept(request: web.Request) -> web.Response:
    body = await json_body(request)
    root, file = await in_thread(_named, body)
    caption = text_of(body, "caption", optional=True) or None
    await in_thread(accept, root, file, caption, accepted=body.get("accepted") is not False)
    return web.json_response({})


async def _reject(request: web.Request) -> web.Response:
    root, file = await in_thread(_named, await json_body(request))
    return _changed(await in_thread(reject, root, file))


async def _undo(request: web.Request) -> web.Response:
    body = await json_body(request)
    root = await in_thread(_writable, text_of(body, "folder"))
    return _changed(await in_thread(take_back, root, text_of(body, "change")))


def _named(body: dict[str, Any]) -> tuple[Path, str]:
    """The folder and the picture in it that a request is about."""
    root, file = _writable(text_of(body, "folder")), text_of(body, "file")
    dataset_file(root, file)
    return root, file


def _writable(folder: str) -> Path:
    if folder == DEMO_STYLE:
        raise ConfigError("The demo's pictures came with the pack and are not changed",
                          expected="a folder of your own",
                          remedy="Download it as a zip, and upload that as a dataset")
    return resolve_folder(folder)


def _changed(made: Any) -> web.Response:
    return web.json_response({"change": made.id, "reason": made.reason})
