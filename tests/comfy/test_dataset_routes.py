"""Downloads, the review and curating through a real server's routes."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lora_kiln.tests.comfy import kiln_routes as web

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

LINK: dict[str, str] = {}
"""What a picture's or a download's address is fetched with: no header of ours."""


@pytest.fixture
def plates(comfy_server: ComfyServer, request: pytest.FixtureRequest) -> Path:
    """A folder of three pictures, fresh for each test."""
    folder = comfy_server.base / "input" / "kiln" / request.node.name.replace("[", "-")[:40]
    for name, data in {
        "a.png": web.picture("red"), "a.txt": b"red plate\n", "b.png": web.picture("blue"),
        "b-masklabel.png": web.picture("white"), "sub/c.jpg": web.picture("green", "JPEG"),
        "sub/c.txt": b"green", "metadata.csv": b"file_name,text\nb.png,from the table\n",
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def graph(folder: Path, **review: Any) -> dict[str, Any]:
    load = {"folder": f"input/kiln/{folder.name}", "background": "white", "subfolders": True,
            "custom_background": "#f4efe6", "caption_extension": ".txt"}  # fmt: skip
    return {
        "1": {"class_type": "KilnLoadImageFolder", "inputs": load},
        "2": {"class_type": "KilnReviewDataset",
              "inputs": {"dataset": ["1", 0], "keep": "all", **review}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 1]}},
    }


def review(server: ComfyServer, folder: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """The review's id and its rows by file, after a run of the node."""
    outputs = server.client().run(graph(folder))["outputs"]
    assert outputs["3"]["images"]
    (told,) = outputs["2"]["kiln_review"]
    answer = web.ask(server, "GET", f"/kiln/review/{told['id']}")
    assert answer.status == 200, answer.body
    return told["id"], {row["file"]: row for row in answer.json["items"]}


def test_a_review_from_the_first_look_to_undo(comfy_server: ComfyServer, plates: Path) -> None:
    key, rows = review(comfy_server, plates)
    name = f"input/kiln/{plates.name}"
    assert sorted(rows) == ["a.png", "b.png", "sub/c.jpg"]
    assert (rows["a.png"]["caption"], rows["a.png"]["seen"]) == ("red plate", "red plate")
    assert (rows["b.png"]["caption"], rows["b.png"]["seen"]) == ("from the table", None)
    assert rows["a.png"]["size"] == [48, 32]

    def say(route: str, **body: Any) -> Any:
        return web.ask(comfy_server, "POST", f"/kiln/review/{route}", {"folder": name, **body})

    saved = say("caption", review=key, file="a.png", text=" new  text ", seen="red plate")
    assert saved.status == 200, saved.body
    assert (plates / "a.txt").read_bytes() == b"new  text\n"
    late = say("caption", review=key, file="a.png", text="other", seen="red plate")
    assert (late.status, late.json["now"]) == (409, "new  text")
    assert (plates / "a.txt").read_bytes() == b"new  text\n"
    # A caption of a table becomes a file of its own, which goes before the table.
    made = say("caption", review=key, file="b.png", text="blue", seen=None)
    assert (plates / "b.txt").read_bytes() == b"blue"
    assert say("undo", change=made.json["change"]).status == 200
    assert not (plates / "b.txt").exists()
    assert say("undo", change=saved.json["change"]).status == 200
    assert (plates / "a.txt").read_bytes() == b"red plate\n"

    assert say("accept", file="a.png", caption="red plate").status == 200
    gone = say("reject", file="b.png")
    assert gone.status == 200
    assert (plates / "rejected" / "b-masklabel.png").is_file()
    again = web.ask(comfy_server, "GET", f"/kiln/review/{key}").json["items"]
    assert [row["decision"] for row in again] == ["accepted", "rejected", ""]
    # It can be looked at, to see whether it should come back.
    assert again[1]["stamp"] == str((plates / "rejected" / "b.png").stat().st_mtime_ns)
    query = urlencode({"folder": name, "file": "b.png"})
    assert web.ask(comfy_server, "GET", f"/kiln/picture?{query}", None, LINK).status == 200
    (plates / "a.txt").write_bytes(b"another")
    again = web.ask(comfy_server, "GET", f"/kiln/review/{key}").json["items"]
    assert again[0]["decision"] == "changed"
    assert say("undo", change=gone.json["change"]).status == 200
    assert (plates / "b.png").is_file() and (plates / "b-masklabel.png").is_file()


