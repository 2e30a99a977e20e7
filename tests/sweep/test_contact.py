"""The contact sheet: every page in its place, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import SweepPlan, plan_sweep
from lora_kiln.sweep.contact import LARGEST_SIDE_PX, draw_contact
from lora_kiln.sweep.grid import lay_out


def plan_of(pages: int) -> SweepPlan:
    chosen = [AxisValues("strength", (0.0, 1.0)), AxisValues("cfg", (2.0, 7.0))]
    plan = plan_sweep(CellSettings(), chosen)
    return replace(plan, page_labels=tuple(f"page {n} 🐱\n" + "x" * (n % 99) for n in range(pages)))


@pytest.mark.parametrize("pages", [2, 3, 7, 20])
def test_pages_stand_in_order_without_their_labels(pages: int) -> None:
    plan = plan_of(pages)
    layout = lay_out(plan, (64, 48), "t")

    def sheets() -> Iterator[Image.Image]:
        for number in range(pages):
            sheet = Image.new("RGB", layout.size, "magenta")
            sheet.paste((number * 4, 255, 255 - number * 4), layout.cells_box)
            yield sheet

    contact = draw_contact(plan, sheets(), layout, "title")
    assert max(contact.size) <= LARGEST_SIDE_PX + 200
    pixels = np.asarray(contact).astype(int)
    assert not (pixels == (255, 0, 255)).all(-1).any()
    corners = []
    for number in range(pages):
        found = np.argwhere((pixels == (number * 4, 255, 255 - number * 4)).all(-1))
        assert len(found) > 500
        corners.append(tuple(found[0]))
    assert corners == sorted(corners)
    assert len(set(corners)) == pages


def test_thousands_of_pages() -> None:
    plan = plan_of(1000)
    layout = lay_out(plan, (64, 64), "t")
    blank = Image.new("RGB", layout.size)
    contact = draw_contact(plan, (blank for _ in range(1000)), layout, "t")
    assert contact.width <= LARGEST_SIDE_PX + 200
    assert contact.height <= 8192
