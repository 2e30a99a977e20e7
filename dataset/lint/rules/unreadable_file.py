"""Files that could not be read."""

from __future__ import annotations

from collections.abc import Iterator

from ...items import Fault
from ...mask_files import masked_stem
from ...scan import PICTURE_EXTENSIONS
from ..context import LintContext
from ..finding import ERROR, Finding, Fix
from ..folder import Folder, ending_of
from ..rule import Rule

NAME = "unreadable-file"


def _check(context: LintContext) -> Iterator[Finding]:
    folders = {str(folder.origin.root): folder for folder in context.folders}
    for fault in context.dataset.faults:
        folder = folders.get(str(fault.origin.root)) or Folder(fault.origin, ())
        yield Finding(NAME, ERROR, str(fault.error), files=(fault.file,), fix=_fix(folder, fault))


def _fix(folder: Folder, fault: Fault) -> Fix | None:
    """A picture is set aside with all that is its own; a mask alone would change the training."""
    file = fault.file
    if ending_of(file) not in PICTURE_EXTENSIONS or file not in folder.files:
        return None
    is_mask = masked_stem(file) is not None
    files = [file] if is_mask else [file, *folder.companions(file)]
    also = f" with {len(files) - 1} files of its own" if len(files) > 1 else ""
    text = f"move {file} to rejected/{also}"
    return Fix(folder.origin, folder.rejected(files), text, safe=not is_mask)


RULE = Rule(
    name=NAME,
    doc="A picture, mask, caption or table that is damaged, cut off, empty or too large, and was "
    "left out.",
    check=_check,
    levels=(ERROR,),
    fixes="moves a damaged picture to rejected/, with its caption and mask",
)
