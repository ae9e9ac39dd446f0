"""Calls of `keras.ops` that `make_ops_values.py` makes with Keras and `test_ops_table.py` with kerastorch.

A case is `(name, args, kwargs)`. An `A` among the arguments is a random array; all else is passed as it is.
"""

import dataclasses
import zlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class A:
    """A random array: its shape, dtype, and kind of values."""

    shape: tuple
    dtype: str = "float32"
    kind: str = "normal"

    def array(self, salt):
        """Return the array, float32 or an integer type, which is then cast to `dtype`."""
        rng = np.random.RandomState(zlib.crc32(repr((self, salt)).encode()) % 2**31)
        if self.kind == "nan":
            values = np.round(rng.normal(size=self.shape), 3)
            values = np.where(rng.random_sample(self.shape) < 0.3, np.nan, values)
        elif self.kind == "special":
            values = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], self.shape)
        elif self.kind == "spd":
            one = rng.normal(size=self.shape)
            values = one @ np.swapaxes(one, -1, -2) + 2 * np.eye(self.shape[-1])
        elif self.kind == "lower":
            values = np.tril(rng.normal(size=self.shape)) + 3 * np.eye(self.shape[-1])
        elif self.kind == "probabilities":
            values = np.exp(rng.normal(size=self.shape))
            values = values / values.sum(-1, keepdims=True)
        elif self.kind == "sorted":
            values = np.sort(np.round(rng.normal(size=self.shape), 3), -1)
        elif self.kind == "distinct":
            values = rng.permutation(int(np.prod(self.shape))).reshape(self.shape) - 2
        elif self.kind.startswith("below"):
            values = rng.randint(0, int(self.kind[5:]), self.shape)
        elif self.dtype == "bool":
            values = rng.randint(0, 2, self.shape)
        elif "int" in self.dtype:
            low = 0 if self.dtype.startswith("u") or self.kind in ("positive", "unit", "above1") else -4
            values = rng.randint(max(low, 1 if self.kind in ("positive", "above1") else low), 6, self.shape)
        else:
            normal = rng.normal(size=self.shape)
            values = {
                "normal": normal, "positive": np.abs(normal) + 0.1, "unit": np.tanh(normal) * 0.9,
                "above1": np.abs(normal) + 1.1,
            }[self.kind]  # fmt: skip
        exact = values if "int" in self.dtype or self.dtype == "bool" or self.kind in ("nan", "special") else None
        return np.asarray(np.round(values, 3) if exact is None else exact)


def v(n=4, dtype="float32", kind="normal"):
    return A((n,), dtype, kind)


def m(dtype="float32", kind="normal", shape=(3, 4)):
    return A(shape, dtype, kind)


DTYPES = ("float32", "float16", "bfloat16", "float64", "int32", "int64", "int8", "uint8", "bool")

UNARY = {
    "normal": """abs absolute angle arcsinh arctan cbrt ceil conj conjugate copy cos cosh deg2rad exp exp2 expm1 fabs
        floor i0 isfinite isreal logical_not negative rad2deg real imag sign signbit sin sinc sinh square tan tanh
        trunc round nan_to_num ravel ndim size fliplr flipud zeros_like ones_like relu relu6 sigmoid silu swish
        softplus softsign hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid selu sparse_plus sparse_sigmoid
        tanh_shrink leaky_relu elu celu gelu hard_shrink soft_shrink squareplus softmax log_softmax sparsemax erf erfc
        transpose squeeze flip sort argsort nonzero tril triu diag diff isnan isinf isneginf isposinf cumsum cumprod
        stop_gradient shape is_tensor dtype convert_to_numpy convert_to_tensor array logsumexp glu normalize
        layer_normalization rms_normalization median nanmedian bitwise_not bitwise_invert corrcoef trace unstack
        average""",
    "positive": "log log2 log10 log1p sqrt rsqrt reciprocal",
    "unit": "arcsin arccos arctanh erfinv",
    "above1": "arccosh",
    "special": "isnan isinf isneginf isposinf isfinite nan_to_num signbit sign",
}
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "power",
    "mod",
    "fmod",
    "floor_divide",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "heaviside",
    "equal",
    "not_equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "isclose",
    "allclose",
    "divide_no_nan",
    "nextafter",
    "outer",
    "kron",
    "append",
    "matmul",
    "dot",
    "inner",
    "tensordot",
    "isin",
]
INTEGER = [
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "gcd",
    "lcm",
    "left_shift",
    "right_shift",
    "bitwise_left_shift",
    "bitwise_right_shift",
]
PAIRS = (
    ("float32", "float32"), ("float16", "float32"), ("bfloat16", "float16"), ("float64", "float32"),
    ("float64", "float64"), ("int32", "float32"), ("int64", "float16"), ("int32", "int32"), ("int64", "int32"),
    ("int64", "int64"), ("int8", "uint8"), ("int8", "int8"), ("uint8", "uint8"), ("bool", "int32"), ("bool", "bool"),
    ("bool", "float16"),
)  # fmt: skip
REDUCTIONS = [
    "sum",
    "mean",
    "var",
    "std",
    "prod",
    "max",
    "min",
    "amax",
    "amin",
    "ptp",
    "all",
    "any",
    "logsumexp",
    "nansum",
    "nanmean",
    "nanvar",
    "nanstd",
    "nanprod",
    "nanmax",
    "nanmin",
    "median",
    "quantile",
    "percentile",
    "nanmedian",
    "nanquantile",
    "nanpercentile",
    "argmax",
    "argmin",
    "nanargmax",
    "nanargmin",
    "count_nonzero",
    "average",
]


