"""Text files of people: UTF-8, or an error that says which file is not."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG

from ..core.errors import DatasetError

MAX_CAPTION_BYTES = 2**20


def read_text(path: Path, name: str, *, limit_bytes: int = MAX_CAPTION_BYTES) -> str:
    """Read a UTF-8 text file; a byte order mark is dropped, line ends become ``\\n``.

    Args:
        path: the file.
        name: what it is called in messages.
        limit_bytes: a larger file is refused unread.

    Raises:
        DatasetError: it is not UTF-8, too large, or cannot be read.
    """
    try:
        found = path.stat()
        if not S_ISREG(found.st_mode):
            # A pipe would be waited for, and a device has no end.
            raise DatasetError(
                f"{name} is no ordinary file", expected="a text file", remedy="Take it out"
            )
        size = found.st_size
        if size > limit_bytes:
            raise DatasetError(
                f"{name} has {size / 2**20:.1f} MiB",
                expected=f"a text of at most {limit_bytes / 2**20:.0f} MiB",
                remedy="Check whether it is the right file",
            )
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(name, f"byte {error.start + 1} is not") from error
    except OSError as error:
        raise DatasetError(
            f"{name} cannot be read: {error.strerror or error}",
            expected="a file that ComfyUI may read",
            remedy="Check its permissions",
        ) from error
    if "\0" in text:
        # UTF-16 without its mark passes as UTF-8 when the text is plain English.
        raise _not_utf8(name, "it has zero bytes in it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _not_utf8(name: str, why: str) -> DatasetError:
    return DatasetError(
        f"{name} is not UTF-8 text: {why}",
        expected="a text file saved as UTF-8",
        remedy="Open it in a text editor and save it with the encoding UTF-8",
    )
