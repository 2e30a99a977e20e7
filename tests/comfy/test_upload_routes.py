"""Uploads to a real server: one transaction, from honest people and from others."""

from __future__ import annotations

import http.client
import io
import json
import struct
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from lora_kiln.devtools.comfy_server import ComfyServer
from lora_kiln.tests.comfy import kiln_routes as web

if TYPE_CHECKING:
    Files = dict[str, bytes]

RED, BLUE = web.picture("red"), web.picture("blue")
PAIR = {"123.png": RED, "123.txt": b"a red plate", "sub/7.png": BLUE, "sub/7.txt": b"blue"}


def folder_of(server: ComfyServer, name: str) -> Path:
    return server.base / "input" / "kiln" / name


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_folder_arrives_as_it_was(comfy_server: ComfyServer) -> None:
    answer = web.upload_files(comfy_server, "plates", PAIR)
    assert answer.status == 200
    told = answer.json
    assert (told["folder"], told["files"], told["pictures"]) == ("input/kiln/plates", 4, 2)
    assert tree(folder_of(comfy_server, "plates")) == PAIR
    # The list of the node shows it at once.
    info = comfy_server.client().object_info("KilnLoadImageFolder")
    options = json.dumps(info["KilnLoadImageFolder"]["input"]["required"]["folder"])
    assert "input/kiln/plates" in options
    # The name is taken: nothing is mixed in.
    second = web.upload_files(comfy_server, "plates", {"123.png": BLUE}).json
    assert (second["wanted"], second["name"]) == ("plates", "plates-2")
    assert tree(folder_of(comfy_server, "plates")) == PAIR
    assert tree(folder_of(comfy_server, "plates-2")) == {"123.png": BLUE}
    assert web.staged(comfy_server) == []


def test_parts_in_any_number_and_again_after_a_lost_answer(comfy_server: ComfyServer) -> None:
    upload = web.begin(comfy_server, "parts")
    data = web.picture("green", "BMP", (200, 90))

    def part(offset: int, length: int) -> Any:
        rows = [{"path": "a.bmp", "offset": offset, "size": len(data), "length": length}]
        listing = json.dumps(rows).encode()
        return web.ask(
            comfy_server, "POST", f"/kiln/upload/{upload}/parcel?listing={len(listing)}",
            listing + data[offset : offset + length],
        )

    assert part(0, 1000).status == 200
    assert "1000 bytes so far" in part(2000, 10).error
    assert part(0, 2000).status == 200
    assert part(1000, 1000).status == 200
    assert "0 of 1 files have arrived whole" in web.commit(comfy_server, upload, 1).error
    assert part(2000, len(data) - 2000).status == 200
    assert "1 of 2 files" in web.commit(comfy_server, upload, 2).error
    first = web.commit(comfy_server, upload, 1)
    assert first.status == 200
    # Its answer was lost: the same again.
    assert web.commit(comfy_server, upload, 1).json == first.json
    assert tree(folder_of(comfy_server, "parts")) == {"a.bmp": data}
    assert "has ended" in part(0, 10).error


@pytest.mark.parametrize(
    "name",
    ["../a.png", "/etc/a.png", "a/../../b.png", "C:/a.png", "..\\a.png", "a\0.png", "con.png",
     ".kiln/a.png", ".hidden.png", "a.py", "a.png/", "x" * 300 + ".png", "", "a.zip",
     "__MACOSX/a.png", "\ud800.png", "~/a.png", "sub/../.kiln/a.txt"],
)  # fmt: skip
def test_hostile_names_of_files(comfy_server: ComfyServer, name: str) -> None:
    upload = web.begin(comfy_server, "hostile")
    before = tree(comfy_server.base / "input")
    rows = [{"path": name, "offset": 0, "size": 3, "length": 3}]
    listing = json.dumps(rows).encode()
    answer = web.ask(
        comfy_server, "POST", f"/kiln/upload/{upload}/parcel?listing={len(listing)}",
        listing + b"abc",
    )
    assert answer.status in (400, 404), answer.body
    assert answer.error
    assert tree(comfy_server.base / "input") == before
    assert web.ask(comfy_server, "DELETE", f"/kiln/upload/{upload}").status == 200
    assert web.staged(comfy_server) == []


