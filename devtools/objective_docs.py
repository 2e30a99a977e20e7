"""Writes the tables and pictures of ``docs/objectives.md`` from the code itself.

    python -m devtools.objective_docs

The text between the tables is kept; a test refuses a page that differs from the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .load_pack import load_pack

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "objectives.md"
PICTURES = ROOT / "docs" / "pictures"
HEAD = "| name | formula | source | who else has it | when to use it |\n|---|---|---|---|---|"
TIMES = 400


def tables() -> dict[str, str]:
    """Every table of the page by name."""
    from lora_kiln.trainer.density import densities
    from lora_kiln.trainer.loss import losses
    from lora_kiln.trainer.objective import objectives
    from lora_kiln.trainer.weighting import weightings

    return {
        "objectives": _table(objectives()),
        "densities": _table(densities()),
        "weightings": _table(weightings()),
        "losses": _table(losses()),
        "defaults": _defaults(),
        "targets": _targets(),
        "advice": _advice(),
    }


def written(page: str) -> str:
    """The page with its tables as the code has them."""
    for name, table in tables().items():
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("\n<!-- end -->")
        if not mark or not end:
            raise ValueError(f"{PAGE.name} has no place for the table '{name}'")
        page = before + mark + table + end + after
    return page


def _table(entries: Mapping[str, Any]) -> str:
    rows = [
        _row(f"`{name}`", f"{entry.told.formula}".replace("|", "\\|"), entry.told.source,
             entry.told.elsewhere, entry.told.use)
        for name, entry in entries.items()
    ]
    return "\n".join([HEAD, *rows])


def _defaults() -> str:
    from lora_kiln.lora_format.family import families

    rows = ["| model | density | shift | previews | why |", "|---|---|---|---|---|"]
    for family in families().values():
        for variant in family.training.variants.values():
            drawn = variant.preview
            preview = f"{drawn.sampler}, {drawn.scheduler}, {drawn.steps} steps, CFG {drawn.cfg:g}"
            levels = variant.levels
            if levels is None:
                rows.append(_row(variant.title, "by what it predicts", "none", preview,
                                 "see the densities"))
                continue
            shift = levels.shift if levels.shift != "static" else f"{levels.shift_value:g}"
            rows.append(_row(variant.title, f"`{levels.density}`", shift, preview, levels.reason))
    return "\n".join(rows)


def _targets() -> str:
    from lora_kiln.lora_format.family import families

    rows = ["| family | preset | modules of the published model |", "|---|---|---|"]
    for family in families().values():
        # Whole modules: a fused one counts once.
        paths = [
            path for path, shape in family.network.shapes().items() if len(shape) > 1
        ]
        for preset in family.training.presets:
            count = sum(family.training.is_target(path, preset) for path in paths)
            mark = " (default)" if preset == family.training.preset else ""
            rows.append(_row(family.title, f"`{preset}`{mark}", str(count)))
    return "\n".join(rows)


def _advice() -> str:
    from lora_kiln.lora_format.family import families

    head = "| family | purpose | rank | learning rate | steps | targets |"
    rows = [head, "|---|---|---|---|---|---|"]
    for family in families().values():
        for purpose, advice in family.training.advice.items():
            steps = f"{advice.steps}"
            if advice.steps_per_picture:
                steps = f"about {advice.steps_per_picture} per picture, some {steps} in all"
            rows.append(_row(family.title, purpose, str(advice.rank),
                             f"{advice.learning_rate:g}", steps, f"`{advice.targets}`"))
    return "\n".join(rows)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def draw() -> None:
    """The pictures of the page."""
    from lora_kiln.trainer.density import densities
    from lora_kiln.trainer.law import ContinuousLaw, DiscreteLaw, FlowLaw, ddpm_sigmas
    from lora_kiln.trainer.weighting import weightings

    edm = ContinuousLaw(prediction="edm", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    curves = {
        entry.title: _curve(entry, edm if name == "lognormal" else FlowLaw())
        for name, entry in densities().items()
    }
    _plot(PICTURES / "densities.png", curves, "How often each noise level is drawn",
          "share of the draws per unit of time", (0.0, 3.0))
    for name, prediction, zero, title in (
        ("weights_eps.png", "eps", False, "noise prediction"),
        ("weights_v.png", "v", True, "v-prediction, zero terminal SNR"),
    ):
        law = DiscreteLaw(prediction=prediction, sigmas=ddpm_sigmas(zero_terminal=zero))
        found = {
            entry.title: _weights(entry, law)
            for entry in weightings().values() if prediction in entry.objectives
        }
        _plot(PICTURES / name, found, f"Share of the weight: {title}",
              "share of the weight per unit of time", (0.0, 6.0))


def _curve(entry: Any, law: Any) -> tuple[list[float], list[float]]:
    """Density over time: the slope of the inverse of the quantile function."""
    import torch

    even = torch.linspace(0.0005, 0.9995, TIMES, dtype=torch.float64)
    times = entry.quantile(even, entry.mean or 0.0, entry.spread or 1.0, law)
    slope = (even[1:] - even[:-1]) / (times[1:] - times[:-1]).clamp(min=1e-9)
    return ((times[1:] + times[:-1]) / 2).tolist(), slope.tolist()


def _weights(entry: Any, law: Any) -> tuple[list[float], list[float]]:
    import torch

    from lora_kiln.trainer.objective import objective_for

    objective = objective_for(law.prediction)
    times = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    sigma = law.sigma(times)
    weight = entry.weight(
        objective.snr(sigma, 1.0), objective.eps_share(sigma, 1.0), entry.gamma or 0.0,
        objective.name,
    )
    return times.tolist(), (weight / weight.mean()).tolist()


def _plot(
    path: Path, curves: Mapping[str, tuple[Iterable[float], Iterable[float]]], title: str,
    label: str, limits: tuple[float, float],
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    for name, (times, values) in curves.items():
        axes.plot(list(times), list(values), linewidth=1.8, label=name)
    axes.set(title=title, xlabel="time: 0 clean picture, 1 pure noise", ylabel=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(*limits)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})


def main() -> None:
    """Write page and pictures."""
    load_pack()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    draw()


if __name__ == "__main__":
    main()
