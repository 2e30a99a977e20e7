"""Datasets in a real browser: dropped, looked through, mended, chosen and taken home."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

from lora_kiln.devtools.browser import load_workflow, open_front_end

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lora_kiln.devtools.comfy_server import ComfyServer

COLOURS = ("crimson", "teal", "goldenrod", "slateblue", "seagreen", "sienna")
NODE = "window.app.graph._nodes.find(node => node.type === '{}')"
FOLDER = NODE.format("KilnLoadImageFolder") + ".widgets.find(own => own.name === 'folder')"


def node(number: int, kind: str, place: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"id": number, "type": kind, "pos": list(place), **more}


def link_out(kind: str, number: int) -> dict[str, Any]:
    return {"name": kind.lower(), "type": kind, "links": [number]}


def graph(*nodes: dict[str, Any], links: tuple[tuple[Any, ...], ...] = ()) -> dict[str, Any]:
    return {"version": 0.4, "nodes": list(nodes), "links": [list(own) for own in links]}


def write_pictures(folder: Path, count: int) -> None:
    """Numbered pictures that a person can tell apart, all but each fourth with a caption."""
    folder.mkdir(parents=True)
    for number in range(count):
        image = Image.new("RGB", (160 + 20 * (number % 3), 160), COLOURS[number % 6])
        ImageDraw.Draw(image).ellipse((30, 30, 110, 110), fill="white")
        image.save(folder / f"{number:03d}.png")
        if number % 4 != 3:
            text = f"a {COLOURS[number % 6]} plate with a white disc, number {number}"
            (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".kiln" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def drop(page: Page, at: tuple[float, float], path: Path) -> None:
    """Drop a file or folder from outside of the browser, as a person does with the mouse."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent",
                     {"type": kind, "x": at[0], "y": at[1], "data": data})


@pytest.fixture
def errors(browser_page: Page) -> Iterator[list[str]]:
    found: list[str] = []
    browser_page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


@pytest.fixture
def page(comfy_server: ComfyServer, browser_page: Page, errors: list[str]) -> Page:
    shutil.rmtree(comfy_server.base / "input" / "kiln", ignore_errors=True)
    open_front_end(browser_page, comfy_server.url)
    return browser_page


def said(page: Page, panel: str, text: str) -> None:
    page.wait_for_function(
        "([panel, text]) => document.querySelector(`${panel} .kiln-told`)"
        "?.textContent.includes(text)", arg=[panel, text], timeout=30_000,
    )


def test_a_folder_and_a_zip_are_dropped(
    comfy_server: ComfyServer, page: Page, tmp_path: Path, screenshot: Callable[[str], Path]
) -> None:
    dropped = tmp_path / "My plates"
    write_pictures(dropped, 120)
    (dropped / ".DS_Store").write_bytes(b"x")
    (dropped / "notes.docx").write_bytes(b"x")
    load_workflow(page, graph(node(1, "KilnLoadImageFolder", (300, 200))))
    panel = page.locator(".kiln-upload")
    panel.wait_for()
    page.evaluate("() => { window.app.canvas.ds.scale = 1; window.app.canvas.centerOnNode("
                  "window.app.graph._nodes[0]); }")
    page.wait_for_timeout(300)
    screenshot("empty")
    # On the node's title, which is drawn on the canvas.
    box = panel.bounding_box()
    title = page.evaluate(f"() => {{ const own = {NODE.format('KilnLoadImageFolder')};"
                          " return window.app.canvas.ds.convertOffsetToCanvas("
                          "[own.pos[0] + 60, own.pos[1] - 12]); }")
    assert box is not None
    drop(page, (title[0], title[1]), dropped)
    said(page, ".kiln-upload", "120 pictures and 90 other files uploaded")
    there = comfy_server.base / "input" / "kiln" / "My plates"
    wanted = {k: v for k, v in files_of(dropped).items() if k not in (".DS_Store", "notes.docx")}
    assert files_of(there) == wanted
    assert page.evaluate(f"{FOLDER}.value") == "input/kiln/My plates"
    assert "2 files left out" in panel.inner_text()
    panel.locator("summary").click()
    screenshot("folder")

    with zipfile.ZipFile(tmp_path / "My plates.zip", "w") as archive:
        for name, data in wanted.items():
            archive.writestr(f"My plates/{name}", data)
    box = panel.bounding_box()
    assert box is not None
    drop(page, (box["x"] + 20, box["y"] + box["height"] - 8), tmp_path / "My plates.zip")
    said(page, ".kiln-upload", "as My plates-2, because My plates was there already")
    assert files_of(there.with_name("My plates-2")) == wanted
    assert page.evaluate(f"{FOLDER}.value") == "input/kiln/My plates-2"

    with page.expect_download() as download:
        panel.get_by_text("Download zip").click()
    assert download.value.suggested_filename == "My plates-2.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"My plates-2/{name}": data for name, data in wanted.items()
        }
    saved = page.evaluate(f"{NODE.format('KilnLoadImageFolder')}.serialize().widgets_values")
    own = page.evaluate(f"{NODE.format('KilnLoadImageFolder')}.widgets.map(own => own.name)")
    assert saved[0] == "input/kiln/My plates-2" and "kiln_upload" in own
    assert len(saved) == len(own) - 1  # The panel is not in a saved workflow.