@pytest.mark.parametrize("name", ["..", "a/b", "\\a", "", "con", "a" * 200, ".hidden", "a\0b"])
def test_hostile_names_of_datasets(comfy_server: ComfyServer, name: str) -> None:
    answer = web.ask(comfy_server, "POST", "/kiln/upload", {"name": name, "bytes": 0})
    assert answer.status == 400
    assert "name" in answer.error


def test_two_spellings_of_one_name(comfy_server: ComfyServer) -> None:
    upload = web.begin(comfy_server, "twins")
    assert web.send(comfy_server, upload, {"a.PNG": RED}).status == 200
    answer = web.send(comfy_server, upload, {"a.png": BLUE})
    assert answer.status == 400
    assert "a.png and a.PNG" in answer.error
    web.ask(comfy_server, "DELETE", f"/kiln/upload/{upload}")


def test_malformed_requests_are_told(comfy_server: ComfyServer) -> None:
    upload = web.begin(comfy_server, "odd")
    place = f"/kiln/upload/{upload}/parcel"
    row = {"path": "a.png", "offset": 0, "size": 5, "length": 5}

    def rows(*given: Any) -> tuple[str, bytes]:
        listing = json.dumps(list(given)).encode()
        return f"?listing={len(listing)}", listing

    cases = [
        ("", b"", "without a list"),
        ("?listing=99999999999", b"", "without a list"),
        ("?listing=9", b"[]", "without a list"),
        ("?listing=2", b"{}", "without a list"),
        (rows(row)[0], rows(row)[1] + b"abc", "shorter than it says"),
        (rows(row)[0], rows(row)[1] + b"abcdefg", "longer than it says"),
        (*rows(row | {"length": 6}), "longer than its file"),
        (*rows(row | {"offset": -1}), "without a number 'offset'"),
        (*rows(row | {"size": 2**40, "length": 0}), "of at most 64 MiB"),
        (*rows({"path": 7}), "without a text 'path'"),
    ]
    for query, body, told in cases:
        answer = web.ask(comfy_server, "POST", place + query, body)
        assert answer.status == 400, (query, body)
        assert told in answer.error
    assert web.ask(comfy_server, "POST", "/kiln/upload", b"[1]").status == 400
    assert web.ask(comfy_server, "POST", "/kiln/upload", b"x" * (2**21 + 1)).status == 400
    huge = web.ask(comfy_server, "POST", "/kiln/upload", {"name": "a", "bytes": 2**50})
    assert "GiB" in huge.error
    unknown = web.ask(comfy_server, "POST", f"/kiln/upload/{'0' * 32}/commit", {"files": 1})
    assert "not known any more" in unknown.error
    web.ask(comfy_server, "DELETE", f"/kiln/upload/{upload}")
    no_picture = web.upload_files(comfy_server, "texts", {"a.txt": b"x"})
    assert "There is no picture" in no_picture.error
    assert web.staged(comfy_server) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json"},
        {"X-Kiln": "1", "Sec-Fetch-Site": "cross-site"},
        {"X-Kiln": "1", "Sec-Fetch-Site": "same-site"},
        {"X-Kiln": "1", "Origin": "http://evil.example"},
    ],
)
def test_other_pages_cannot_write(comfy_server: ComfyServer, headers: dict[str, str]) -> None:
    for path, body in (
        ("/kiln/upload", {"name": "evil", "bytes": 0}),
        ("/kiln/review/undo", {"folder": "input/kiln/plates", "change": "x"}),
        ("/kiln/curate/decide", {"name": "evil", "sha": "0" * 64, "decision": "accepted"}),
    ):
        for prefix in ("", "/api"):
            assert web.ask(comfy_server, "POST", prefix + path, body, headers).status == 403
    assert not folder_of(comfy_server, "evil").exists()


