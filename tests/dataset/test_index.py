"""What is known of picture files is believed only while it is true, and survives everything."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset import index as module
from lora_kiln.dataset import index_file
from lora_kiln.dataset.decode import inspect
from lora_kiln.dataset.examine import examine, hides_colours
from lora_kiln.dataset.facts import NOTE_ALPHA, PictureRecord
from lora_kiln.dataset.index import PictureIndex, look_at_all
from lora_kiln.dataset.items import PictureFile, sha256_of
from lora_kiln.dataset.perceptual import differing_bits, perceptual_hash
from lora_kiln.dataset.scan import scan_folder

Gradient = Callable[..., Image.Image]


@pytest.fixture
def files(tmp_path: Path, gradient: Gradient) -> list[PictureFile]:
    """Twelve pictures, written long ago."""
    made = []
    for number in range(12):
        path = tmp_path / "set" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        gradient(40 + number, 30, seed=number).save(path)
        age(path)
        made.append(PictureFile(path, path.name))
    return made


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was examined."""
    names: list[str] = []

    def counted(file: PictureFile) -> PictureRecord:
        names.append(file.name)
        return examine(file)

    monkeypatch.setattr(module, "examine", counted)
    return names


def age(path: Path, seconds: float = 3600.0) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def looked(files: list[PictureFile], place: Path, **options: Any) -> list[PictureFile]:
    with PictureIndex(place, **options) as index:
        found = list(look_at_all(files, index=index))
    assert all(isinstance(file, PictureFile) and file.record for file in found)
    return found  # type: ignore[return-value]


def test_each_picture_is_decoded_once(
    files: list[PictureFile], tmp_path: Path, decodings: list[str]
) -> None:
    place = tmp_path / "cache" / "pictures.sqlite"
    first = looked(files, place)
    again = looked(files, place)
    assert sorted(decodings) == sorted(file.name for file in files)
    assert [file.record for file in first] == [file.record for file in again]
    for file, one in zip(files, again, strict=True):
        assert one.name == file.name
        assert one.sha256 == sha256_of(file.path.read_bytes())
        assert inspect(one) == inspect(file)


def test_a_changed_file_is_looked_at_again(
    files: list[PictureFile], tmp_path: Path, gradient: Gradient, decodings: list[str]
) -> None:
    place = tmp_path / "pictures.sqlite"
    before = looked(files, place)
    decodings.clear()
    gradient(99, 30).save(files[3].path)
    age(files[3].path, 1800)
    age(files[4].path, 1800)  # Touched, not changed.
    after = looked(files, place)
    assert sorted(decodings) == ["3.png", "4.png"]
    assert after[3].record is not None
    assert after[3].record.facts.width_px == 99
    assert after[4].sha256 == before[4].sha256
    # What was found earlier stands for the earlier file, and does not hide the change.
    assert inspect(before[3]).width_px == 99
    with pytest.raises(DatasetError, match="has changed since"):
        before[3].read_unchanged()


def test_a_file_written_just_now_is_not_remembered(
    files: list[PictureFile], tmp_path: Path, decodings: list[str]
) -> None:
    """It may be written again within the same tick of the file system's clock."""
    place = tmp_path / "pictures.sqlite"
    os.utime(files[0].path)
    looked(files, place)
    looked(files, place)
    assert decodings.count("0.png") == 2
    assert len(decodings) == len(files) + 1


def test_errors_come_in_place_and_are_not_remembered(
    files: list[PictureFile], tmp_path: Path
) -> None:
    whole = files[5].path.read_bytes()
    files[5].path.write_bytes(whole[:-20])
    files[7].path.unlink()
    with PictureIndex(tmp_path / "pictures.sqlite") as index:
        found = list(look_at_all(files, index=index))
        assert [n for n, one in enumerate(found) if isinstance(one, DatasetError)] == [5, 7]
        assert "5.png cannot be decoded" in str(found[5])
        assert "7.png cannot be read" in str(found[7])
        files[5].path.write_bytes(whole)
        assert isinstance(next(look_at_all(files[5:6], index=index)), PictureFile)
    with pytest.raises(DatasetError, match=r"7\.png"):
        list(map(_raise, look_at_all(files)))


