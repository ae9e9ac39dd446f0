"""Names of torch that a file may use: functions and methods in graphs, optimizers, initializers, memory formats.

Optimizers of torch that kerastorch implements are among them.

The lists are closed. No function in them reads or writes files, runs code from text, changes a tensor in place or
reaches the interpreter.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional, init

from kerastorch.optimizers.update_rules import RULES

_MATHS = """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all allclose amax amin aminmax angle any arccos
    arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort asin asinh atan atan2 atanh baddbmm bincount
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm broadcast_to bucketize
    ceil chunk clamp clamp_max clamp_min clip clone conj copysign corrcoef cos cosh count_nonzero cov cross cummax
    cummin cumprod cumsum deg2rad det detach diag diag_embed diagonal diff digamma dist div divide dot dsplit eq erf
    erfc erfinv exp exp2 expm1 fix flatten flip fliplr flipud float_power floor floor_divide fmax fmin fmod frac frexp
    gather gcd ge greater greater_equal gt heaviside histc hsplit hypot i0 index_add index_copy index_fill index_select
    inner inverse isclose isfinite isin isinf isnan isneginf isposinf isreal kron kthvalue lcm ldexp le lerp less
    less_equal lgamma log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and logical_not
    logical_or logical_xor logit logsumexp lt masked_fill masked_scatter masked_select matmul matrix_exp matrix_power
    max maximum mean median min minimum mm mode moveaxis movedim msort mul multiply mv mvlgamma nan_to_num nanmean
    nanmedian nanquantile nansum narrow ne neg negative nextafter nonzero norm not_equal numel outer permute pinverse
    polygamma positive pow prod qr quantile rad2deg ravel real reciprocal relu remainder renorm repeat_interleave
    reshape resolve_conj roll rot90 round rsqrt scatter scatter_add scatter_reduce select sgn sigmoid sign signbit sin
    sinc sinh slogdet softmax sort split sqrt square squeeze std sub subtract sum svd swapaxes swapdims t take
    take_along_dim tan tanh tensor_split tile topk trace transpose tril triu true_divide trunc unbind unflatten
    unsqueeze var vdot vsplit where xlogy
"""
_FUNCTIONS = """
    arange bernoulli block_diag broadcast_tensors cartesian_prod cat cdist celu chain_matmul channel_shuffle clamp_max
    column_stack combinations concat concatenate complex cosine_similarity cumulative_trapezoid dropout dstack einsum
    empty_like eye full full_like gelu group_norm hardshrink hstack imag is_complex is_floating_point layer_norm
    linspace meshgrid normal ones ones_like pairwise_distance pixel_shuffle pixel_unshuffle polar prelu rand_like
    randn_like row_stack rrelu scalar_tensor searchsorted selu stack std_mean stft tensordot threshold trapezoid
    tril_indices triu_indices unique unique_consecutive vander var_mean view_as_complex view_as_real vstack zeros
    zeros_like
"""
_OF_TENSORS = """
    bool contiguous dim double expand expand_as float half bfloat16 int long short byte new_empty new_full new_ones
    new_tensor new_zeros ndimension repeat requires_grad reshape_as size stride sum_to_size to type_as unfold view
    view_as index_put is_contiguous
    __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__ __rfloordiv__ __mod__
    __rmod__ __pow__ __rpow__ __matmul__ __rmatmul__ __and__ __rand__ __or__ __ror__ __xor__ __rxor__ __eq__ __ne__
    __lt__ __le__ __gt__ __ge__ __neg__ __invert__ __abs__ __getitem__ __lshift__ __rshift__ __rlshift__ __rrshift__
"""
_OF_NETWORKS = """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d affine_grid alpha_dropout avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear
    binary_cross_entropy binary_cross_entropy_with_logits celu conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d cosine_embedding_loss cosine_similarity cross_entropy dropout dropout1d dropout2d dropout3d elu
    embedding feature_alpha_dropout fold gaussian_nll_loss gelu glu grid_sample group_norm gumbel_softmax hardshrink
    hardsigmoid hardswish hardtanh hinge_embedding_loss huber_loss instance_norm interpolate kl_div l1_loss layer_norm
    leaky_relu linear local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d margin_ranking_loss max_pool1d
    max_pool2d max_pool3d mish mse_loss multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss nll_loss
    normalize one_hot pad pairwise_distance pixel_shuffle pixel_unshuffle poisson_nll_loss prelu relu relu6 rms_norm
    rrelu scaled_dot_product_attention selu sigmoid silu smooth_l1_loss soft_margin_loss softmax softmin softplus
    softshrink softsign tanh tanhshrink threshold triplet_margin_loss unfold upsample