def test_ask_for_the_header_is_not_granted(comfy_server: ComfyServer) -> None:
    # What a browser asks before a foreign script may send our header: no consent comes back.
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Headers": "x-kiln",
             "Access-Control-Request-Method": "POST"}  # fmt: skip
    answer = web.ask(comfy_server, "OPTIONS", "/kiln/upload", None, asked)
    assert "x-kiln" not in answer.headers.get("Access-Control-Allow-Headers", "").lower()


def test_two_uploads_of_one_name_at_once(comfy_server: ComfyServer) -> None:
    sets = [{f"{n}.png": web.picture("red"), f"{n}.txt": b"%d" % n} for n in range(6)]
    told: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda own=own: told.append(web.upload_files(comfy_server, "race", own).json)
        )
        for own in sets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = sorted(answer["name"] for answer in told)
    assert names == ["race", *(f"race-{n}" for n in range(2, 7))]
    found = [tree(folder_of(comfy_server, name)) for name in names]
    assert sorted(map(sorted, found)) == sorted(map(sorted, sets))


def test_a_zip_arrives_as_it_was(comfy_server: ComfyServer) -> None:
    inside = {f"cats/{name}": data for name, data in PAIR.items()}
    rest = {"__MACOSX/cats/._123.png": b"x", "cats/.DS_Store": b"x", "cats/run.sh": b"x",
            "cats/old.zip": b"x", "cats/Thumbs.db": b"x"}  # fmt: skip
    told = web.upload_zip(comfy_server, "cats", web.zipped({**inside, **rest}, shrink=True)).json
    assert tree(folder_of(comfy_server, "cats")) == PAIR
    assert sorted(name for name, _ in told["left_out"]) == sorted(rest)
    # A folder that counts its pictures tenfold is no wrapping; nor is one of another name.
    for name, top in (("10_cat", "10_cat"), ("set", "woman")):
        web.upload_zip(comfy_server, name, web.zipped({f"{top}/1.png": RED}))
        assert list(tree(folder_of(comfy_server, name))) == [f"{top}/1.png"]


