"""Routes of the curating grid: pictures that wait, and what is decided of each.

``GET /kiln/curate?name=`` tells what was decided, ``GET /kiln/curate/picture?sha=`` shows one,
``POST /kiln/curate/decide`` decides.
"""

from __future__ import annotations

from aiohttp import web

from ..core.errors import ConfigError
from ..dataset.curate import DECISIONS, decide
from ..dataset.text import MAX_CAPTION_BYTES
from .curating import SHA256, candidate_of, curated_folder, decided, stem_of
from .paths import PathError, forget_listed_folders
from .routes_guard import Handler, guarded, in_thread, json_body, text_of
from .routes_review import small_picture


def curate_routes() -> list[tuple[str, str, Handler]]:
    """Method, path and handler of each."""
    return [
        ("GET", "/kiln/curate", guarded(_decided)),
        ("GET", "/kiln/curate/picture", guarded(_picture, link=True)),
        ("POST", "/kiln/curate/decide", guarded(_decide)),
    ]


async def _decided(request: web.Request) -> web.Response:
    root = await in_thread(curated_folder, request.query.get("name", ""))
    return web.json_response(await in_thread(decided, root))


async def _picture(request: web.Request) -> web.Response:
    path = await in_thread(candidate_of, request.query.get("sha", ""))
    if not await in_thread(path.is_file):
        raise PathError("The picture is not kept any more", expected="one of the latest run",
                        remedy="Queue the graph again")
    return await small_picture(path, request)


async def _decide(request: web.Request) -> web.Response:
    body = await json_body(request)
    root = await in_thread(curated_folder, text_of(body, "name"))
    sha = text_of(body, "sha")
    decision, caption = text_of(body, "decision"), text_of(body, "caption", optional=True)
    if decision not in DECISIONS or not SHA256.fullmatch(sha):
        raise ConfigError(f"The decision is {decision!r}", expected="accepted, rejected or none",
                          remedy="Reload the page")
    if len(caption.encode("utf-8")) > MAX_CAPTION_BYTES:
        raise ConfigError("The caption is larger than 1 MiB", expected="a caption",
                          remedy="Shorten it")
    made = await in_thread(
        decide, root, sha, decision, candidate=await in_thread(candidate_of, sha),
        stem=stem_of(text_of(body, "label", optional=True)), caption=caption,
    )
    forget_listed_folders()
    return web.json_response({"decision": made.decision, "file": made.file})
