"""The one place where a name in a graph becomes a path.

Graphs come from other people, and can be sent to the server by any web page that is open: every
name is relative to a registered root, and what it resolves to must lie inside that root.
"""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from pathlib import Path

import folder_paths

from ..core.errors import ConfigError, KilnError
from ..dataset.own_files import contained_file

DEMO_STYLE = "demo/style"
DEMO_FOLDER = Path(__file__).resolve().parent.parent / "demo" / "style"
OUTPUT = "output"
DATASET_ROOT_KEY = "kiln_datasets"
PICTURE_SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif",
)
LISTED_SUFFIXES = (*PICTURE_SUFFIXES, ".toml")
LONGEST_PART_BYTES, LONGEST_NAME_BYTES = 255, 1024
LONGEST_RUN_NAME_BYTES = 200
"""Leaves room for a number and a suffix in a file name."""
LISTED_FOR_S = 10.0
MOST_LISTED, DEEPEST_LISTED = 500, 3
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_RUN_NAME = re.compile(r"[\w][\w .\-]{0,79}", re.UNICODE)


class PathError(KilnError):
    """A name does not lead to a place the pack may use."""


def check_run_name(name: str) -> str:
    """A run name is a file name, never a path; returns it without outer spaces.

    Raises:
        ConfigError: it could lead elsewhere, or some system could not store it.
    """
    trimmed = name.strip()
    bad = (
        len(trimmed.encode("utf-8", "replace")) > LONGEST_RUN_NAME_BYTES
        or not _RUN_NAME.fullmatch(trimmed)
        or _RESERVED.fullmatch(trimmed)
        or trimmed.endswith(".")
        or ".." in trimmed
    )
    if bad:
        raise ConfigError(
            f"The run name is {name!r}",
            expected="up to 80 letters (about 60 of Chinese or Japanese), digits, spaces, dots, "
            "dashes and underscores, beginning with a letter or digit and without / or \\",
            remedy="Choose a plain name such as my_style",
        )
    return trimmed


def contained(root: Path, relative: str) -> Path:
    """The path of a relative name, which must stay inside its root, links followed.

    Raises:
        PathError: it would lead outside, or no system could store it.
    """
    parts = relative.replace("\\", "/").split("/")
    real_root = os.path.realpath(root)
    plain = is_plain(relative)
    target = os.path.realpath(os.path.join(real_root, *parts)) if plain else ""
    if not plain or os.path.commonpath([real_root, target]) != real_root:
        raise PathError(
            f"The name {relative!r} leads out of its folder",
            expected="a plain name below the input, output or models folder",
            remedy="Move the files there, or register their folder as kiln_datasets in "
            "extra_model_paths.yaml",
        )
    return Path(target)


def is_plain(relative: str) -> bool:
    """Whether a name only goes downwards, and every system could store it."""
    parts = relative.replace("\\", "/").split("/")
    return not (
        "\0" in relative
        # Halves of a character: JSON can carry them, a file system cannot.
        or any("\ud800" <= char <= "\udfff" for char in relative)
        or len(relative.encode("utf-8", "replace")) > LONGEST_NAME_BYTES
        or relative.startswith(("/", "\\", "~"))
        or re.match(r"[A-Za-z]:", relative) is not None
        # To Windows a hidden stream of the file a: written, and in no folder to be seen.
        or (os.name == "nt" and ":" in relative)
        or ".." in parts
        or any(len(part.encode("utf-8", "replace")) > LONGEST_PART_BYTES for part in parts)
        or any(_RESERVED.fullmatch(part.strip()) for part in parts if part)
        or any(part != part.rstrip(" .") for part in parts if part not in ("", "."))
    )


def dataset_roots() -> dict[str, list[Path]]:
    """Folders in which datasets may lie, by the first word of their name."""
    roots = {
        "input": [Path(folder_paths.get_input_directory())],
        OUTPUT: [Path(folder_paths.get_output_directory())],
    }
    registered = folder_paths.folder_names_and_paths.get(DATASET_ROOT_KEY)
    if registered:
        roots[DATASET_ROOT_KEY] = [Path(path) for path in registered[0]]
    return roots


def resolve_folder(name: str) -> Path:
    """The folder of a dataset name such as ``input/my_pictures``.

    Raises:
        PathError: unknown root, outside of it, or no such folder.
    """
    if name == DEMO_STYLE:
        return DEMO_FOLDER
    first, _, rest = name.replace("\\", "/").partition("/")
    roots = dataset_roots().get(first)
    if roots is None:
        raise PathError(
            f"The dataset folder is {name!r}",
            expected=f"a name that begins with one of: {', '.join(dataset_roots())}",
            remedy="Put the pictures into a folder below ComfyUI's input folder and choose "
            "input/<folder>",
        )
    for root in roots:
        path = contained(root, rest)
        if path.is_dir():
            return path
    raise PathError(
        f"There is no folder {name!r}",
        expected="an existing folder with pictures",
        remedy="Check the spelling, or refresh the node list after adding a folder",
    )