def _elementwise():
    for kind, names in UNARY.items():
        for name in names.split():
            for dtype in DTYPES if kind != "special" else ("float32",):
                yield name, (A((3, 4), dtype, kind),), {}
            yield name, (A((2, 3, 4), "float32", kind),), {}
            if kind == "normal":
                yield name, ([[1, 2], [3, 4]],), {}
                yield name, ([[1.5, 2.0], [0.5, 4.0]],), {}
    for name in BINARY:
        square = name in ("matmul", "dot", "inner", "tensordot")
        for one, other in PAIRS:
            shapes = ((3, 3), (3, 3)) if square else ((3, 4), (4,)) if name not in ("append",) else ((3, 4), (2,))
            kind = "positive" if name in ("power", "mod", "fmod", "floor_divide") else "normal"
            extra = {"axes": 1} if name == "tensordot" else {}
            yield name, (A(shapes[0], one), A(shapes[1], other, kind)), extra
        if not square:
            for dtype in ("float32", "float16", "int32", "int64", "uint8", "bool"):
                for number in (2, 2.5, True):
                    yield name, (v(4, dtype), number), {}
                    yield name, (number, v(4, dtype, "positive")), {}
    for name in ("mod", "fmod", "add", "multiply", "maximum", "dot", "floor_divide", "power"):
        for one, other in (("bool", "int8"), ("uint8", "bool"), ("int8", "float16")):
            yield name, (A((), one), A((3,), other, "positive")), {}
        yield name, (A((3, 2), "uint8"), -3), {}
        yield name, (A((0, 3)), A((3,), "float32", "positive") if name != "dot" else A((3, 2))), {}
    for name in ("transpose", "corrcoef", "ravel", "squeeze", "sort", "argsort", "cumsum", "flip", "softmax", "round"):
        yield name, (A(()),), {}
        yield name, (m(kind="nan"),), {}
    for name in ("maximum", "minimum", "fmax", "fmin", "less", "equal", "logical_and", "isclose"):
        yield name, (m(kind="special"), m(kind="special")), {}
    for name in INTEGER:
        for one, other in (("int32", "int32"), ("int64", "int32"), ("int8", "uint8"), ("uint8", "uint8")):
            yield name, (A((3, 4), one, "positive"), A((4,), other, "positive")), {}
        yield name, (A((3, 4), "int32", "positive"), 2), {}


def _reductions():
    for name in REDUCTIONS:
        one_axis = name.startswith(("arg", "nanarg"))
        q = {"quantile": (0.25,), "nanquantile": (0.25,), "percentile": (30.0,), "nanpercentile": (30.0,)}.get(name, ())
        for dtype in DTYPES:
            yield name, (m(dtype), *q), {}
            yield name, (m(dtype), *q), {"axis": -1}
        for kwargs in ({}, {"axis": 0}, {"axis": -1}, {"axis": 0, "keepdims": True}):
            if "keepdims" not in kwargs or name not in ("count_nonzero", "average"):
                yield name, (A(()), *q), kwargs
                yield name, (A((), "int32"), *q), kwargs
        for axis in (0, -1):
            if name not in ("var", "std"):  # of which torch warns
                yield name, (A((0, 3)), *q), {"axis": axis}
            yield name, (m(kind="nan"), *q), {"axis": axis}
        for axis in (None, 0, 1, -1, *(() if one_axis else ((0, 2), (-1, 0), [1, 2]))):
            for keepdims in (False, True):
                kwargs = {"axis": axis} | ({"keepdims": True} if keepdims else {})
                if name in ("count_nonzero", "average") and keepdims:
                    continue
                for kind in ("normal", "nan") if name.startswith("nan") else ("normal",):
                    yield name, (A((2, 3, 4), "float32", kind), *q), kwargs
        if q:
            yield name, (m(), [q[0], 2 * q[0]]), {"axis": 0}
            yield name, (m(), [q[0], 2 * q[0]]), {"axis": 1, "keepdims": True}
            for method in ("lower", "higher", "midpoint", "nearest"):
                yield name, (m(), q[0]), {"axis": 0, "method": method}
    for name in ("sum", "mean", "all", "any", "var", "amax", "nansum", "count_nonzero"):
        yield name, (m(),), {"axis": ()}
    for name in ("max", "min"):
        yield name, (m(),), {"axis": 0, "initial": 0.5}
        yield name, (A((0, 3)),), {"initial": 2.0}
    for name in ("cumsum", "cumprod", "nancumsum", "nancumprod"):
        for dtype in DTYPES:
            yield name, (m(dtype, "nan" if name.startswith("nan") and dtype == "float32" else "normal"),), {"axis": 0}
        yield name, (m(),), {}
        yield name, (m("int32"),), {"axis": -1, "dtype": "float32"}
    yield "prod", (m("int32"),), {"dtype": "float32"}
    yield "average", (m(),), {"axis": -1, "weights": A((4,), "float32", "positive")}
    yield "average", (m(),), {"weights": A((4,), "float32", "positive"), "axis": 1}