def test_an_upload_is_cancelled(
    comfy_server: ComfyServer, page: Page, tmp_path: Path, screenshot: Callable[[str], Path]
) -> None:
    write_pictures(tmp_path / "slow", 5)
    load_workflow(page, graph(node(1, "KilnLoadImageFolder", (300, 200))))
    page.route("**/parcel*", lambda route: None)  # A connection that hangs.
    with page.expect_file_chooser() as chooser:
        page.locator(".kiln-upload").get_by_text("Upload folder…").click()
    chooser.value.set_files(tmp_path / "slow")
    said(page, ".kiln-upload", "Uploading 0.0 of")
    screenshot("uploading")
    page.locator(".kiln-upload").get_by_text("Cancel").click()
    said(page, ".kiln-upload", "Cancelled: nothing was kept.")
    folder = comfy_server.base / "input" / "kiln"
    for _ in range(100):
        left = list(folder.iterdir())
        if not left:
            break
        page.wait_for_timeout(50)
    assert left == []


def card(page: Page, name: str) -> Any:
    return page.locator(f".kiln-card[aria-label='{name}']")


def run_graph(page: Page, root: str) -> None:
    page.evaluate("window.app.queuePrompt(0, 1)")
    page.wait_for_selector(f"{root} .kiln-card", timeout=60_000, state="attached")


def show_node(page: Page, kind: str, width: int = 800, height: int = 860) -> None:
    page.evaluate(
        f"([width, height]) => {{ const own = {NODE.format(kind)}; own.setSize([width, height]);"
        " window.app.canvas.ds.scale = 1; window.app.canvas.centerOnNode(own);"
        " window.app.graph.setDirtyCanvas(true, true); }", [width, height],
    )
    page.wait_for_timeout(300)


