"""Settings of the objective: what is asked, at which noise levels, and how errors count."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import ConfigError
from ..core.settings import setting, validate
from .density import densities
from .loss import SCHEDULES, losses
from .objective import objectives
from .shift import SHIFTS
from .weighting import weightings

AUTO = "auto"
KINDS = ("base", "distilled", "dedistilled")
LAST_TIMESTEP = 1000


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
    """What is minimised. Left alone, everything follows from the connected model."""

    weighting: str = setting(
        "none",
        doc="How much each noise level counts. none is what the models were trained with. "
        "min_snr learns faster on noise prediction (SDXL, Pony, Illustrious); on a v-prediction "
        "model it takes nearly all weight from the noisiest levels, where brightness and "
        "composition are learned: look at the picture of shares.",
        choices=tuple(sorted(weightings())),
    )
    gamma: float = setting(
        0.0,
        doc="Parameter of the weighting. 0 takes its usual value: 5 for min_snr, 4 for "
        "soft_min_snr, 1 for p2.",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
    )
    density: str = setting(
        AUTO,
        doc="How often each noise level is trained. auto takes what suits the connected model: "
        "uniform for SDXL, a shifted logit-normal for Z-Image.",
        choices=(AUTO, *sorted(densities())),
    )
    loss: str = setting(
        "mse",
        doc="How an error counts. huber and smooth_l1 forgive large errors, which helps with "
        "pictures that do not fit in.",
        choices=tuple(sorted(losses())),
    )
    noise_offset: float = setting(
        0.0,
        doc="Noise that is the same all over the picture, so that darker and brighter pictures "
        "are learned. At most about 0.05. Only for noise prediction without zero terminal SNR.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    outside_mask: float = setting(
        0.0,
        doc="Where pictures have masks: how much the part outside of the mask counts. 0 leaves "
        "it out.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )
    model_kind: str = setting(
        AUTO,
        doc="Whether the model is a base model, or distilled to few steps (Turbo, Lightning, "
        "schnell). auto goes by the name of its file.",
        choices=(AUTO, *KINDS),
        advanced=True,
    )
    prediction: str = setting(
        AUTO,
        doc="What the model predicts. auto reads it from the model, where ComfyUI knows it. Set "
        "it only where a file fails to say so, and put ModelSamplingDiscrete before the sampler "
        "too.",
        choices=(AUTO, *sorted(objectives())),
        advanced=True,
    )
    zero_terminal_snr: str = setting(
        AUTO,
        doc="Whether the noise schedule ends in pure noise, as v-prediction models of anime often "
        "do. auto reads it from the model.",
        choices=(AUTO, "on", "off"),
        advanced=True,
    )
    density_mean: float = setting(
        0.0,
        doc="Where the bell of logit_normal stands (0: in the middle, above 0: towards noise), or "
        "that of lognormal (0: at its usual -1.2).",
        minimum=-10.0,
        maximum=10.0,
        step=0.1,
        advanced=True,
    )
    density_spread: float = setting(
        0.0,
        doc="Width of the density, for mode its strength. 0 takes its usual value.",
        minimum=0.0,
        maximum=10.0,
        step=0.1,
        advanced=True,
    )
    shift: str = setting(
        AUTO,
        doc="Moves noise levels towards noise. static: by shift_value. resolution: more for "
        "larger pictures, as Flux does. model: as the connected model's own sampler. auto: what "
        "suits the model.",
        choices=(AUTO, *SHIFTS),
        advanced=True,
    )
    shift_value: float = setting(
        3.0,
        doc="The shift where shift is static. 1 moves nothing.",
        minimum=0.1,
        maximum=100.0,
        step=0.1,
        advanced=True,
    )
    timestep_from: int = setting(
        0,
        doc="Noise levels below this timestep are not trained. 0 is the clean picture.",
        minimum=0,
        maximum=LAST_TIMESTEP - 1,
        advanced=True,
    )
    timestep_to: int = setting(
        LAST_TIMESTEP,
        doc="Noise levels above this timestep are not trained. 1000 is pure noise.",
        minimum=1,
        maximum=LAST_TIMESTEP,
        advanced=True,
    )
    stratified: bool = setting(
        True,
        doc="Spread the noise levels of a step, and of consecutive steps, evenly over the "
        "density. The same on average, with less noise in the gradient.",
        advanced=True,
    )
    huber_width: float = setting(
        0.1,
        doc="Errors beyond this are forgiven by huber and smooth_l1; with a schedule, the "
        "smallest width.",
        minimum=0.001,
        maximum=1.0,
        step=0.01,
        advanced=True,
    )
    huber_schedule: str = setting(
        "snr",
        doc="How the width falls from 1 at clean pictures to huber_width at noise.",
        choices=SCHEDULES,
        advanced=True,
    )
    pyramid_levels: int = setting(
        0,
        doc="Pyramid (multires) noise: coarser noise on top, this many times. 6 is usual; 0 "
        "switches it off. Only for noise prediction without zero terminal SNR.",
        minimum=0,
        maximum=10,
        advanced=True,
    )
    pyramid_discount: float = setting(
        0.3,
        doc="How much weaker every coarser level of the pyramid is.",
        minimum=0.01,
        maximum=1.0,
        step=0.05,
        advanced=True,
    )
    input_perturbation: float = setting(
        0.0,
        doc="Shows the network slightly more noise than it is asked for, so that it forgives its "
        "own mistakes when drawing (arXiv 2301.11706; the target does not move). 0.1 is the "
        "paper's value.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.timestep_from >= self.timestep_to:
            raise ConfigError(
                f"timestep_from is {self.timestep_from} and timestep_to is {self.timestep_to}",
                expected="a range that is not empty",
                remedy="Lower timestep_from or raise timestep_to",
            )