def _raise(one: PictureFile | DatasetError) -> None:
    if isinstance(one, DatasetError):
        raise one


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "noise": lambda data: os.urandom(8192),
    "cut": lambda data: data[: len(data) // 2],
    "header": lambda data: b"x" * 100 + data[100:],
    "tree": lambda data: data[:4096] + os.urandom(len(data) - 4096),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_begun_anew(
    files: list[PictureFile], tmp_path: Path, damage: str, decodings: list[str]
) -> None:
    place = tmp_path / "pictures.sqlite"
    first = looked(files, place)
    place.write_bytes(DAMAGES[damage](place.read_bytes()))
    assert [one.record for one in looked(files, place)] == [one.record for one in first]
    decodings.clear()
    looked(files, place)
    assert decodings == []


def test_no_flipped_bit_is_believed(files: list[PictureFile], tmp_path: Path) -> None:
    place = tmp_path / "pictures.sqlite"
    first = {one.path: one.record for one in looked(files, place)}
    whole = place.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for at in random.integers(0, len(whole), 4):
            data[at] ^= 1 << int(random.integers(8))
        place.write_bytes(data)
        with PictureIndex(place) as index:
            known = index.known(files)
        assert all(first[path] == record for path, record in known.items())
    assert [one.record for one in looked(files, place)] == list(first.values())


def test_a_table_of_another_layout_is_begun_anew(files: list[PictureFile], tmp_path: Path) -> None:
    place = tmp_path / "pictures.sqlite"
    with sqlite3.connect(place) as connection:
        connection.execute("CREATE TABLE pictures (path TEXT, colour TEXT)")
    connection.close()
    looked(files, place)
    with PictureIndex(place) as index:
        assert len(index.known(files)) == len(files)


def test_another_version_of_the_decoder_forgets(
    files: list[PictureFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodings: list[str]
) -> None:
    looked(files, tmp_path / "pictures.sqlite")
    monkeypatch.setattr(index_file, "_VERSION", "next")
    looked(files, tmp_path / "pictures.sqlite")
    assert len(decodings) == 2 * len(files)


def test_the_number_of_files_is_bounded(files: list[PictureFile], tmp_path: Path) -> None:
    place = tmp_path / "pictures.sqlite"
    looked(files, place)
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE pictures SET seen = 1")
    connection.close()
    looked(files[:4], place)  # Asked for today.
    extra = [PictureFile(file.path.rename(file.path.with_name(f"x{n}.png")), f"x{n}.png")
             for n, file in enumerate(files[4:6])]
    looked(extra, place, most_rows=8)
    with PictureIndex(place) as index:
        assert len(index.known([*files[:4], *extra])) == 6
    with sqlite3.connect(place) as connection:
        assert connection.execute("SELECT count(*) FROM pictures").fetchone() == (7,)
    connection.close()


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"pictures\.sqlite"):
        PictureIndex(tmp_path / "file" / "pictures.sqlite")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(DatasetError, match=r"folder\.sqlite"):
        PictureIndex(tmp_path / "folder.sqlite")


WORKER = """
import sys; sys.path.insert(0, {devtools!r})
from load_pack import load_pack; load_pack()
from pathlib import Path
from lora_kiln.dataset.index import PictureIndex, look_at_all
from lora_kiln.dataset.items import PictureFile
files = [PictureFile(p, p.name) for p in sorted(Path({folder!r}).iterdir())]
index = PictureIndex(Path({place!r}))
print("ready", flush=True)
sys.stdin.readline()
for _ in range({turns}):
    for one in look_at_all(files, index=index):
        index.remember([(one.path, one.record)])
index.close()
print("done", flush=True)
"""


def test_processes_share_an_index_and_one_is_killed(
    files: list[PictureFile], tmp_path: Path, decodings: list[str]
) -> None:
    place = tmp_path / "pictures.sqlite"
    texts = {
        "devtools": str(Path(__file__).resolve().parents[2] / "devtools"),
        "folder": str(files[0].path.parent), "place": str(place),
    }
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER.format(turns=turns, **texts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for turns in (5, 10_000)
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    begun = time.monotonic()
    while time.monotonic() < begun + 0.3:
        looked(files, place)
    runs[1].kill()
    assert runs[0].communicate(timeout=120)[0] == "done\n"
    runs[1].communicate()
    decodings.clear()
    looked(files, place)
    assert decodings == []


def test_cancelling_is_prompt_and_loses_nothing(
    files: list[PictureFile], tmp_path: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = threading.Event()

    def waits(file: PictureFile) -> PictureRecord:
        if file.name == "6.png":
            slow.wait(20)
        return examine(file)

    monkeypatch.setattr(module, "examine", waits)
    progress = fakes.Progress(cancel_after=5)
    begun = time.monotonic()
    seen: list[PictureFile | DatasetError] = []
    with PictureIndex(tmp_path / "pictures.sqlite") as index:
        with pytest.raises(KeyboardInterrupt):
            seen.extend(look_at_all(files, index=index, progress=progress, workers=2))
        assert time.monotonic() - begun < 5
        assert len(seen) == 6
        assert len(index.known(files)) == 6
    slow.set()


def test_a_scan_with_an_index_is_the_same_scan(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*"):
        age(path)
    plain = scan_folder(folder, name="x")
    with PictureIndex(tmp_path / "pictures.sqlite") as index:
        first = scan_folder(folder, name="x", index=index)
        again = scan_folder(folder, name="x", index=index)
    assert plain == first == again
    assert plain.fingerprint == first.fingerprint == again.fingerprint


def test_many_threads_stay_strict_whatever_others_tell_pillow(
    gradient: Gradient, tmp_path: Path
) -> None:
    """A stranger that keeps switching Pillow to lenient never gets half a picture in."""
    files = []
    for number in range(40):
        path = tmp_path / f"{number}.jpg"
        gradient(300, 200).save(path, quality=95)
        if number % 2:
            path.write_bytes(path.read_bytes()[:-2500])
        files.append(PictureFile(path, path.name))
    stop = threading.Event()

    def switch() -> None:
        while not stop.wait(0.005):
            ImageFile.LOAD_TRUNCATED_IMAGES = True

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    stranger = threading.Thread(target=switch)
    stranger.start()
    try:
        found = list(look_at_all(files, workers=4))
    finally:
        stop.set()
        stranger.join()
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    assert not any(isinstance(one, PictureFile) for one in found[1::2])
    assert any(isinstance(one, PictureFile) for one in found[::2])


def test_the_switch_is_put_back_after_the_last_of_many(
    files: list[PictureFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (True, False):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", value)
        list(look_at_all(files, workers=4))
        assert ImageFile.LOAD_TRUNCATED_IMAGES is value


def test_copies_look_alike_and_others_do_not() -> None:
    random = np.random.default_rng(2)
    pictures = [
        Image.fromarray(random.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize(
            (300, 240), Image.Resampling.BICUBIC
        )
        for _ in range(20)
    ]
    hashes = [perceptual_hash(picture) for picture in pictures]
    for picture, value in zip(pictures, hashes, strict=True):
        small = picture.resize((130, 104), Image.Resampling.LANCZOS)
        dull = picture.point(lambda level: int(level * 0.8) + 20)
        assert differing_bits(value, perceptual_hash(small)) <= 10
        assert differing_bits(value, perceptual_hash(dull)) <= 10
    apart = [differing_bits(a, b) for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(apart) >= 14
    assert abs(np.mean(apart) - 32) < 2
    assert perceptual_hash(Image.new("RGB", (64, 64), (200, 10, 10))) == 0
    assert all(0 <= value < 2**64 for value in hashes)


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [((255, 0, 255), True), ((0, 0, 0), False), ((255, 255, 255), False), ((90, 90, 90), True),
     ((255, 0, 0), True), ((3, 2, 1), False)],
)
def test_colours_below_transparency_are_noticed(
    hidden: tuple[int, int, int], expected: bool, tmp_path: Path
) -> None:
    picture = Image.new("RGBA", (16, 16), (*hidden, 0))
    picture.paste((10, 20, 30, 255), (4, 4, 9, 9))
    assert hides_colours(picture) is expected
    assert not hides_colours(picture.convert("RGB"))
    picture.save(tmp_path / "a.png")
    record = examine(PictureFile(tmp_path / "a.png", "a.png"))
    assert record.hides_colours is expected
    assert record.facts.notes == (NOTE_ALPHA,)
