"""Whether the picture shows what the prompt says (CLIP-T, arXiv 2104.08718)."""

from __future__ import annotations

from ..score import TEXT, VISION, Score, Scored, ScoreInput


def compute(given: ScoreInput) -> Scored:
    """Cosine of the picture to its prompt without the trigger."""
    assert given.vision is not None
    of_cells = given.vision.of_cells

    def agreement(index: int, prompt: str) -> float:
        return float(of_cells[index] @ given.texts[prompt])

    known = {c.index: c.settings.prompt for c in given.cells if c.settings.prompt in given.texts}
    values = {index: agreement(index, prompt) for index, prompt in known.items()}
    gains = {
        index: values[index] - agreement(base, known[index])
        for index, base in given.bases.items()
        if index in known
    }
    return Scored(values, {"gain": gains})


SCORE = Score(
    name="prompt",
    title="Prompt kept",
    doc="Cosine between the picture and its prompt, the trigger word left out, in the common "
    "space of a paired vision and text model; beside it the gain over strength 0.",
    caveat="Above about 0.30 differences say nothing. That SDXL's text encoders share the space "
    "of the published vision models is not proven: it is checked on your captions.",
    better="higher",
    needs=frozenset({VISION, TEXT}),
    compute=compute,
)
