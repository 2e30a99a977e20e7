"""What Load Image Folder asks for about reading, and how it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..core.errors import ConfigError, DatasetError, MissingLibrary
from ..core.settings import digest
from ..dataset.booru_tags import AS_WRITTEN, SPACES, TAG_STYLES, UNDERSCORES
from ..dataset.index import PictureIndex
from ..dataset.items import REGULARISATION, ROLES, Dataset
from ..dataset.kohya_config import read_kohya_config
from ..dataset.kohya_scan import config_folders, config_tables, scan_config
from ..dataset.mask_files import OFF
from ..dataset.metadata import MOST_WEIGHT
from ..dataset.readers.reader import ReadOptions
from ..dataset.scan import ScanOptions, caption_endings, listed_files, scan
from ..host.paths import contained, in_dataset_roots, resolve_folder
from ..host.picture_index import open_picture_index

STOP, REPORT = "stop", "report"
BY_FOLDER = "as the folders say"
CONFIG_SUFFIXES = (".toml", ".json")


def reading_inputs() -> list[io.Input]:
    """Inputs that came later: all optional, so that graphs from before they were there run on."""
    return [
        io.Combo.Input(
            "bad_files",
            options=[STOP, REPORT],
            default=STOP,
            optional=True,
            advanced=True,
            tooltip="What to do about files that cannot be read. stop: one error names them all. "
            "report: they are left out and listed, so that Lint Dataset can set them aside; "
            "training refuses such a dataset.",
        ),
        io.Combo.Input(
            "role",
            options=[BY_FOLDER, *ROLES],
            default=BY_FOLDER,
            optional=True,
            advanced=True,
            tooltip="What the pictures are for. train: to be learned. regularisation: shown so "
            "that the model keeps what it knew. validation: held out. By itself, a folder named "
            "reg or validation, or the column role of metadata.csv, says so.",
        ),
        io.Float.Input(
            "regularisation_weight",
            default=1.0,
            min=0.0,
            max=MOST_WEIGHT,
            step=0.05,
            round=0.0005,
            optional=True,
            advanced=True,
            tooltip="How much regularisation pictures count in the loss, beside 1 for the others. "
            "kohya calls it prior_loss_weight.",
        ),
        io.Combo.Input(
            "tags",
            options=[*TAG_STYLES],
            default=SPACES,
            optional=True,
            advanced=True,
            tooltip="How lists of a picture board's tags (1girl long_hair) become captions. "
            f"{SPACES}: 1girl, long hair. {UNDERSCORES}: 1girl, long_hair. {AS_WRITTEN}: they are "
            "left alone. Captions with commas are left alone in any case.",
        ),
        io.Boolean.Input(
            "class_as_caption",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Where a picture has no caption, use the words of its kohya folder, ohwx "
            "woman of 10_ohwx woman, or of class_tokens. kohya does this by itself; here missing "
            "captions are told unless you switch it on.",
        ),
        io.String.Input(
            "kohya_config",
            default="",
            optional=True,
            advanced=True,
            tooltip="Name of a dataset config of kohya's in the folder, such as dataset.toml. "
            "The folders that it names are read instead. Empty: none.",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class FolderRequest:
    """What the node was given; names as in its inputs."""

    folder: str
    background: str = "white"
    caption_extension: str = ".txt"
    subfolders: bool = True
    masks: str = OFF
    bad_files: str = STOP
    role: str = BY_FOLDER
    regularisation_weight: float = 1.0
    tags: str = SPACES
    class_as_caption: bool = False
    kohya_config: str = ""


def read_folder(request: FolderRequest, progress: Any) -> Dataset:
    """Read the folder, or those that its config names.

    Raises:
        KilnError: the folder, a file in it, or an input is no good.
    """
    with open_picture_index() as index:
        return _read(request, index, progress)


def _read(request: FolderRequest, index: PictureIndex, progress: Any) -> Dataset:
    folder = resolve_folder(request.folder)
    options = ScanOptions(
        recursive=request.subfolders,
        background=request.background,
        masks=request.masks,
        read=ReadOptions(
            endings=caption_endings(request.caption_extension),
            tags=request.tags,
            class_as_caption=request.class_as_caption,
        ),
        lenient=request.bad_files == REPORT,
        index=index,
        progress=progress,
    )
    config = config_file(folder, request.kohya_config)
    if config:
        dataset = scan_config(folder, config, request.folder, options, in_dataset_roots)
    else:
        dataset = scan(folder, request.folder, options)
        dataset = dataset.with_notes(*_unused_configs(folder, dataset))
    return _with_roles(dataset, request.role, request.regularisation_weight)


def config_file(folder: Path, name: str) -> str:
    """The checked name of a config in a folder; empty where none was asked for.

    Raises:
        PathError: it leads out of the folder.
        ConfigError: there is no such file.
    """
    name = name.strip().replace("\\", "/")
    if name and not (
        name.lower().endswith(CONFIG_SUFFIXES) and contained(folder, name).is_file()
    ):
        raise ConfigError(
            f"kohya_config is {name!r}",
            expected="the name of a .toml or .json file in the folder",
            remedy="Correct it, or leave it empty to read the folder itself",
        )
    return name


def fingerprint(folder: Path, *, recursive: bool, kohya_config: str = "") -> str:
    """Digest of names, sizes and times of the files that a scan would look at.

    Raises:
        KilnError: a folder or the config is no good.
    """
    config = config_file(folder, kohya_config)
    folders = config_folders(folder, config, in_dataset_roots) if config else []
    rows: list[Any] = [_stamps(folder, recursive=recursive)]
    rows += [[str(path), _stamps(path, recursive=False)] for path in folders]
    # These two may stand where no folder of pictures is looked through.
    tables = [folder / config, *config_tables(folder, config, in_dataset_roots)] if config else []
    rows += [_stamp(path, str(path)) for path in tables]
    return digest(rows)


def _stamps(folder: Path, *, recursive: bool) -> list[list[Any]]:
    return [
        _stamp(path, path.relative_to(folder).as_posix())
        for path in listed_files(folder, recursive=recursive)
    ]


def _stamp(path: Path, name: str) -> list[Any]:
    try:
        stat = path.stat()
    except OSError:  # Gone again, or a link to nothing: reading will tell.
        return [name, None, None]
    return [name, stat.st_size, stat.st_mtime_ns]


def _unused_configs(folder: Path, dataset: Dataset) -> list[str]:
    """Dataset configs of kohya's that lie there and were not asked for."""
    files = [f for f in dataset.origins[0].files if f.endswith(".toml") and "/" not in f]
    found = []
    for file in files:
        try:
            read_kohya_config(folder / file, file)
        except (DatasetError, ConfigError, MissingLibrary):
            continue  # Another program's settings; or Python 3.10 without tomli cannot tell.
        found.append(
            f"{file} is a dataset config of kohya's and was not used; write its name into "
            "kohya_config to read what it names."
        )
    return found


def _with_roles(dataset: Dataset, role: str, weight: float) -> Dataset:
    """The role of all where one was chosen, and the weight of regularisation pictures."""
    if role not in (BY_FOLDER, *ROLES) or not 0 <= weight <= MOST_WEIGHT:
        raise ConfigError(
            f"role is {role!r} and regularisation_weight {weight}",
            expected=f"one of {', '.join((BY_FOLDER, *ROLES))}, and 0 to {MOST_WEIGHT:g}",
            remedy="Choose one of these",
        )
    items = []
    for item in dataset.items:
        own = item.role if role == BY_FOLDER else role
        factor = weight if own == REGULARISATION else 1.0
        items.append(replace(item, role=own, weight=item.weight * factor))
    return replace(dataset, items=tuple(items))