def test_captions_are_reviewed(
    comfy_server: ComfyServer, page: Page, screenshot: Callable[[str], Path]
) -> None:
    folder = comfy_server.base / "input" / "kiln" / "plates"
    write_pictures(folder, 10)
    first = folder / "000.txt"
    before = first.read_bytes()
    load_workflow(page, graph(
        node(1, "KilnLoadImageFolder", (0, 0), outputs=[link_out("KILN_DATASET", 1)],
             widgets_values=["input/kiln/plates", "white", "#f4efe6", ".txt", True, "off"]),
        node(2, "KilnReviewDataset", (500, 0), widgets_values=["all"],
             inputs=[{"name": "dataset", "type": "KILN_DATASET", "link": 1}]),
        links=((1, 1, 0, 2, 0, "KILN_DATASET"),),
    ))  # fmt: skip
    run_graph(page, ".kiln-pictures")
    show_node(page, "KilnReviewDataset")
    page.wait_for_function("document.querySelector('.kiln-card img').naturalWidth > 0")
    assert page.locator(".kiln-card").count() == 10
    screenshot("grid")

    # By keys: edit, save and go on, accept, reject.
    card(page, "000.png").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type("tsukumo, a crimson plate")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("document.activeElement.getAttribute('aria-label') === '001.png'")
    for _ in range(100):
        if first.read_bytes() != before:
            break
        page.wait_for_timeout(20)
    assert first.read_text("utf-8") == "tsukumo, a crimson plate"
    page.keyboard.press("a")
    page.wait_for_selector(".kiln-card[aria-label='001.png'][data-decision='accepted']")
    page.wait_for_function("document.activeElement.getAttribute('aria-label') === '002.png'")
    page.keyboard.press("r")
    page.wait_for_selector(".kiln-card[aria-label='002.png'][data-decision='rejected']")
    assert not (folder / "002.png").exists()
    assert (folder / "rejected" / "002.png").is_file()
    assert (folder / "rejected" / "002.txt").is_file()
    screenshot("decided")

    # Taken back, last first: the rejection, the acceptance, the caption.
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
        page.wait_for_function("document.querySelector('.kiln-pictures .kiln-told')"
                               ".textContent.startsWith('Taken back')")
        page.evaluate("document.querySelector('.kiln-pictures .kiln-told').textContent = ''")
    assert (folder / "002.png").is_file() and (folder / "002.txt").is_file()
    assert first.read_bytes() == before

    # Somebody else writes meanwhile: both texts are shown, nothing is lost.
    first.write_text("theirs", encoding="utf-8")
    card(page, "000.png").locator("textarea").fill("mine")
    card(page, "001.png").focus()
    page.wait_for_selector(".kiln-trouble:not([hidden])")
    assert "theirs" in card(page, "000.png").locator(".kiln-trouble").inner_text()
    assert first.read_text("utf-8") == "theirs"
    screenshot("conflict")
    card(page, "000.png").get_by_text("Save mine").click()
    page.wait_for_selector(".kiln-card[aria-label='000.png'] .kiln-trouble", state="hidden")
    page.wait_for_function("!document.querySelector('[data-busy]')")
    assert first.read_text("utf-8") == "mine"

    # The caption is removed meanwhile: whoever saves then knows it, and can.
    first.unlink()
    card(page, "000.png").locator("textarea").fill("mine again")
    card(page, "001.png").focus()
    page.wait_for_selector(".kiln-trouble:not([hidden])")
    assert "removed" in card(page, "000.png").locator(".kiln-trouble").inner_text()
    card(page, "000.png").get_by_text("Save mine").click()
    page.wait_for_selector(".kiln-card[aria-label='000.png'] .kiln-trouble", state="hidden")
    page.wait_for_function("!document.querySelector('[data-busy]')")
    assert first.read_text("utf-8") == "mine again"

    # Far away, the text is still on its way when a button is clicked: one save, then the decision.
    sent: list[str] = []
    def late(route: Any) -> None:
        sent.append(route.request.url)
        page.wait_for_timeout(400)
        route.continue_()

    page.route("**/kiln/review/caption", late)
    card(page, "000.png").locator("textarea").fill("far away")
    card(page, "000.png").get_by_text("Accept").click()
    page.wait_for_selector(".kiln-card[aria-label='000.png'][data-decision='accepted']")
    page.unroute("**/kiln/review/caption")
    assert len(sent) == 1 and first.read_text("utf-8") == "far away"

    # What is typed stays when the grid is read again meanwhile; and so does what can be undone.
    card(page, "001.png").locator("textarea").fill("half a sent")
    (folder / "001.txt").write_text("theirs, a teal one", encoding="utf-8")
    page.evaluate("[...document.querySelectorAll('.kiln-pictures button')]"
                  ".find(own => own.textContent === 'Reload').click()")
    page.wait_for_timeout(700)
    assert card(page, "001.png").locator("textarea").input_value() == "half a sent"
    card(page, "003.png").focus()
    page.wait_for_selector(".kiln-card[aria-label='001.png'] .kiln-trouble:not([hidden])")
    assert (folder / "001.txt").read_text("utf-8") == "theirs, a teal one"
    card(page, "001.png").get_by_text("Keep the file's text").click()
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".kiln-card[aria-label='000.png'][data-decision='']")

    # Found again by what is missing, and by words.
    chosen = page.locator(".kiln-pictures select")
    chosen.select_option("Without a caption")
    assert page.locator(".kiln-card").count() == 2
    chosen.select_option("All pictures")
    page.get_by_placeholder("Search").fill("TEAL")
    assert page.locator(".kiln-card").all_inner_texts()[0].startswith("001.png")
    assert page.locator(".kiln-card").count() == 1