def _numpy():
    cube = A((2, 3, 4))
    yield from (
        ("reshape", (m(), (2, 6)), {}), ("reshape", (m(), (-1, 2)), {}), ("reshape", (m("int32"), 12), {}),
        ("reshape", (cube, [-1]), {}), ("transpose", (cube, (2, 0, 1)), {}), ("transpose", (cube,), {"axes": [0, 2, 1]}),
        ("swapaxes", (cube, 0, -1), {}), ("moveaxis", (cube, 0, -1), {}), ("moveaxis", (cube, (0, 1), (2, 0)), {}),
        ("expand_dims", (m(), 0), {}), ("expand_dims", (m(), -1), {}), ("expand_dims", (m(), (0, 2)), {}),
        ("squeeze", (A((1, 3, 1)),), {}), ("squeeze", (A((1, 3, 1)),), {"axis": 0}),
        ("squeeze", (A((1, 3, 1)),), {"axis": (0, -1)}), ("broadcast_to", (v(3), (2, 3)), {}),
        ("flip", (cube,), {"axis": 1}), ("flip", (cube,), {"axis": (0, -1)}), ("roll", (m(), 2), {}),
        ("roll", (m(), 1), {"axis": 0}), ("roll", (m(), (1, -1)), {"axis": (0, 1)}), ("rot90", (m(),), {}),
        ("rot90", (cube,), {"k": 3, "axes": (0, 2)}), ("tile", (m(), 2), {}), ("tile", (m(), (2, 1)), {}),
        ("tile", (v(2), [2, 2]), {}), ("repeat", (m(), 2), {}), ("repeat", (m(), 2), {"axis": -1}),
        ("repeat", (m(), [1, 2, 0]), {"axis": 0}), ("concatenate", ([m(), m()],), {}),
        ("concatenate", ([m(), m("int32")],), {"axis": -1}), ("stack", ([m(), m()],), {}),
        ("stack", ([m(), m()],), {"axis": -1}), ("stack", ((v(2), v(2)),), {"axis": 1}),
        ("hstack", ([m(), m()],), {}), ("vstack", ([v(), v()],), {}), ("dstack", ([m(), m()],), {}),
        ("append", (m(), m()), {"axis": 0}), ("split", (m(shape=(4, 6)), 2), {}),
        ("split", (m(shape=(4, 6)), 3), {"axis": 1}), ("split", (m(shape=(4, 6)), [1, 4]), {"axis": -1}),
        ("array_split", (m(shape=(5, 2)), 3), {}), ("array_split", (m(shape=(5, 2)), [2, 3]), {"axis": 0}),
        ("hsplit", (m(), 2), {}), ("hsplit", (m(), [1, 3]), {}), ("vsplit", (m(shape=(4, 2)), 2), {}),
        ("dsplit", (cube, 2), {}), ("unstack", (m(),), {"axis": 1}), ("unstack", (m(), 3), {}),
        ("pad", (m(), ((1, 0), (2, 1))), {}), ("pad", (m(), [(1, 1), (0, 2)]), {"constant_values": 3}),
        ("pad", (m(), ((1, 2), (2, 1))), {"mode": "reflect"}), ("pad", (m(), ((1, 1), (1, 1))), {"mode": "symmetric"}),
        ("pad", (v(), ((1, 1),)), {"mode": "symmetric"}), ("pad", (m("int32"), ((1, 1), (0, 0))), {"mode": "reflect"}),
        ("where", (m("bool"), m(), m()), {}), ("where", (m("bool"), m("int32"), 0.5), {}),
        ("where", (m("bool"), 1, 0), {}), ("where", (m("bool"),), {}), ("where", (m(), v(), 2), {}),
        ("select", ([m("bool"), m("bool")], [m(), m()]), {}), ("select", ([m("bool")], [m()], 7), {}),
        ("take", (m(), [0, 2]), {"axis": 0}), ("take", (m(), [[0, 2], [1, -1]]), {"axis": 1}), ("take", (m(), 5), {}),
        ("take", (m("int32"), [2, 0]), {"axis": 0}), ("take", (m(), 1), {"axis": -1}), ("take", (m(), [1, 7]), {}),
        ("take_along_axis", (m(), A((3, 2), "int32", "below4")), {"axis": 1}),
        ("take_along_axis", (m(), A((5,), "int32", "below12")), {}),
        ("get_item", (m(), 1), {}), ("get_item", (m(), (slice(None), 2)), {}), ("get_item", (cube, (Ellipsis, 0)), {}),
        ("sort", (m(),), {"axis": 0}), ("sort", (m(),), {"axis": None}), ("argsort", (m("int32", "distinct"),), {}),
        ("argsort", (m(),), {"axis": 0}), ("argsort", (m(),), {"axis": None}),
        ("searchsorted", (v(6, "float32", "sorted"), m()), {}),
        ("searchsorted", (v(6, "int32", "sorted"), v(3, "int32")), {"side": "right"}),
        ("digitize", (m(), v(3, "float32", "sorted")), {}), ("digitize", (m("int32"), [0, 2]), {}),
        ("nonzero", (m("int32"),), {}), ("isin", (m("int32"), [1, 2]), {}),
        ("isin", (m("int32"), [1, 2]), {"invert": True}), ("bincount", (v(8, "int32", "below4"),), {}),
        ("bincount", (v(8, "int32", "below4"),), {"minlength": 6}),
        ("bincount", (v(8, "int32", "below4"),), {"weights": v(8)}),
        ("bincount", (A((2, 5), "int32", "below4"),), {"minlength": 5}), ("bincount", (A((3, 0), "int32"),), {}),
        ("histogram", (v(20),), {}), ("histogram", (v(20),), {"bins": 4, "range": (-1.0, 1.0)}),
        ("unique", (v(8, "int32"),), {}), ("unique", (v(8, "int32"),), {"return_inverse": True}),
        ("unique", (v(8, "int32"),), {"return_counts": True, "return_index": True, "return_inverse": True}),
        ("unique", (A((4, 2), "int32", "below2"),), {"axis": 0}),
        ("unique", (v(8, "int32"),), {"size": 3}), ("unique", (v(4, "int32"),), {"size": 6, "fill_value": 9}),
        ("unravel_index", (v(5, "int32", "below12"), (3, 4)), {}), ("diff", (m(),), {"n": 2, "axis": 0}),
        ("diag", (v(3),), {"k": 1}), ("diag", (m(),), {"k": -1}), ("diagflat", (m(),), {}),
        ("diagflat", (v(2),), {"k": -1}), ("diagonal", (cube,), {}), ("diagonal", (cube,), {"offset": 1, "axis1": 1, "axis2": 2}),
        ("tril", (m(),), {"k": -1}), ("triu", (cube,), {"k": 1}), ("trace", (cube,), {"offset": 1, "axis1": 1, "axis2": 2}),
        ("clip", (m(), -0.5, 0.5), {}), ("clip", (m("int32"), -1, 2), {}), ("clip", (m("int32"), -0.5, 1.5), {}),
        ("clip", (m("float16"), -0.5, 0.5), {}), ("clip", (m("bool"), 0, 1), {}), ("clip", (m(), v(4), 2.0), {}),
        ("round", (m(),), {"decimals": 1}), ("nan_to_num", (m(kind="special"),), {"nan": 1.0, "posinf": 2.0, "neginf": -2.0}),
        ("view", (m(),), {"dtype": "int32"}), ("isclose", (m(), m()), {"atol": 1.0}),
        ("isclose", (m(kind="special"), m(kind="special")), {"equal_nan": True}), ("ldexp", (m(), m("int32")), {}),
        ("ldexp", (m("float16"), 2), {}), ("ldexp", (m("int32"), m("int32", "positive")), {}),
        ("matmul", (cube, A((4, 2))), {}), ("matmul", (A((5, 1, 2, 3)), A((4, 3, 2))), {}), ("matmul", (v(3), A((3, 2))), {}),
        ("matmul", (A((2, 3)), v(3)), {}), ("dot", (v(3), v(3)), {}), ("dot", (A((2, 3)), v(3)), {}), ("dot", (2.0, m()), {}),
        ("inner", (A((2, 3)), A((4, 3))), {}), ("vdot", (v(3), v(3)), {}), ("vdot", (v(3, "int32"), v(3)), {}),
        ("tensordot", (cube, A((3, 4, 5))), {}), ("tensordot", (cube, A((3, 2))), {"axes": (1, 0)}),
        ("tensordot", (cube, A((4, 3, 5))), {"axes": ([1, 2], [1, 0])}),
        ("einsum", ("ij,jk->ik", A((2, 3)), A((3, 4))), {}), ("einsum", ("bij,bij->b", cube, cube), {}),
        ("einsum", ("ii->i", A((3, 3), "int32")), {}), ("einsum", ("ij,ij", A((2, 2), "int8"), A((2, 2), "int8")), {}),
        ("einsum", ("...ij->...ji", cube), {}), ("cross", (A((4, 3)), A((4, 3))), {"axis": 1}),
        ("cross", (A((3, 4)), A((3, 4))), {"axis": 0}), ("trapezoid", (m(),), {}), ("trapezoid", (m(),), {"axis": 0}),
        ("trapezoid", (m(),), {"x": v(4, "float32", "sorted")}), ("trapezoid", (m(),), {"dx": 0.5}),
        ("vander", (v(3),), {}), ("vander", (v(3, "int32"),), {"N": 2, "increasing": True}),
        ("correlate", (v(5), v(3)), {}), ("correlate", (v(5), v(3)), {"mode": "full"}),
        ("correlate", (v(5, "int32"), v(3, "int32")), {"mode": "same"}), ("slogdet", (A((2, 3, 3), "float32", "spd"),), {}),
        ("meshgrid", (v(2), v(3)), {}), ("meshgrid", (v(2), v(3)), {"indexing": "ij"}),
        ("argpartition", (v(5, "int32", "distinct"), 2), {}), ("cast", (m(), "int32"), {}), ("cast", (m(), "float16"), {}),
        ("slice", (m(), (1, 0), (2, 3)), {}), ("slice", (cube, [0, 1, 2], [2, 1, 2]), {}),
        ("slice_update", (m(), (1, 2), A((2, 2))), {}), ("slice_update", (m("int32"), [0, 0], A((1, 4), "int32")), {}),
        ("scatter", ([[0], [2], [0]], A((3, 2)), (4, 2)), {}), ("scatter", ([[0, 1], [1, 1]], v(2), (2, 3)), {}),
        *(("scatter_update", (m(), [[0, 1], [2, 3], [0, 1]], v(3)), {"reduction": how}) for how in ("add", "max", "min", "mul")),
        *(("scatter_update", (m(), [[0], [2], [2]], A((3, 4))), {"reduction": how}) for how in ("add", "max", "min", "mul")),
        ("scatter_update", (m(), [[0, 1], [2, 3]], v(2)), {}), ("scatter_update", (m("int32"), [[1]], A((1, 4), "int32")), {}),
        ("cast", ([1, 2], "bool"), {}), ("saturate_cast", (m(), "uint8"), {}), ("saturate_cast", (m("int32"), "uint8"), {}),
    )  # fmt: skip
    for dtype in (None, "float16", "int32", "bool", "bfloat16"):
        kwargs = {} if dtype is None else {"dtype": dtype}
        for name in ("zeros", "ones"):
            yield name, ((2, 3),), kwargs
        yield "full", ((2, 2), 1), kwargs
        yield "full", ((2, 2), 1.5), kwargs
        yield "eye", (3,), kwargs
        yield "identity", (2,), kwargs
        yield "tri", (3,), kwargs
        yield "zeros_like", (m(),), kwargs
        yield "ones_like", (m("int32"),), kwargs
        yield "full_like", (m(), 2), kwargs
        yield "convert_to_tensor", ([[1, 0], [2, 3]],), kwargs
        yield "array", (1.5,), kwargs
    yield from (
        ("zeros", (3,), {}), ("full", ((2, 3), v(3)), {}), ("eye", (3, 4), {"k": 1}), ("eye", (3, 2, -1), {}),
        ("tri", (3, 4, 1), {}), ("arange", (4,), {}), ("arange", (1, 4), {}), ("arange", (0.0, 1.0, 0.25), {}),
        ("arange", (1, 9, 3), {"dtype": "float32"}), ("arange", (3.0,), {}), ("arange", (5, 1, -2), {}),
        ("linspace", (0, 1), {"num": 5}), ("linspace", (0.0, 2.0, 4), {"endpoint": False}),
        ("linspace", (0, 4, 3), {"dtype": "int32"}), ("linspace", (v(2), v(2, kind="positive"), 3), {}),
        ("linspace", (0, 1, 3), {"retstep": True}), ("logspace", (0, 2, 3), {}), ("logspace", (0, 2, 5), {"base": 2}),
        ("logspace", (0, 2, 4), {"endpoint": False}), ("geomspace", (1, 100, 3), {}), ("geomspace", (-1.0, -8.0, 4), {}),
        ("bartlett", (5,), {}), ("blackman", (5,), {}), ("hamming", (5,), {}), ("hanning", (5,), {}), ("kaiser", (5, 8.0), {}),
        ("convert_to_tensor", ([True, False],), {}), ("convert_to_tensor", (3,), {}), ("convert_to_tensor", ([1, 2.5],), {}),
        ("convert_to_tensor", ([],), {}), ("convert_to_tensor", (True,), {}), ("convert_to_tensor", (2**40,), {}),
        ("empty", ((2, 3),), {}), ("empty_like", (m(),), {}),
    )  # fmt: skip


