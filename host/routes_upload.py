"""Routes that bring a folder or an archive of pictures into ComfyUI's input folder.

``POST /kiln/upload`` begins; ``POST /kiln/upload/<id>/parcel`` brings files, or parts of them, any
number of times; ``POST /kiln/upload/<id>/commit`` gives the dataset its name, and is asked again
while an archive is still unpacked; ``DELETE /kiln/upload/<id>`` forgets it all.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web

from ..core.errors import DatasetError, KilnError
from ..dataset.intake import ARCHIVE, Intake, Limits, Published, begin, sweep_broken
from ..dataset.intake_names import TAKEN
from ..dataset.items import MAX_FILE_BYTES
from .paths import check_run_name, contained, forget_listed_folders
from .routes_guard import Handler, guarded, in_thread, json_body, number_of, text_of

UPLOADS = "kiln"
"""Below the input folder: where uploaded datasets stand."""
MOST_AT_ONCE = 64
PARCEL_BYTES = 2**23
"""What the page sends at once: small enough for every proxy between."""
MOST_PARCEL_BYTES, MOST_LISTING_BYTES = 2**26, 2**20
COMMIT_WAIT_S = 10.0
_intakes: dict[str, Intake] = {}
_commits: dict[str, asyncio.Task[Published]] = {}


def upload_routes() -> list[tuple[str, str, Handler]]:
    """Method, path and handler of each."""
    one = "/kiln/upload/{id:[0-9a-f]{32}}"
    return [
        ("POST", "/kiln/upload", guarded(_begin)),
        ("POST", f"{one}/parcel", guarded(_parcel)),
        ("POST", f"{one}/commit", guarded(_commit)),
        ("DELETE", one, guarded(_cancel)),
    ]


def uploads_folder() -> Path:
    """Where uploaded datasets stand: ``input/kiln``."""
    return Path(folder_paths.get_input_directory()) / UPLOADS


async def _begin(request: web.Request) -> web.Response:
    body = await json_body(request)
    name = check_run_name(text_of(body, "name"))
    await in_thread(sweep_broken, uploads_folder())
    _forget_gone()
    if _under_way() >= MOST_AT_ONCE:
        raise DatasetError(f"{MOST_AT_ONCE} uploads are under way", expected="fewer at once",
                           remedy="Wait until one has ended")
    intake = await in_thread(
        begin, uploads_folder(), name, zipped=body.get("zip") is True,
        total_bytes=number_of(body, "bytes"), resolve=contained,
    )
    _intakes[intake.id] = intake
    return web.json_response({
        "id": intake.id, "parcel_bytes": PARCEL_BYTES, "archive": ARCHIVE,
        "file_bytes": MAX_FILE_BYTES, "files": Limits().files, "endings": sorted(TAKEN),
    })  # fmt: skip


async def _parcel(request: web.Request) -> web.Response:
    """``?listing=`` says how many bytes of JSON come first, then come the files' bytes.

    The JSON is ``[{"path", "offset", "size", "length"}, …]`` in the order of the bytes.
    """
    intake = _intake(request)
    if (request.content_length or 0) > MOST_PARCEL_BYTES:
        raise _broken("too large")
    for row in await _listing(request):
        path = text_of(row, "path")
        offset, size, length = (number_of(row, key) for key in ("offset", "size", "length"))
        if length > min(size - offset, MOST_PARCEL_BYTES):
            raise _broken("longer than its file")
        await _receive(request.content, intake, path, offset, size, length)
    if not request.content.at_eof() and await request.content.readany():
        raise _broken("longer than it says")
    return web.json_response({})


async def _receive(
    stream: asyncio.StreamReader | Any, intake: Intake, path: str, offset: int, size: int,
    length: int,
) -> None:
    part = intake.part(path, offset, size)
    file = await in_thread(part.__enter__)
    try:
        while length:
            block = await stream.read(min(length, 2**18))
            if not block:
                raise _broken("shorter than it says")
            length -= len(block)
            await in_thread(file.write, block)
    except BaseException as error:
        # Also when the page was closed in the middle.
        await asyncio.shield(in_thread(part.__exit__, type(error), error, error.__traceback__))
        raise
    await in_thread(part.__exit__, None, None, None)


async def _commit(request: web.Request) -> web.Response:
    intake, body = _intake(request), await json_body(request)
    task = _commits.get(intake.id)
    if task is None or (task.done() and task.exception()):
        task = asyncio.ensure_future(in_thread(intake.publish, number_of(body, "files")))
        _commits[intake.id] = task
    done, _ = await asyncio.wait({task}, timeout=COMMIT_WAIT_S)
    if not done:
        return web.json_response({"unpacked": intake.done[0], "of": intake.done[1]}, status=202)
    published = await task
    forget_listed_folders()
    return web.json_response({
        "folder": f"input/{UPLOADS}/{published.name}", "wanted": intake.name,
        "name": published.name, "files": published.files, "pictures": published.pictures,
        "left_out": published.left_out,
    })  # fmt: skip


async def _cancel(request: web.Request) -> web.Response:
    intake = _intake(request)
    task = _commits.get(intake.id)
    if task is not None and not task.done():
        intake.cancelled = True  # Stops between two files, and forgets them.
    elif task is None or task.exception():
        _intakes.pop(intake.id)
        _commits.pop(intake.id, None)
        await in_thread(intake.abandon)
    return web.json_response({})


def _intake(request: web.Request) -> Intake:
    found = _intakes.get(request.match_info["id"])
    if found is None:
        raise DatasetError("This upload is not known any more", expected="one that goes on",
                           remedy="Upload again: ComfyUI was restarted, or an hour has passed")
    return found


def _under_way() -> int:
    """Uploads that still collect files: whose page was closed are swept away, and do not count."""
    return sum(i.folder.is_dir() for key, i in _intakes.items() if key not in _commits)


def _forget_gone() -> None:
    """Of an upload that was published or swept away, only the answers of the last are kept."""
    gone = [key for key, intake in _intakes.items() if not intake.folder.is_dir()]
    for key in gone[:-MOST_AT_ONCE]:
        _intakes.pop(key)
        _commits.pop(key, None)


async def _listing(request: web.Request) -> list[dict[str, Any]]:
    count = request.query.get("listing", "")
    if not count.isascii() or not count.isdecimal() or len(count) > 7:
        raise _broken("without a list of its files")
    if int(count) > MOST_LISTING_BYTES:
        raise _broken("with a list of its files that is too long")
    try:
        rows = json.loads(await request.content.readexactly(int(count)))
    except (ValueError, RecursionError, asyncio.IncompleteReadError) as error:
        raise _broken("without a list of its files") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _broken("without a list of its files")
    return rows


def _broken(what: str) -> KilnError:
    return KilnError(f"A part of the upload is {what}", expected="what the page sends",
                     remedy="Try again; reload the page if it goes on")
