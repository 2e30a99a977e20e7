"""Small JSON files below ``.kiln`` in a dataset's folder, where decisions are remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.errors import DatasetError


def read_state(root: Path, relative: str) -> dict[str, dict[str, Any]]:
    """An object of objects; empty where there is no such file yet.

    Raises:
        DatasetError: it is damaged. It is not written over: a person may want to mend it.
    """
    try:
        content = json.loads((root / relative).read_text("utf-8"))
        if isinstance(content, dict) and all(isinstance(own, dict) for own in content.values()):
            return content
        found = "not an object of objects"
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        found = str(error)
    raise DatasetError(
        f"{relative} in {root.name} cannot be read: {found}",
        expected="the JSON that LoRA Kiln wrote, with what was decided about the pictures",
        remedy="Mend it, or rename it to begin anew",
    )