def _linalg_and_math():
    spd, square = A((2, 3, 3), "float32", "spd"), A((2, 3, 3))
    complex_pair = (A((2, 8)), A((2, 8)))
    yield from (
        ("cholesky", (spd,), {}), ("cholesky", (spd,), {"upper": True}), ("det", (square,), {}), ("logdet", (spd,), {}),
        ("inv", (spd,), {}), ("eigh", (spd,), {}), ("lu_factor", (spd,), {}), ("solve", (spd, A((2, 3, 2))), {}),
        ("solve", (A((3, 3), "float32", "spd"), v(3)), {}), ("cholesky_inverse", (A((3, 3), "float32", "lower"),), {}),
        ("solve_triangular", (A((3, 3), "float32", "lower"), A((3, 2))), {"lower": True}),
        ("solve_triangular", (A((3, 3), "float32", "lower"), v(3)), {"lower": True}),
        ("svd", (A((3, 2)),), {"compute_uv": False}), ("qr", (A((3, 2)),), {}), ("qr", (A((3, 2)),), {"mode": "complete"}),
        ("lstsq", (A((4, 2)), v(4)), {}), ("lstsq", (A((4, 2)), A((4, 3))), {}), ("matrix_rank", (square,), {}),
        ("pinv", (A((3, 2)),), {}), ("norm", (m(),), {}), ("norm", (m(),), {"axis": 1}), ("norm", (m(), 1), {"axis": 0}),
        ("norm", (m(), "fro"), {"axis": (0, 1)}), ("norm", (m("int32"), 2), {"axis": -1, "keepdims": True}),
        ("norm", (m(), float("inf")), {"axis": 0}), ("norm", (m("float16"),), {}), ("norm", (m("int64"),), {}),
        ("norm", (A((2, 3, 4)), "nuc"), {"axis": (1, 2)}), ("top_k", (m(), 2), {}), ("top_k", (v(6), 3), {}),
        ("in_top_k", (v(3, "int32", "below4"), m(), 2), {}), ("cdist", (A((2, 3)), A((4, 3))), {}),
        ("cdist", (A((5, 2, 3)), A((1, 4, 3))), {}), ("extract_sequences", (A((2, 8)), 4, 2), {}),
        ("segment_sum", (A((6, 2)), v(6, "int32", "below3")), {"num_segments": 3}),
        ("segment_sum", (v(6), v(6, "int32", "below5")), {}), ("segment_sum", (v(6, "int32"), v(6, "int32", "below3")), {}),
        ("segment_max", (A((6, 2)), v(6, "int32", "below3")), {"num_segments": 4}),
        ("segment_min", (A((6, 2)), v(6, "int32", "below3")), {"num_segments": 4}),
        ("segment_prod", (A((6, 2)), v(6, "int32")), {"num_segments": 3}),
        ("logsumexp", (m(),), {"axis": 0, "keepdims": True}), ("fft", (complex_pair,), {}), ("fft2", (complex_pair,), {}),
        ("ifft2", (complex_pair,), {}), ("rfft", (A((2, 8)),), {}), ("rfft", (A((2, 8)),), {"fft_length": 5}),
        ("irfft", ((A((2, 5)), A((2, 5))),), {}), ("irfft", ((A((2, 5)), A((2, 5))),), {"fft_length": 7}),
        ("stft", (A((2, 32)), 8, 4, 8), {}), ("stft", (A((2, 32)), 6, 3, 8), {"window": "hamming", "center": False}),
        ("stft", (v(32), 8, 4, 16), {"window": None}), ("istft", ((A((2, 9, 5)), A((2, 9, 5))), 8, 4, 8), {}),
        ("istft", ((A((2, 9, 5)), A((2, 9, 5))), 8, 4, 8), {"center": False}),
        ("istft", ((A((9, 5)), A((9, 5))), 8, 4, 8), {"length": 20}),
        ("istft", ((A((9, 5)), A((9, 5))), 8, 2, 8), {"window": None}),
        ("view_as_complex", (A((3, 2)),), {}),
        ("rearrange", (A((2, 3, 4)), "a b c -> c (a b)"), {}), ("rearrange", (A((2, 6)), "a (b c) -> a c b"), {"b": 2}),
    )  # fmt: skip


