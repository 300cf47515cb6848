"""The built-in layers that are read, with the settings that decide what each computes.

Anything that is not here is refused by its name: a layer of somebody's own cannot be rebuilt
from its text, and a setting that nobody knows may change what a layer computes.
"""

from dataclasses import dataclass, field
from typing import Any

_WINDOW = ("strides", "padding", "data_format")
_CONV = ("kernel_size", *_WINDOW, "dilation_rate", "activation", "use_bias")
_NORM = ("axis", "epsilon", "center", "scale")


@dataclass(frozen=True)
class Kind:
    """One kind of layer."""

    keys: tuple[str, ...] = ()  # settings that count; the others must be harmless
    fixed: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # values that change nothing
    renamed: dict[str, str] = field(default_factory=dict)  # an older spelling -> today's
    weights: tuple[str, ...] = ()  # in the order of `get_weights`, where a setting drops none


_ONE_GROUP = {"groups": (1, None)}
KINDS: dict[str, Kind] = {
    "Activation": Kind(("activation",)),
    "AdaptiveAveragePooling2D": Kind(("output_size", "data_format")),
    "AdaptiveMaxPooling2D": Kind(("output_size", "data_format")),
    "Add": Kind(),
    "Average": Kind(),
    "AveragePooling2D": Kind(("pool_size", *_WINDOW)),
    "BatchNormalization": Kind(
        _NORM,
        fixed={
            "renorm": (False,),
            "renorm_clipping": (None,),
            "virtual_batch_size": (None,),
            "adjustment": (None,),
        },
        weights=("gamma", "beta", "moving_mean", "moving_variance"),
    ),
    "CenterCrop": Kind(("height", "width", "data_format")),
    "Concatenate": Kind(("axis",)),
    "Conv2D": Kind(("filters", "groups", *_CONV), weights=("kernel", "bias")),
    "Conv2DTranspose": Kind(
        ("filters", "output_padding", *_CONV), fixed=_ONE_GROUP, weights=("kernel", "bias")
    ),
    "Cropping2D": Kind(("cropping", "data_format")),
    "Dense": Kind(("units", "activation", "use_bias"), weights=("kernel", "bias")),
    "DepthwiseConv2D": Kind(
        ("depth_multiplier", *_CONV),
        fixed={**_ONE_GROUP, "filters": (None,)},
        weights=("depthwise_kernel", "bias"),
    ),
    "ELU": Kind(("alpha",)),
    "Flatten": Kind(("data_format",)),
    "GlobalAveragePooling1D": Kind(("data_format", "keepdims")),
    "GlobalAveragePooling2D": Kind(("data_format", "keepdims")),
    "GlobalMaxPooling1D": Kind(("data_format", "keepdims")),
    "GlobalMaxPooling2D": Kind(("data_format", "keepdims")),
    "GroupNormalization": Kind(("groups", *_NORM), weights=("gamma", "beta")),
    "LayerNormalization": Kind(_NORM, fixed={"rms_scaling": (False,)}, weights=("gamma", "beta")),
    "LeakyReLU": Kind(("negative_slope",), renamed={"alpha": "negative_slope"}),
    "MaxPooling2D": Kind(("pool_size", *_WINDOW)),
    "Maximum": Kind(),
    "Minimum": Kind(),
    "Multiply": Kind(),
    "Normalization": Kind(("axis", "mean", "variance", "invert"), weights=("mean", "variance")),
    "PReLU": Kind(("shared_axes",), weights=("alpha",)),
    "Permute": Kind(("dims",)),
    "RMSNormalization": Kind(("axis", "epsilon"), weights=("scale",)),
    "ReLU": Kind(("max_value", "negative_slope", "threshold")),
    "RepeatVector": Kind(("n",)),
    "Rescaling": Kind(("scale", "offset")),
    "Reshape": Kind(("target_shape",)),
    "Resizing": Kind(
        (
            *("height", "width", "interpolation", "crop_to_aspect_ratio"),
            *("pad_to_aspect_ratio", "fill_mode", "fill_value", "antialias", "data_format"),
        )
    ),
    "SeparableConv2D": Kind(
        ("filters", "depth_multiplier", *_CONV),
        fixed=_ONE_GROUP,
        weights=("depthwise_kernel", "pointwise_kernel", "bias"),
    ),
    "Softmax": Kind(("axis",)),
    "Subtract": Kind(),
    "UnitNormalization": Kind(("axis",)),
    "UpSampling2D": Kind(("size", "data_format", "interpolation")),
    "ZeroPadding2D": Kind(("padding", "data_format")),
    # Keras 2 only, read as what computes the same today.
    "ThresholdedReLU": Kind(("threshold",), renamed={"theta": "threshold"}),
    # Layers of keras.applications that are no part of Keras' own list.
    "LayerScale": Kind(("init_values", "projection_dim"), weights=("gamma",)),
    "CustomScaleLayer": Kind(("scale",)),
}
ALIASES = {
    "AvgPool2D": "AveragePooling2D",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "MaxPool2D": "MaxPooling2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Pipeline": "Sequential",  # of augmentation; both are a list of layers
}