def test_generated_pictures_are_curated(
    comfy_server: ComfyServer, page: Page, screenshot: Callable[[str], Path]
) -> None:
    empty = [
        node(n, "EmptyImage", (0, 200 * n), widgets_values=[64, 64, 1, colour],
             outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [n]}])
        for n, colour in ((1, 0xAA3322), (2, 0x2255AA))
    ]
    load_workflow(page, graph(
        *empty,
        node(3, "ImageBatch", (300, 0), outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [3]}],
             inputs=[{"name": "image1", "type": "IMAGE", "link": 1},
                     {"name": "image2", "type": "IMAGE", "link": 2}]),
        node(4, "KilnCurateImages", (600, 0), widgets_values=["picked", "rust plate\nblue plate"],
             inputs=[{"name": "images", "type": "IMAGE", "link": 3}]),
        links=((1, 1, 0, 3, 0, "IMAGE"), (2, 2, 0, 3, 1, "IMAGE"), (3, 3, 0, 4, 0, "IMAGE")),
    ))  # fmt: skip
    run_graph(page, ".kiln-pictures")
    show_node(page, "KilnCurateImages", 620, 560)
    card(page, "picture_001").get_by_text("Accept").click()
    card(page, "picture_002").get_by_text("Reject").click()
    page.wait_for_selector(".kiln-card[data-decision='rejected']")
    screenshot("curated")
    folder = comfy_server.base / "input" / "kiln" / "picked"
    (text,) = folder.glob("*.txt")
    assert text.read_text("utf-8") == "rust plate"
    (kept,) = folder.glob("*.png")
    with Image.open(io.BytesIO(kept.read_bytes())) as image:
        assert (image.size, image.getpixel((0, 0))) == ((64, 64), (0xAA, 0x33, 0x22))

    # Queued again: decisions stay, and the dataset goes on.
    page.evaluate("window.app.queuePrompt(0, 1)")
    page.wait_for_function(
        "Object.values(window.app.nodeOutputs ?? {}).filter(own => own.kiln_curate).length === 1"
    )
    page.wait_for_timeout(500)
    assert card(page, "picture_001").get_attribute("data-decision") == "accepted"
    assert card(page, "picture_002").get_attribute("data-decision") == "rejected"
    history = comfy_server.client().get("/history?max_items=1")
    (entry,) = history.values()
    assert entry["status"]["status_str"] == "success", json.dumps(entry["status"])[:2000]

    # Another mind: out of the dataset again, and nothing is deleted.
    card(page, "picture_001").get_by_text("Reject").click()
    page.wait_for_selector(".kiln-card[aria-label='picture_001'][data-decision='rejected']")
    assert list(folder.glob("*.png")) == []
    assert [p.name for p in (folder / "rejected").glob("*.png")] == [kept.name]
