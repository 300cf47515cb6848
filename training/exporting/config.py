"""The settings of `export`: which format, proven on which photos; what cannot be written."""

from dataclasses import dataclass
from pathlib import Path

from models.errors import FormatError, SettingError
from training.settings.setting import check_settings, setting

TFJS = "tfjs"
FORMATS = ("onnx", "saved_model", "litert", "keras", TFJS)
NO_TFJS = (
    "--format tfjs cannot be written: its converter, tensorflowjs 4.22.0, wants TensorFlow 2.19 "
    "and would replace the installed one. For a browser use --format onnx, which comes with a "
    "page for onnxruntime-web"
)


@dataclass(frozen=True)
class ExportConfig:
    """What to write, and what to prove it on."""

    format: str = setting("onnx", "Format to write.", choices=FORMATS)
    photos: Path | None = setting(
        None, "Photos to prove the export on.", shown="the bundle's samples"
    )
    int8: bool = setting(False, "Write whole numbers of 8 bits: litert only, needs --photos.")
    replace: bool = setting(False, "Replace an earlier export at --out.")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.format == TFJS:
            raise FormatError(NO_TFJS)
        if self.int8 and self.format != "litert":
            raise SettingError(f"--int8 contradicts --format {self.format}: use --format litert")
        if self.int8 and self.photos is None:
            raise SettingError(
                "--int8 needs --photos: ranges of all layers are measured on photos such as the "
                "model will see; a hundred are enough"
            )