# Active in training only: they leave a photo as it is when the network answers.
TRAINING_ONLY = frozenset(
    {
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *("Identity", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness"),
        *("RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur"),
        *("RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective"),
        *("RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness"),
        *("RandomShear", "RandomTranslation", "RandomZoom"),
        *("RandomHeight", "RandomWidth"),  # Keras 2
    }
)
# What a refused layer is for; other kinds are refused without this.
_FOREIGN: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Embedding", "ReversibleEmbedding", "TextVectorization"),
        "it belongs to a model of text, not of images",
    ),
    (
        (
            *("CategoryEncoding", "Discretization", "HashedCrossing", "Hashing"),
            *("IntegerLookup", "StringLookup"),
        ),
        "it belongs to a model of tables or text, not of images",
    ),
    (
        ("MelSpectrogram", "STFTSpectrogram"),
        "it belongs to a model of sound, not of images",
    ),
    (
        (
            *("Bidirectional", "GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "SimpleRNN"),
            *("SimpleRNNCell", "StackedRNNCells", "TimeDistributed", "ConvLSTM1D", "Masking"),
            *("ConvLSTM2D", "ConvLSTM3D"),
        ),
        "it reads sequences; networks of single images are adopted",
    ),
    (
        (
            *("Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D", "Cropping3D"),
            *("GlobalAveragePooling3D", "GlobalMaxPooling3D", "UpSampling3D", "ZeroPadding3D"),
            *("AdaptiveAveragePooling3D", "AdaptiveMaxPooling3D"),
        ),
        "it reads volumes or videos; networks of single images are adopted",
    ),
    (
        ("Lambda",),
        "its Python code would have to be run: replace it by built-in layers such as "
        "Rescaling or Resizing, and save the model again",
    ),
    (
        ("KerasLayer",),
        "its network lies at TensorFlow Hub, not in the file: rebuild it with the "
        "same network from keras.applications, copy the weights, save it again",
    ),
    (
        ("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"),
        "its network is not made of Keras' layers: rebuild it with built-in ones",
    ),
    (
        ("TensorFlowOpLayer",),
        "TensorFlow 2.3 or older saved it: load it there, and save it again with 2.13 or newer",
    ),
    (
        ("RandomCrop",),
        "it also crops when the network answers: replace it by CenterCrop or Resizing",
    ),
)
FOREIGN = {name: reason for names, reason in _FOREIGN for name in names}


def refusal(kind: str) -> str | None:
    """Return why a built-in layer is refused; None: it is read, or is no layer of Keras."""
    if kind in KINDS or kind in ALIASES or kind in TRAINING_ONLY:
        return None
    return FOREIGN.get(
        kind, "it has no counterpart here yet; docs/adopt.md lists the layers that are read"
    )