def list_dataset_folders() -> list[str]:
    """Names of folders that hold pictures, the demo's first.

    The host asks for a node's inputs several times per prompt: the answer is kept for seconds.
    """
    roots = {key: tuple(paths) for key, paths in dataset_roots().items()}
    period = int(time.monotonic() / LISTED_FOR_S)
    return list(_list_dataset_folders(tuple(roots.items()), period))


def forget_listed_folders() -> None:
    """Have the next list show a folder that was made just now."""
    _list_dataset_folders.cache_clear()


def dataset_file(folder: Path, relative: str) -> Path:
    """The path of a file of a dataset, as a request of the browser names it.

    The file itself may be a link: the owner put it into the folder, and training follows it, too.

    Raises:
        KilnError: it leads out of the folder, or into the journal of its changes.
    """
    if not is_plain(relative):
        contained(folder, relative)  # Says why.
    return contained_file(folder, relative)


@lru_cache(maxsize=1)
def _list_dataset_folders(
    roots: tuple[tuple[str, tuple[Path, ...]], ...], period: int
) -> tuple[str, ...]:
    del period  # Part of the key alone.
    names: list[str] = []
    for key, paths in roots:
        for root in paths:
            names += _folders_with_pictures(key, root)
    return (DEMO_STYLE, *sorted(dict.fromkeys(names))[:MOST_LISTED])


def in_dataset_roots(path: Path) -> bool:
    """Whether a path, links followed, lies where datasets may lie."""
    real = os.path.realpath(path)
    roots = [DEMO_FOLDER, *(root for group in dataset_roots().values() for root in group)]
    for root in map(os.path.realpath, roots):
        try:
            if os.path.commonpath([root, real]) == root:
                return True
        except ValueError:  # On another drive.
            continue
    return False


def _folders_with_pictures(key: str, root: Path) -> list[str]:
    """Folders with pictures or a dataset config in them, and the folders that hold such folders.

    Of kohya's ``mine/img/10_ohwx woman`` all three can be chosen. Not below the output folder,
    where programs make folders in folders and people keep no datasets of several.
    """
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        relative = Path(folder).relative_to(root)
        depth = len(relative.parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if (
            depth < DEEPEST_LISTED
        ) else []
        if depth and any(file.lower().endswith(LISTED_SUFFIXES) for file in files):
            above = [p for p in relative.parents if p.parts and key != OUTPUT]
            names = [f"{key}/{parent.as_posix()}" for parent in (*above, relative)]
            found += [name for name in names if name not in found]
        if len(found) >= MOST_LISTED:
            break
    return found


def new_dataset_folder(name: str) -> Path:
    """Where pictures from a graph become a dataset: ``input/kiln/<name>``.

    Raises:
        ConfigError: the name is no plain file name.
    """
    try:
        label = check_run_name(name)
    except ConfigError as error:
        raise ConfigError(
            f"The folder's name is {name!r}", expected=error.expected,
            remedy="Choose a plain name such as my_dataset",
        ) from error
    return contained(Path(folder_paths.get_input_directory()), f"kiln/{label}")


def dataset_name(folder: Path) -> str:
    """A dataset's folder as graphs name it, such as ``input/kiln/mine``."""
    for key, roots in dataset_roots().items():
        for root in roots:
            if folder.resolve().is_relative_to(root.resolve()):
                return f"{key}/{folder.resolve().relative_to(root.resolve()).as_posix()}"
    return str(folder)


def is_the_packs(folder: Path) -> bool:
    """Whether a folder came with the pack, such as the demo's pictures, and stays as it is."""
    return folder.resolve().is_relative_to(Path(__file__).resolve().parent.parent)


def runs_folder() -> Path:
    """Where runs, sweeps and caches are kept: ``output/kiln``."""
    return Path(folder_paths.get_output_directory()) / "kiln"


def cache_folder() -> Path:
    """Where computed latents and texts are kept."""
    return runs_folder() / "cache"


def published_loras_folder() -> Path:
    """The folder ``kiln`` in the first folder of the stock LoRA loader."""
    return Path(folder_paths.get_folder_paths("loras")[0]) / "kiln"


def lora_name_for_loader(path: Path) -> str:
    """A LoRA's name in the stock loader's list.

    Raises:
        PathError: it stands where the loader does not look.
    """
    for root in map(Path, folder_paths.get_folder_paths("loras")):
        for file, folder in ((path, root), (path.resolve(), root.resolve())):
            if file.is_relative_to(folder):
                return str(file.relative_to(folder))
    raise PathError(
        f"{path.name} stands outside of the LoRA folders",
        expected="a file below models/loras",
        remedy="Move it there",
    )


def resolve_lora(name: str) -> Path:
    """The file of a LoRA name as the stock loader lists it.

    Raises:
        PathError: there is none, or it leads outside.
    """
    if not is_plain(name):
        raise PathError(
            f"The LoRA's name is {name!r}",
            expected="a name below models/loras",
            remedy="Choose one from the list",
        )
    # A link that stands below models/loras was put there by the owner, and stock follows it.
    path = folder_paths.get_full_path("loras", name)
    if path is not None:
        return Path(path)
    raise PathError(
        f"There is no LoRA named {name!r}",
        expected="a file below models/loras",
        remedy="Refresh the node list and choose again",
    )