def test_only_accepted_pictures_go_on(comfy_server: ComfyServer, plates: Path) -> None:
    from lora_kiln.devtools.comfy_client import PromptFailed

    client = comfy_server.client()
    count = {"4": {"class_type": "KilnReviewDataset",
                   "inputs": {"dataset": ["2", 0], "keep": "all"}}}  # fmt: skip
    with pytest.raises(PromptFailed, match="None of the 3 pictures is accepted"):
        client.run({**graph(plates, keep="accepted only"), **count})
    body = {"folder": f"input/kiln/{plates.name}", "file": "a.png", "caption": "red plate"}
    assert web.ask(comfy_server, "POST", "/kiln/review/accept", body).status == 200
    outputs = client.run({**graph(plates, keep="accepted only"), **count})["outputs"]
    assert outputs["4"]["kiln_review"][0]["pictures"] == 1


@pytest.mark.parametrize(
    "file",
    ["../x.png", "/etc/passwd", ".kiln/review.json", "a.txt", "none.png", "", "sub", "a\0.png",
     "..\\x.png", "\ud800.png", "rejected/../../x.png"],
)  # fmt: skip
def test_hostile_files(comfy_server: ComfyServer, plates: Path, file: str) -> None:
    name = f"input/kiln/{plates.name}"
    for route in ("accept", "reject"):
        answer = web.ask(comfy_server, "POST", f"/kiln/review/{route}",
                         {"folder": name, "file": file})
        assert answer.status in (400, 404), (route, answer.body)
    if "\ud800" not in file:
        query = urlencode({"folder": name, "file": file})
        assert web.ask(comfy_server, "GET", f"/kiln/picture?{query}").status in (400, 404)
    assert not (plates / "rejected").exists()


@pytest.mark.parametrize("folder", ["../models", "input/../../x", "/etc", "demo/style", "none", ""])
def test_hostile_folders(comfy_server: ComfyServer, folder: str) -> None:
    body = {"folder": folder, "file": "01_circle.png", "change": "x"}
    for route in ("reject", "undo", "accept"):
        answer = web.ask(comfy_server, "POST", f"/kiln/review/{route}", body)
        assert answer.status in (400, 404), answer.body
    query = urlencode({"folder": folder})
    if folder != "demo/style":
        assert web.ask(comfy_server, "GET", f"/kiln/download/dataset?{query}").status == 404


def test_small_pictures(comfy_server: ComfyServer, plates: Path) -> None:
    def get(file: str, size: int) -> Any:
        query = urlencode({"folder": f"input/kiln/{plates.name}", "file": file, "size": size})
        return web.ask(comfy_server, "GET", f"/kiln/picture?{query}", None, LINK)

    (plates / "big.png").write_bytes(web.picture("navy", size=(900, 300)))
    for size, wanted in ((160, (160, 53)), (300, (320, 107)), (10**9, (160, 53))):
        answer = get("big.png", size)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
        with Image.open(io.BytesIO(answer.body)) as image:
            assert image.size == wanted
    (plates / "bad.png").write_bytes(b"no picture")
    assert get("bad.png", 160).status == 400
    foreign = web.ask(comfy_server, "GET", "/kiln/picture?x", None, {"Sec-Fetch-Site": "same-site"})
    assert foreign.status == 403


def test_a_dataset_is_downloaded(comfy_server: ComfyServer, plates: Path) -> None:
    (plates / ".kiln" / "changes").mkdir(parents=True)
    (plates / ".kiln" / "changes" / "x.json").write_text("{}")
    (plates / "rejected").mkdir()
    (plates / "rejected" / "z.png").write_bytes(b"x")
    (plates / "script.sh").write_bytes(b"x")
    path = "/kiln/download/dataset?" + urlencode({"folder": f"input/kiln/{plates.name}"})
    answer = web.ask(comfy_server, "GET", path, None, LINK)
    assert answer.headers["Content-Type"] == "application/zip"
    assert f'filename="{plates.name}.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        found = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    wanted = ("a.png", "a.txt", "b-masklabel.png", "b.png", "metadata.csv", "sub/c.jpg",
              "sub/c.txt")  # fmt: skip
    assert found == {name: (plates / name).read_bytes() for name in wanted}
    # The same files, the same bytes; and what came down goes up again.
    assert web.ask(comfy_server, "GET", path, None, LINK).body == answer.body
    assert web.ask(comfy_server, "HEAD", path, None, LINK).status == 200
    name = f"{plates.name[:20]} again"
    told = web.upload_zip(comfy_server, name, answer.body).json
    assert (told["pictures"], told["left_out"]) == (4, [])


