"""The settings of `adopt`, and the same as settings of a run, for what photos are used for."""

from dataclasses import dataclass, field, replace
from typing import Any

from models.building.backbones import Backbone
from models.building.scalings import Front
from models.errors import SettingError
from models.images import SIZES_PX, Framing
from training.settings.config import FitConfig
from training.settings.setting import check_settings, setting

RESIZES = ("squash", "crop", "pad")


@dataclass(frozen=True)
class AdoptConfig:
    """The settings of `adopt`; what a file does not say of the program around it."""

    scaling: str | None = setting(
        None,
        "Scaling of pixels: raw, 0..1, -1..1, caffe, torch, or mean,std in pixel values.",
        shown="the network's own, or tried on photos",
    )
    resize: str = setting("squash", "Way a photo meets the square input.", choices=RESIZES)
    bgr: bool = setting(False, "Give the network blue first, as OpenCV does.")
    invert: bool = setting(False, "Give the network 255 - x, as for dark digits on white.")
    size: int = setting(
        0, "Side of the input in px, where the network takes any.", *SIZES_PX, or_zero=True
    )
    int8: bool = setting(True, "With --photos, also write a graph in INT8, if nearly as good.")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.scaling is not None:
            self.front  # noqa: B018  # checks itself

    @property
    def front(self) -> Front:
        """The layers in front that were asked for."""
        front = Front(self.scaling or "raw", self.bgr, self.invert)
        front.check(3)
        return front

    def framing(self, shape: tuple[int, ...]) -> Framing:
        """Say how a photo meets the square around an input of (H, W) or (H, W, C).

        Raises:
            SettingError: the size or the way is out of what a bundle can have.
        """
        height, width = shape[:2]
        if self.resize == "pad" and height != width:
            raise SettingError(
                f"--resize pad needs a square; the network reads {height} x {width} px: "
                "use squash or crop"
            )
        return Framing(max(height, width), self.resize, 1.0)  # type: ignore[arg-type]


@dataclass(frozen=True)
class MeasureConfig(FitConfig):
    """A run's settings for a network that is there already: nothing of it is trained."""

    adopted: str = "adopted"  # name of the network
    square: Framing = field(default_factory=lambda: Framing(224))
    chosen: dict[str, Any] = field(default_factory=dict)  # what `adopt` settled

    @property
    def row(self) -> Backbone:
        """A row for the adopted network, which stands in no table."""
        return Backbone(self.adopted, self.square.size, "inside", smallest=8)

    @property
    def framing(self) -> Framing:
        """How a photo meets the network's square."""
        return replace(self.square, levels=self.levels)

    def as_json(self) -> dict[str, Any]:
        """List the settings that change the result."""
        names = ("seed", "validation_share", "test_share", "max_megapixels", "more_formats",
                 "merge_names", "leave_out_small", "coverage", "insight", "check",
                 "int8")  # fmt: skip
        return self.chosen | {name: getattr(self, name) for name in names}
