"""All addresses of the pack on ComfyUI's server, below ``/kiln/``."""

from __future__ import annotations

import threading
from typing import Any

from ..dataset.intake import sweep_broken
from .routes_curate import curate_routes
from .routes_download import download_routes
from .routes_review import review_routes
from .routes_upload import upload_routes, uploads_folder


def add_routes(server: Any) -> None:
    """Add the routes to ComfyUI's table, from which it also makes those below ``/api/``.

    Args:
        server: the ``PromptServer``, before it has added its own routes.
    """
    for routes in (upload_routes(), download_routes(), review_routes(), curate_routes()):
        for method, path, handler in routes:
            # No further options: ComfyUI passes them on in a form that aiohttp does not know,
            # and then does not start.
            server.routes.route(method, path)(handler)
    # What broke off before ComfyUI was started; nobody waits for it.
    threading.Thread(target=sweep_broken, args=(uploads_folder(),), daemon=True).start()