def _nn():
    image, kernel = A((2, 7, 6, 3)), A((3, 2, 3, 4))
    for strides, padding, dilation in (
        (1, "valid", 1),
        (2, "same", 1),
        (1, "same", 2),
        ((2, 1), "valid", 1),
        (1, "same", 1),
    ):
        options = {"strides": strides, "padding": padding, "dilation_rate": dilation}
        yield "conv", (image, kernel), options
        yield "depthwise_conv", (image, A((3, 2, 3, 2))), options
        yield "separable_conv", (image, A((3, 2, 3, 2)), A((1, 1, 6, 4))), options | {"dilation_rate": 1}
        yield "conv_transpose", (image, A((3, 2, 4, 3))), options
    for padding, extra in (("valid", 1), ("same", 1), ("same", 0)):
        options = {"strides": 2, "padding": padding, "output_padding": extra}
        yield "conv_transpose", (A((2, 5, 3)), A((3, 4, 3))), options
    yield from (
        ("conv", (A((2, 9, 3)), A((4, 3, 5))), {"padding": "same", "strides": 2}),
        ("conv", (A((1, 4, 5, 4, 2)), A((2, 2, 2, 2, 3))), {}),
        ("conv", (A((2, 3, 7, 6)), kernel), {"data_format": "channels_first", "padding": "same"}),
        ("conv", (A((2, 5, 5, 4)), A((3, 3, 2, 6))), {}),
        ("conv_transpose", (A((2, 3, 5, 4)), A((3, 3, 2, 3))), {"data_format": "channels_first", "strides": 2}),
        ("unfold", (A((1, 2, 4, 4)), 2), {}), ("unfold", (A((1, 2, 4, 4)), (2, 3)), {"stride": 2, "padding": 1}),
        ("fold", (A((1, 8, 9)), (4, 4), 2), {}),
    )  # fmt: skip
    for name in ("max_pool", "average_pool"):
        yield name, (image, 2), {}
        yield name, (image, (2, 3)), {"strides": 1, "padding": "same"}
        yield name, (image, 3), {"strides": 2, "padding": "same"}
        yield name, (A((2, 9, 3)), 2), {"strides": 3}
        yield name, (A((2, 3, 6, 6)), 2), {"data_format": "channels_first"}
        yield name, (A((1, 4, 4, 4, 2)), 2), {"padding": "same"}
    for name in ("adaptive_max_pool", "adaptive_average_pool"):
        yield name, (image, (3, 2)), {}
        yield name, (A((2, 9, 3)), 4), {}
        yield name, (A((2, 3, 6, 6)), 2), {"data_format": "channels_first"}
    q, k = A((2, 5, 4, 3)), A((2, 6, 4, 3))
    yield from (
        ("one_hot", ([0, 2, -1, 1], 3), {}), ("one_hot", (A((2, 3), "int32", "below4"), 4), {"axis": 1}),
        ("one_hot", ([1, 0], 2), {"dtype": "int32"}), ("one_hot", ([1, 0], 2), {"axis": 0}),
        ("multi_hot", ([0, 2], 4), {}), ("multi_hot", (A((2, 3), "int32", "below4"), 4), {}),
        ("polar", (v(3, kind="positive"), v(3)), {}),
        ("depth_to_space", (A((2, 2, 3, 8)), 2), {}), ("depth_to_space", (A((2, 8, 2, 3)), 2), {"data_format": "channels_first"}),
        ("space_to_depth", (A((2, 4, 6, 2)), 2), {}), ("space_to_depth", (A((2, 2, 4, 6)), 2), {"data_format": "channels_first"}),
        ("softmax", (m(),), {"axis": 0}), ("softmax", (m(),), {"axis": None}), ("log_softmax", (m(),), {"axis": 0}),
        ("log_softmax", (m(),), {"axis": None}), ("sparsemax", (m(),), {"axis": 0}), ("glu", (m(shape=(4, 3)),), {"axis": 0}),
        ("leaky_relu", (m(), 0.3), {}), ("elu", (m(), 0.5), {}), ("celu", (m(),), {"alpha": 0.5}),
        ("gelu", (m(),), {"approximate": False}), ("threshold", (m(), 0.2, -1.0), {}), ("hard_shrink", (m(), 0.3), {}),
        ("soft_shrink", (m(), 0.3), {}), ("squareplus", (m(), 2), {}),
        ("binary_crossentropy", (m(kind="below2"), A((3, 4), "float32", "probabilities")), {}),
        ("binary_crossentropy", (m(kind="below2"), m()), {"from_logits": True}),
        ("categorical_crossentropy", (m(kind="probabilities"), A((3, 4), "float32", "probabilities")), {}),
        ("categorical_crossentropy", (m(kind="probabilities"), m()), {"from_logits": True}),
        ("categorical_crossentropy", (m(kind="probabilities"), m()), {"from_logits": True, "axis": 0}),
        ("sparse_categorical_crossentropy", (v(3, "int32", "below4"), A((3, 4), "float32", "probabilities")), {}),
        ("sparse_categorical_crossentropy", (A((3, 1), "int32", "below4"), m()), {"from_logits": True}),
        ("sparse_categorical_crossentropy", (A((2, 3), "int32", "below4"), A((2, 3, 4))), {"from_logits": True}),
        ("psnr", (m(), m(kind="unit"), 2.0), {}),
        ("moments", (A((2, 3, 4)), 0), {}), ("moments", (A((2, 3, 4)), [0, 1]), {"keepdims": True}),
        ("moments", (m("float16"), [0]), {}), ("moments", (A((2, 3, 4)), (-1, 0)), {}),
        ("batch_normalization", (m(), v(4), v(4, kind="positive"), -1), {}),
        ("batch_normalization", (m(), v(3), v(3, kind="positive"), 0), {"offset": v(3), "scale": v(3), "epsilon": 0.1}),
        ("layer_normalization", (m(), v(4), v(4)), {"epsilon": 0.1}),
        ("layer_normalization", (A((2, 3, 4)), A((3, 4)), A((3, 4))), {"axis": (1, 2)}),
        ("layer_normalization", (A((2, 3, 4)), v(3)), {"axis": 1}),
        ("rms_normalization", (m(), v(4)), {"epsilon": 0.1}), ("rms_normalization", (m(),), {"axis": 0}),
        ("normalize", (m(),), {"axis": 0}), ("normalize", (m(),), {"order": 1}), ("normalize", (m(),), {"order": 3, "axis": 0}),
        ("dot_product_attention", (q, k, k), {}), ("dot_product_attention", (q, k, k), {"scale": 0.3}),
        ("dot_product_attention", (q, q, q), {"is_causal": True}),
        ("dot_product_attention", (q, k, k), {"mask": A((2, 1, 5, 6), "bool")}),
        ("dot_product_attention", (q, k, k), {"bias": A((2, 4, 5, 6))}),
        ("dot_product_attention", (q, A((2, 6, 2, 3)), A((2, 6, 2, 3))), {}),
        ("dot_product_attention", (q, q, q), {"mask": A((1, 1, 5, 5), "bool"), "is_causal": True}),
        ("ctc_loss", (A((2, 3), "int32", "below3"), A((2, 8, 4)), [3, 2], [8, 6]), {"mask_index": 3}),
        ("ctc_decode", (A((2, 8, 4)), [8, 6]), {}),
        ("ctc_decode", (A((2, 8, 4)), [8, 6]), {"merge_repeated": False, "mask_index": 2}),
        ("ctc_decode", (A((2, 6, 3)), [6, 5]), {"strategy": "beam_search", "top_paths": 3, "beam_width": 50}),
    )  # fmt: skip


