"""Progress in ComfyUI, and hearing Cancel."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.utils
from PIL import Image

INTERRUPT_NAME = "InterruptProcessingException"
PREVIEW_PX = 512


class ComfyProgress:
    """Fulfils ``core.protocols.Progress`` for a node.

    Args:
        node_id: the node that shows it; None where there is no graph.
    """

    def __init__(self, node_id: str | None = None) -> None:
        self._node_id = node_id
        self._bar: comfy.utils.ProgressBar | None = None
        self._total = 0

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        """Move the bar; the host's hook may raise its interrupt in here."""
        if self._bar is None or total != self._total:
            self._bar, self._total = comfy.utils.ProgressBar(total, node_id=self._node_id), total
        preview = None if picture is None else ("JPEG", picture, PREVIEW_PX)
        self._bar.update_absolute(done, total, preview)

    def say(self, text: str) -> None:
        """Show a line on the node, and in the log where there is no server."""
        server = _server()
        if server is None or self._node_id is None:
            print(f"[LoRA Kiln] {text}", flush=True)
        else:
            server.send_progress_text(text, self._node_id)

    def check_cancelled(self) -> None:
        """Raise the host's interrupt when Cancel was pressed."""
        comfy.model_management.throw_exception_if_processing_interrupted()

    def is_cancellation(self, error: BaseException) -> bool:
        """By name: it is an Exception in old hosts and a BaseException in new ones."""
        return any(kind.__name__ == INTERRUPT_NAME for kind in type(error).__mro__)


def _server() -> Any:
    """The running server, if there is one."""
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)
