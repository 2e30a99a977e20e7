"""A browser's requests to our routes, without a browser."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from PIL import Image

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

OWN = {"X-Kiln": "1", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["text"])


def ask(
    server: ComfyServer, method: str, path: str, body: Any = None,
    headers: Mapping[str, str] = OWN,
) -> Answer:
    """One request; a body that is no bytes goes as JSON."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=60)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, dict(headers))
    answer = connection.getresponse()
    found = Answer(answer.status, dict(answer.headers), answer.read())
    connection.close()
    return found


def parcel(files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The query and the body that bring whole files."""
    rows = [{"path": p, "offset": 0, "size": len(d), "length": len(d)} for p, d in files.items()]
    listing = json.dumps(rows).encode()
    return f"?listing={len(listing)}", listing + b"".join(files.values())


def begin(server: ComfyServer, name: str, *, zipped: bool = False, size: int = 0) -> str:
    """Begin an upload and return its id."""
    answer = ask(server, "POST", "/kiln/upload", {"name": name, "zip": zipped, "bytes": size})
    assert answer.status == 200, answer.body
    return str(answer.json["id"])


def send(server: ComfyServer, upload: str, files: Mapping[str, bytes]) -> Answer:
    """Bring files."""
    query, body = parcel(files)
    return ask(server, "POST", f"/kiln/upload/{upload}/parcel{query}", body)


def commit(server: ComfyServer, upload: str, count: int) -> Answer:
    """Publish."""
    return ask(server, "POST", f"/kiln/upload/{upload}/commit", {"files": count})


def upload_files(server: ComfyServer, name: str, files: Mapping[str, bytes]) -> Answer:
    """A whole upload."""
    upload = begin(server, name, size=sum(map(len, files.values())))
    answer = send(server, upload, files)
    assert answer.status == 200, answer.body
    return commit(server, upload, len(files))


def upload_zip(server: ComfyServer, name: str, data: bytes) -> Answer:
    """A whole upload of an archive."""
    upload = begin(server, name, zipped=True, size=len(data))
    answer = send(server, upload, {"archive.zip": data})
    assert answer.status == 200, answer.body
    return commit(server, upload, 1)


def picture(colour: str = "red", form: str = "PNG", size: tuple[int, int] = (48, 32)) -> bytes:
    """The bytes of a small picture."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def zipped(entries: Mapping[Any, bytes], *, shrink: bool = False) -> bytes:
    """An archive of texts or ``ZipInfo`` and their bytes, whatever its names are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if shrink else zipfile.ZIP_STORED) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return out.getvalue()


def staged(server: ComfyServer) -> list[str]:
    """What uploads have left lying."""
    folder = server.base / "input" / "kiln"
    return sorted(p.name for p in folder.glob(".upload-*")) if folder.is_dir() else []