def test_zip_names_of_other_systems(comfy_server: ComfyServer) -> None:
    windows = zipfile.ZipInfo("sub\\b.png")
    windows.filename = "sub\\b.png"
    data = web.zipped({windows: BLUE})
    web.upload_zip(comfy_server, "windows", data)
    assert list(tree(folder_of(comfy_server, "windows"))) == ["sub/b.png"]
    # As Finder writes it: UTF-8 without the flag that says so.
    raw = bytearray(web.zipped({"ee.png": RED}))
    for at in (raw.find(b"ee.png"), raw.rfind(b"ee.png")):
        raw[at : at + 2] = "é".encode()
    web.upload_zip(comfy_server, "finder", bytes(raw))
    assert list(tree(folder_of(comfy_server, "finder"))) == ["é.png"]


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def encrypted() -> bytes:
    raw = bytearray(web.zipped({"a.png": RED}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.find(mark) + place] |= 1
    return bytes(raw)


def lying() -> bytes:
    """Says that a file has 9 bytes, and unpacks to 80 MiB."""
    raw = bytearray(web.zipped({"a.bmp": bytes(80 * 2**20)}, shrink=True))
    struct.pack_into("<I", raw, raw.find(b"PK\x01\x02") + 24, 9)
    return bytes(raw)


def bomb() -> bytes:
    """Eight pictures of 60 MiB of zeros in half a megabyte."""
    return web.zipped({f"{n}.bmp": bytes(60 * 2**20) for n in range(8)}, shrink=True)


def many_names() -> bytes:
    """An end that speaks of a list of names of 4 GB."""
    raw = bytearray(web.zipped({"a.png": RED}))
    struct.pack_into("<I", raw, raw.rfind(b"PK\x05\x06") + 12, 2**32 - 2)
    return bytes(raw)


def doubled() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.png", RED)
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("a.png", BLUE)
    return out.getvalue()


HOSTILE = {
    "dots": (lambda: web.zipped({"../evil.png": RED}), "leads out"),
    "dots in what is left out": (lambda: web.zipped({"a.png": RED, "../e.sh": RED}), "leads out"),
    "absolute": (lambda: web.zipped({"/evil.png": RED}), "leads out"),
    "drive": (lambda: web.zipped({"C:\\evil.png": RED}), "leads out"),
    "case twins": (lambda: web.zipped({"a.png": RED, "A.PNG": BLUE}), "one name to many disks"),
    "accents": (lambda: web.zipped({"\u00e9.png": RED, "e\u0301.png": BLUE}), "one name"),
    "the same twice": (doubled, "twice"),
    "a file that is a folder": (lambda: web.zipped({"a.png": RED, "a.png/b.png": BLUE}), ""),
    "encrypted": (encrypted, "encrypted"),
    "lying": (lying, "Bad CRC"),
    "bomb": (bomb, "unpacks to more"),
    "list of names": (many_names, "list of names"),
    "no archive": (lambda: RED, "no .zip archive"),
    "empty": (lambda: b"", "no .zip archive"),
    "cut": (lambda: web.zipped({"a.png": RED})[:-30], ""),
    "links only": (lambda: web.zipped({link("a.png"): b"/etc/passwd"}), "no picture"),
    "nested": (lambda: web.zipped({"b.zip": web.zipped({"a.png": RED})}), "no picture"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives(comfy_server: ComfyServer, case: str) -> None:
    make, told = HOSTILE[case]
    before = sorted(p.name for p in (comfy_server.base / "input").rglob("*"))
    answer = web.upload_zip(comfy_server, "evil", make())
    assert answer.status in (400, 404), answer.body
    assert told in answer.error
    assert sorted(p.name for p in (comfy_server.base / "input").rglob("*")) == before
    assert not (comfy_server.base / "evil.png").exists()


@pytest.fixture
def half_sent(comfy_server: ComfyServer) -> Iterator[http.client.HTTPConnection]:
    """A parcel that stops in the middle of a picture."""
    connection = half_a_parcel(comfy_server, web.begin(comfy_server, "half"))
    yield connection
    connection.close()


def half_a_parcel(server: ComfyServer, upload: str) -> http.client.HTTPConnection:
    place = urlsplit(server.url)
    query, body = web.parcel({"a.png": bytes(2**20)})
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=30)
    connection.putrequest("POST", f"/kiln/upload/{upload}/parcel{query}")
    for name, value in {**web.OWN, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body[: len(body) // 2])
    return connection


def test_a_closed_page_leaves_no_dataset(
    comfy_server: ComfyServer, half_sent: http.client.HTTPConnection
) -> None:
    half_sent.close()
    assert not folder_of(comfy_server, "half").exists()
    (left,) = web.staged(comfy_server)
    upload = left.removeprefix(".upload-")
    # The page comes back and sends it again, from its beginning.
    for _ in range(100):
        answer = web.send(comfy_server, upload, {"a.png": bytes(2**20)})
        if answer.status == 200:
            break
    assert answer.status == 200
    assert web.ask(comfy_server, "DELETE", f"/kiln/upload/{upload}").status == 200
    assert web.staged(comfy_server) == []


@pytest.mark.server
@pytest.mark.slow
def test_a_killed_server_leaves_no_dataset(tmp_path: Path) -> None:
    import os

    with ComfyServer(tmp_path, threads=1, device="cpu") as server:
        upload = web.begin(server, "killed")
        web.send(server, upload, PAIR)
        half_a_parcel(server, upload)
        server.kill()
        (left,) = web.staged(server)
        assert not folder_of(server, "killed").exists()
        # An hour later.
        os.utime(folder_of(server, left), (1, 1))
        server.restart()
        assert "not known any more" in web.commit(server, upload, 5).error
        assert web.upload_files(server, "killed", PAIR).status == 200
        assert tree(folder_of(server, "killed")) == PAIR
        assert web.staged(server) == []
