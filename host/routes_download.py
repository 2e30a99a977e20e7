"""Routes that give a dataset or a run as one zip archive, made while it is sent.

``GET /kiln/download/dataset?folder=input/my_pictures`` and
``GET /kiln/download/run?run=my_style-001&checkpoints=1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import folder_paths
from aiohttp import web

from ..core.zip_stream import Entry, zip_blocks
from ..dataset.intake_names import why_left_out
from ..dataset.scan import listed_files
from ..lora_format.published import versions
from ..trainer.runs import RUN_FILE
from .paths import PathError, check_run_name, contained, resolve_folder, runs_folder
from .routes_guard import Handler, guarded, in_thread


def download_routes() -> list[tuple[str, str, Handler]]:
    """Method, path and handler of each."""
    return [
        ("GET", "/kiln/download/dataset", guarded(_dataset, link=True)),
        ("GET", "/kiln/download/run", guarded(_run, link=True)),
    ]


async def _dataset(request: web.Request) -> web.StreamResponse:
    name = request.query.get("folder", "")
    root = await in_thread(resolve_folder, name)
    return await _send(request, await in_thread(dataset_entries, root), root.name)


async def _run(request: web.Request) -> web.StreamResponse:
    name = check_run_name(request.query.get("run", ""))
    checkpoints = request.query.get("checkpoints") == "1"
    return await _send(request, await in_thread(run_entries, name, checkpoints=checkpoints), name)


def dataset_entries(root: Path) -> list[Entry]:
    """A dataset's files: pictures, masks, captions and metadata.

    What was rejected, and the journal of changes, stay where they are.
    """
    paths = listed_files(root)
    names = [path.relative_to(root).as_posix() for path in paths]
    top = root.name or "dataset"
    return [
        Entry(f"{top}/{name}", path)
        for name, path in zip(names, paths, strict=True)
        if path.is_file() and why_left_out(name) is None
    ]


def run_entries(name: str, *, checkpoints: bool) -> list[Entry]:
    """A run's files and its published LoRAs.

    Args:
        name: the run's folder below ``output/kiln``.
        checkpoints: also what training needs to go on from each checkpoint.

    Raises:
        PathError: there is no such run.
    """
    folder = contained(runs_folder(), name)
    if not (folder / RUN_FILE).is_file():
        raise PathError(f"There is no run {name!r}", expected="a folder of output/kiln with a "
                        f"{RUN_FILE}", remedy="Run Train LoRA first")
    entries = [
        Entry(f"{name}/{path.relative_to(folder).as_posix()}", path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
        and (checkpoints or path.relative_to(folder).parts[0] != "checkpoints")
    ]
    return entries + [Entry(f"{name}/loras/{label}", path) for label, path in _loras(name)]


def _loras(run: str) -> Iterator[tuple[str, Path]]:
    """Published files: the finished LoRA in all its versions, and one of each checkpoint."""
    for root in map(Path, folder_paths.get_folder_paths("loras")):
        folder = root / "kiln"
        for path in versions(folder / f"{run}.safetensors"):
            if not path.is_file():
                break
            yield path.name, path
        for path in sorted((folder / run).glob("*.safetensors")):
            yield f"{run}/{path.name}", path


async def _send(request: web.Request, entries: list[Entry], name: str) -> web.StreamResponse:
    answer = web.StreamResponse(headers={
        "Content-Type": "application/zip", "Cache-Control": "no-store",
        "Content-Disposition": _attachment(f"{PurePosixPath(name).name}.zip"),
    })  # fmt: skip
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer  # Nobody reads what follows, and it may be gigabytes.
    blocks = zip_blocks(entries)
    try:
        while (block := await in_thread(next, blocks, None)) is not None:
            if block:
                await answer.write(block)
    except OSError as error:
        # The head is sent: all that is left is to end without the end, which the browser tells.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(str(error)) from error
    await answer.write_eof()
    return answer


def _attachment(name: str) -> str:
    """RFC 6266: a plain name for old programs, the real one for all others."""
    plain = "".join(char if (char.isascii() and char.isalnum()) or char in "-_." else "_"
                    for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
