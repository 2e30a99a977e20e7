"""Caption files whose bytes are not plain UTF-8."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import DatasetError
from ...changes import WriteFile
from ...own_files import contained_file, read_small, require_own_file
from ...text import MAX_CAPTION_BYTES
from ..caption_bytes import Diagnosis, diagnose
from ..context import LintContext
from ..finding import ERROR, INFO, WARNING, Finding, Fix
from ..folder import Folder, stem_of
from ..rule import Rule

NAME = "caption-encoding"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        for file in folder.captions:
            context.progress.check_cancelled()
            path = contained_file(folder.origin.root, file)
            if not path.is_file() or path.stat().st_size > MAX_CAPTION_BYTES:
                continue  # Gone since, or no caption: the scan says so where it matters.
            found = diagnose(read_small(path, file))
            if found is not None:
                yield _finding(folder, file, found)


def _finding(folder: Folder, file: str, found: Diagnosis) -> Finding:
    # No picture is trained on a text about the folder: that must not stop anybody.
    stem = stem_of(file)
    read = bool(folder.pictures_of_stem(stem)) or stem in folder.items
    level = ERROR if found.unreadable and read else WARNING if found.harms else INFO
    return Finding(
        NAME, level, f"{file} {found.what}.", files=(file,), fix=_fix(folder, file, found),
        data={"encoding": found.encoding},
    )


def _fix(folder: Folder, file: str, found: Diagnosis) -> Fix | None:
    if found.text is None:
        return None
    try:
        require_own_file(folder.origin.root, file)
    except DatasetError:
        return None  # A link: the file belongs to another dataset as well.
    change = WriteFile(file, found.text.encode("utf-8"))
    return Fix(folder.origin, (change,), f"write {file} as {found.becomes}", safe=found.certain)


RULE = Rule(
    name=NAME,
    doc="A caption file that is not UTF-8, which most trainers refuse or garble; or one with a "
    "byte order mark or Windows line ends, which some take for letters; or with typographic "
    "quotes and dashes, which nobody types into a prompt.",
    check=_check,
    levels=(ERROR, WARNING, INFO),
    fixes="writes it as UTF-8 with plain line ends and quotes; unseen only where the encoding is "
    "certain",
)