def test_a_run_is_downloaded(comfy_server: ComfyServer) -> None:
    run = comfy_server.base / "output" / "kiln" / "taken-001"
    loras = comfy_server.base / "models" / "loras" / "kiln"
    files = {
        run / "run.json": b"{}", run / "metrics.jsonl": b"{}\n", run / "samples/1.png": b"x",
        run / "checkpoints/step_1/state.safetensors": b"state", loras / "taken-001.safetensors":
        b"lora", loras / "taken-001-v2.safetensors": b"other", loras /
        "taken-001/step_000001.safetensors": b"early", loras / "taken-0011.safetensors": b"no",
    }  # fmt: skip
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def names(query: str) -> list[str]:
        path = f"/kiln/download/run?run=taken-001{query}"
        answer = web.ask(comfy_server, "GET", path, None, LINK)
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            return archive.namelist()

    lean = ["metrics.jsonl", "run.json", "samples/1.png", "loras/taken-001.safetensors",
            "loras/taken-001-v2.safetensors", "loras/taken-001/step_000001.safetensors"]
    assert names("") == [f"taken-001/{name}" for name in lean]
    full = names("&checkpoints=1")
    assert set(full) - {f"taken-001/{name}" for name in lean} == {
        "taken-001/checkpoints/step_1/state.safetensors"
    }
    for run_name in ("../x", "none-001", "", "taken-001/../.."):
        query = urlencode({"run": run_name})
        answer = web.ask(comfy_server, "GET", f"/kiln/download/run?{query}", None, LINK)
        assert answer.status in (400, 404)


def test_loaded_pictures_are_curated_with_their_prompts(comfy_server: ComfyServer) -> None:
    folder = comfy_server.base / "output" / "made"
    folder.mkdir(parents=True, exist_ok=True)
    text = PngInfo()
    text.add_text("prompt", json.dumps({
        "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse", "clip": ["1", 1]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
        "7": {"class_type": "KSampler", "inputs": {"positive": ["5", 0], "negative": ["6", 0]}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}},
    }))  # fmt: skip
    Image.new("RGB", (40, 30), "orange").save(folder / "ComfyUI_00001_.png", pnginfo=text)
    load = {"folder": "output/made", "background": "white", "subfolders": True,
            "custom_background": "#f4efe6", "caption_extension": ".txt"}  # fmt: skip
    prompt = {
        "1": {"class_type": "KilnLoadImageFolder", "inputs": load},
        "2": {"class_type": "KilnCurateImages", "inputs": {"name": "chosen", "dataset": ["1", 0]}},
        "3": {"class_type": "KilnReviewDataset", "inputs": {"dataset": ["2", 0], "keep": "all"}},
    }
    client = comfy_server.client()
    # Nothing is accepted yet: what is behind does not run, and nothing fails.
    first = client.run(prompt)["outputs"]
    assert "3" not in first
    (row,) = first["2"]["kiln_curate"][0]["items"]
    assert (row["caption"], row["size"]) == ("a lighthouse", [40, 30])
    shown = web.ask(comfy_server, "GET", f"/kiln/curate/picture?sha={row['sha']}", None, LINK)
    assert shown.status == 200

    def decide(decision: str, caption: str) -> Any:
        body = {"name": "chosen", "sha": row["sha"], "label": row["name"], "decision": decision,
                "caption": caption}  # fmt: skip
        return web.ask(comfy_server, "POST", "/kiln/curate/decide", body)

    answer = decide("accepted", row["caption"])
    assert answer.status == 200, answer.body
    chosen = comfy_server.base / "input" / "kiln" / "chosen"
    file = chosen / answer.json["file"]
    assert file.name == f"ComfyUI_00001-{row['sha'][:8]}.png"
    assert file.read_bytes() == (folder / "ComfyUI_00001_.png").read_bytes()
    assert file.with_suffix(".txt").read_text() == "a lighthouse"
    second = client.run(prompt)["outputs"]
    assert second["3"]["kiln_review"][0]["pictures"] == 1
    told = web.ask(comfy_server, "GET", "/kiln/curate?name=chosen").json
    assert told == {row["sha"]: {"decision": "accepted", "caption": "a lighthouse"}}
    # There and back again: the same file, nothing twice.
    assert decide("rejected", "").status == 200
    assert not file.exists()
    assert decide("accepted", "a white lighthouse").status == 200
    assert file.with_suffix(".txt").read_text() == "a white lighthouse"
    assert sorted(p.name for p in chosen.glob("*.*")) == [
        ".kiln", file.name, file.with_suffix(".txt").name,
    ]


@pytest.mark.parametrize(
    "change",
    [{"name": "../x"}, {"sha": "../../x"}, {"sha": "0" * 64}, {"decision": "else"}, {"sha": 7},
     {"caption": "x" * (2**20 + 1)}, {"name": "a/b"}],
)  # fmt: skip
def test_hostile_decisions(comfy_server: ComfyServer, change: dict[str, Any]) -> None:
    body = {"name": "evil", "sha": "1" * 64, "decision": "accepted", "caption": "", "label": "../x"}
    answer = web.ask(comfy_server, "POST", "/kiln/curate/decide", body | change)
    assert answer.status == 400
    assert not list((comfy_server.base / "input").rglob("*evil*/*.png"))