"""
_OF_LINALG = """
    cross det diagonal eigvalsh inv matmul matrix_norm matrix_power multi_dot norm pinv qr slogdet solve svdvals
    vecdot vector_norm
"""
_OF_FFT = "fft fft2 fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftn"
_OF_SPECIAL = "entr erf erfc erfcx erfinv exp2 expit expm1 gammaln i0 i0e i1 i1e log1p log_ndtr log_softmax logit ndtr "
_OF_SPECIAL += "ndtri psi round sinc softmax xlog1py xlogy zeta"
_OPERATORS = """
    abs add and_ eq floordiv ge getitem gt invert le lshift lt matmul mod mul ne neg or_ pos pow rshift sub truediv xor
"""
_INITIALIZERS = """
    constant_ dirac_ eye_ kaiming_normal_ kaiming_uniform_ normal_ ones_ orthogonal_ trunc_normal_ uniform_
    xavier_normal_ xavier_uniform_ zeros_
"""
_ROUNDING = ("floor", "ceil", "trunc", "sqrt")
_OPTIMIZERS = """
    ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam RAdam RMSprop Rprop SGD SparseAdam
"""

METHODS = frozenset((_MATHS + _OF_TENSORS).split())  # of `Tensor`, which a graph may call
# of `Tensor`, which a graph may read by `getattr`
ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real", "imag", "shape", "dtype", "device", "ndim"})


def _named_functions() -> Iterator[tuple[str, Any]]:
    """Yield the names and functions that a graph may call, as far as this version of torch has them."""
    namespaces: tuple[tuple[str, Any, str], ...] = (
        ("torch", torch, _MATHS + _FUNCTIONS),
        ("torch.nn.functional", functional, _OF_NETWORKS),
        ("torch.linalg", torch.linalg, _OF_LINALG),
        ("torch.fft", torch.fft, _OF_FFT),
        ("torch.special", torch.special, _OF_SPECIAL),
        ("operator", operator, _OPERATORS),
    )
    for prefix, namespace, names in namespaces:
        for name in names.split():
            if callable(function := getattr(namespace, name, None)):
                yield f"{prefix}.{name}", function
    for name in _ROUNDING:
        yield f"math.{name}", getattr(math, name)
    yield "getattr", getattr


FUNCTIONS: dict[str, Any] = dict(_named_functions())  # which a graph may call
OPTIMIZERS: dict[str, Any] = {
    f"torch.optim.{name}": getattr(torch.optim, name) for name in _OPTIMIZERS.split() if hasattr(torch.optim, name)
} | {f"{rule.__module__}.{rule.__name__}": rule for rule in RULES}
OTHERS: dict[str, Any] = OPTIMIZERS | {f"torch.nn.init.{name}": getattr(init, name) for name in _INITIALIZERS.split()}
FORMATS = {
    str(found): found
    for found in (
        torch.contiguous_format, torch.channels_last, torch.channels_last_3d, torch.preserve_format, torch.strided,
    )
}  # fmt: skip

# what a config may hold; `getattr` is for graphs only, where the attribute is one of ATTRIBUTES
VALUES: dict[str, Any] = {name: value for name, value in FUNCTIONS.items() if name != "getattr"} | OTHERS | FORMATS
_NAMES: dict[Any, str] = {}
for _name, _value in {**VALUES, "getattr": getattr}.items():
    _NAMES.setdefault(_value, _name)


def name_of(thing: Any) -> str | None:
    """Return the name of a function, class or memory format of torch; `None` if it is not in the tables."""
    try:
        return _NAMES.get(thing)
    except TypeError:  # not hashable, so not in the tables
        return None