def _image():
    rgb, one = A((2, 6, 5, 3), "float32", "positive"), A((6, 5, 3), "float32", "positive")
    turn = [0.9, 0.2, 0.5, -0.3, 1.1, -0.4, 0.0, 0.0]
    square, moved = [[0.0, 0.0], [4.0, 0.0], [0.0, 5.0], [4.0, 5.0]], [[0.5, 0.2], [3.5, 0.0], [0.0, 4.5], [4.2, 4.4]]
    yield from (
        ("image.rgb_to_grayscale", (rgb,), {}), ("image.rgb_to_grayscale", (A((6, 5, 1)),), {}),
        ("image.rgb_to_grayscale", (A((2, 3, 4, 4)),), {"data_format": "channels_first"}),
        ("image.rgb_to_hsv", (A((2, 4, 4, 3), "float32", "probabilities"),), {}),
        ("image.hsv_to_rgb", (A((2, 4, 4, 3), "float32", "probabilities"),), {}),
        ("image.rgb_to_hsv", (A((3, 4, 4), "float32", "probabilities"),), {"data_format": "channels_first"}),
        ("image.resize", (rgb, (4, 7)), {}), ("image.resize", (one, (12, 10)), {"interpolation": "bicubic"}),
        ("image.resize", (rgb, (4, 3)), {"interpolation": "nearest"}), ("image.resize", (rgb, (3, 3)), {"antialias": True}),
        ("image.resize", (rgb, (4, 4)), {"crop_to_aspect_ratio": True}),
        ("image.resize", (rgb, (4, 4)), {"pad_to_aspect_ratio": True, "fill_value": 2.0}),
        ("image.resize", (A((2, 3, 6, 6)), (4, 4)), {"data_format": "channels_first"}),
        ("image.resize", (A((6, 6, 3), "float16"), (3, 4)), {}),
        ("image.crop_images", (rgb, 1, 1), {"target_height": 3, "target_width": 2}),
        ("image.crop_images", (rgb,), {"top_cropping": 1, "bottom_cropping": 2, "left_cropping": 0, "right_cropping": 2}),
        ("image.pad_images", (rgb, 1, 2), {"target_height": 9, "target_width": 8}),
        ("image.pad_images", (one,), {"top_padding": 1, "bottom_padding": 2, "left_padding": 0, "right_padding": 2}),
        ("image.extract_patches", (rgb, 2), {}), ("image.extract_patches", (rgb, (3, 2)), {"strides": 1, "padding": "same"}),
        ("image.extract_patches", (one, 2), {"dilation_rate": 2, "strides": 1}),
        ("image.extract_patches", (A((2, 3, 6, 6)), 3), {"data_format": "channels_first"}),
        ("image.extract_patches_3d", (A((1, 4, 4, 4, 2)), 2), {}),
        ("image.affine_transform", (rgb, turn), {}), ("image.affine_transform", (one, turn), {"interpolation": "nearest"}),
        ("image.affine_transform", (rgb, [turn, [*turn[::-1][2:], 0.0, 0.0]]), {"fill_value": 1.0}),
        ("image.affine_transform", (A((2, 3, 6, 5)), [turn, turn]), {"data_format": "channels_first"}),
        ("image.perspective_transform", (rgb, square, moved), {}),
        ("image.perspective_transform", (one, square, moved), {"interpolation": "nearest", "fill_value": 0.5}),
        ("image.gaussian_blur", (rgb,), {"data_format": "channels_last"}),
        ("image.gaussian_blur", (A((2, 3, 6, 6)),), {"kernel_size": (5, 5), "sigma": (2.0, 0.7), "data_format": "channels_first"}),
        ("image.sobel_edges", (rgb,), {"data_format": "channels_last"}),
        ("image.sobel_edges", (A((2, 3, 6, 6)),), {"data_format": "channels_first"}),
        ("image.ssim", (A((2, 12, 12, 3), "float32", "unit"), A((2, 12, 12, 3))), {"filter_size": 5}),
        ("image.ssim", (A((12, 13, 1)), A((12, 13, 1))), {}),
        ("image.scale_and_translate", (A((4, 4)), (6, 7), [1.5, 1.7], [0.2, -0.3], (0, 1), "linear"), {}),
        ("image.scale_and_translate", (A((6, 6)), (3, 4), [0.5, 0.6], [0.0, 0.3], (0, 1), "cubic"), {}),
        ("image.scale_and_translate", (A((6, 6)), (3, 6), [0.5], [0.0], (0,), "lanczos3"), {"antialias": False}),
        ("image.scale_and_translate", (A((6, 6)), (9, 6), [1.5], [0.0], (0,), "lanczos5"), {}),
    )  # fmt: skip
    for mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
        yield "image.affine_transform", (rgb, [turn, turn]), {"fill_mode": mode}
        for order in (0, 1):
            places = [[-1.3, 0.2, 2.7, 4.6], [0.4, -2.2, 1.1, 5.9]]
            yield "image.map_coordinates", (A((4, 3)), places, order), {"fill_mode": mode, "fill_value": 0.5}
    yield "image.map_coordinates", (A((4, 3), "int32"), [[0.6, 2.2], [0.4, 1.1]], 1), {}


def cases():
    """Return all cases by their names, `name#number`."""
    found, counts = {}, {}
    for part in (_elementwise, _reductions, _numpy, _linalg_and_math, _nn, _image):
        for name, args, kwargs in part():
            number = counts[name] = counts.get(name, -1) + 1
            found[f"{name}#{number}"] = (name, args, kwargs)
    return found


def made(value, salt, convert):
    """Return arguments with `convert(array, dtype)` in the place of each `A`."""
    if isinstance(value, A):
        return convert(value.array(salt), value.dtype)
    if isinstance(value, dict):
        return {key: made(one, f"{salt}.{key}", convert) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(made(one, f"{salt}.{at}", convert) for at, one in enumerate(value))
    return value
