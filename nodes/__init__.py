"""Thin nodes, one file per stage of the graph. Each module lists its nodes in ``NODES``."""

from __future__ import annotations

import importlib
import pkgutil

from comfy_api.latest import ComfyExtension, io


class KilnExtension(ComfyExtension):
    """Registers every node of every module in this folder, and what the browser asks for."""

    async def on_load(self) -> None:
        """Add our addresses to the server, where there is one."""
        from server import PromptServer

        from ..host.routes import add_routes

        server = getattr(PromptServer, "instance", None)
        if server is not None:
            add_routes(server)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes, module by module in alphabetical order."""
        names = sorted(info.name for info in pkgutil.iter_modules(__path__))
        modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
        return [node for module in modules for node in getattr(module, "NODES", ())]
