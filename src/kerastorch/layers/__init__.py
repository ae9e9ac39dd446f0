"""Layers under their Keras names. Wherever a model takes a layer, it also takes any `torch.nn.Module`."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import LAYERS
from kerastorch.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from kerastorch.layers.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from kerastorch.layers.attention import AdditiveAttention, Attention
from kerastorch.layers.augmentation_color import RandomBrightness, RandomContrast, RandomErasing
from kerastorch.layers.augmentation_filters import RandomGaussianBlur, RandomSharpness
from kerastorch.layers.augmentation_geometry import RandomRotation, RandomShear, RandomTranslation, RandomZoom
from kerastorch.layers.augmentation_mixing import CutMix, MixUp
from kerastorch.layers.augmentation_pixels import RandomCrop, RandomFlip
from kerastorch.layers.augmentation_policies import AugMix, RandAugment
from kerastorch.layers.augmentation_rgb import (
    RandomColorDegeneration,
    RandomColorJitter,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from kerastorch.layers.augmentation_values import RandomInvert, RandomPosterization, Solarization
from kerastorch.layers.augmentation_warps import RandomElasticTransform, RandomPerspective
from kerastorch.layers.base import Layer
from kerastorch.layers.batch_normalization import BatchNormalization
from kerastorch.layers.bidirectional import Bidirectional
from kerastorch.layers.category_encoding import CategoryEncoding
from kerastorch.layers.concatenate import Concatenate, Dot, concatenate, dot
from kerastorch.layers.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from kerastorch.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from kerastorch.layers.convolution import Conv1D, Conv2D, Conv3D
from kerastorch.layers.core import Activation, Dense, Maxout
from kerastorch.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from kerastorch.layers.discretization import Discretization
from kerastorch.layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)
from kerastorch.layers.einsum import EinsumDense
from kerastorch.layers.embedding import Embedding, ReversibleEmbedding
from kerastorch.layers.feature_normalization import Normalization
from kerastorch.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from kerastorch.layers.hashing import HashedCrossing, Hashing
from kerastorch.layers.histogram_contrast import (
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
)
from kerastorch.layers.input_layer import InputLayer
from kerastorch.layers.integer_lookup import IntegerLookup
from kerastorch.layers.lambda_ import Lambda
from kerastorch.layers.max_num_bounding_boxes import MaxNumBoundingBoxes
from kerastorch.layers.mel_spectrogram import MelSpectrogram
from kerastorch.layers.merging import (
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    maximum,
    minimum,
    multiply,
    subtract,
)
from kerastorch.layers.multi_head import GroupQueryAttention, MultiHeadAttention
from kerastorch.layers.normalization import GroupNormalization, LayerNormalization, RMSNormalization, UnitNormalization
from kerastorch.layers.pipeline import Pipeline
from kerastorch.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from kerastorch.layers.recurrent import GRU, LSTM, SimpleRNN
from kerastorch.layers.rescaling import Rescaling
from kerastorch.layers.reshaping import Flatten, Identity, Masking, Permute, RepeatVector, Reshape
from kerastorch.layers.resizing import CenterCrop, Resizing
from kerastorch.layers.rnn import RNN
from kerastorch.layers.rnn_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from kerastorch.layers.spatial_dropout import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from kerastorch.layers.spectral_normalization import SpectralNormalization
from kerastorch.layers.stft_spectrogram import STFTSpectrogram
from kerastorch.layers.string_lookup import StringLookup
from kerastorch.layers.text_vectorization import TextVectorization
from kerastorch.layers.time_distributed import TimeDistributed
from kerastorch.layers.upsampling import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from kerastorch.layers.wrapper import Wrapper
from kerastorch.symbolic.input import Input

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "AugMix",
    "AutoContrast",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Equalization",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "HashedCrossing",
    "Hashing",
    "Identity",
    "Input",
    "InputLayer",
    "IntegerLookup",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxNumBoundingBoxes",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Maxout",
    "MelSpectrogram",
    "Minimum",
    "MixUp",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "Pipeline",
    "RMSNormalization",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "STFTSpectrogram",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "Solarization",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "StringLookup",
    "Subtract",
    "TextVectorization",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, LAYERS)
