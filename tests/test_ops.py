"""`kt.ops`: control flow, gradients, differences from Keras' torch backend, devices of arguments, and files."""

import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt

ops = kt.ops
rng = np.random.default_rng(0)
NUMPY = rng.normal(size=(2, 3, 4)).astype(np.float32)


def equal(found, expected):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-6)


# --- arguments and dtypes ----------------------------------------------------------------------------------------


def test_arrays_lists_and_numbers_become_tensors_of_keras_dtypes():
    assert ops.add([1, 2], 1).dtype == torch.int32
    assert ops.add([1, 2], 1.0).dtype == torch.float32
    assert ops.add(np.array([1.0]), 1).dtype == torch.float64
    assert ops.convert_to_tensor([torch.ones(2), torch.zeros(2)]).shape == (2, 2)
    assert ops.convert_to_tensor([[1, torch.tensor(2)], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert ops.convert_to_tensor(np.float32(2.5)).dtype == torch.float32


def test_a_converted_array_is_a_copy():
    array = np.zeros(2, np.float32)
    found = ops.convert_to_tensor(array)
    array[0] = 1
    assert found.tolist() == [0, 0]


def test_64_bits_stay_if_they_are_the_default_dtype():
    one = np.ones((2, 2))
    assert ops.matmul(one, one).dtype == torch.float32  # as in Keras
    torch.set_default_dtype(torch.float64)
    try:
        assert ops.matmul(one, one).dtype == torch.float64
        assert ops.zeros(2).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_new_tensors_are_made_on_the_device_of_the_others():
    meta = torch.ones(3, device="meta")
    assert ops.add(meta, [1.0, 2.0, 3.0]).device.type == "meta"
    assert ops.add(2.0, meta).device.type == "meta"
    assert ops.where(np.array([True]), meta, 0).device.type == "meta"


@pytest.mark.parametrize("dtype", ["float99", object(), 3])
def test_an_unknown_dtype_is_named(dtype):
    with pytest.raises(ValueError, match="dtype must be a dtype of torch or its name"):
        ops.cast([1], dtype)


def test_text_is_refused_in_words():
    with pytest.raises(TypeError, match="encode it as numbers first"):
        ops.add(np.array(["a"]), 1)


def test_an_operation_has_a_name_a_signature_and_a_docstring():
    import inspect

    for name in dir(ops):
        found = getattr(ops, name)
        if inspect.ismodule(found):
            continue
        assert found.__name__ == name
        assert found.__module__.startswith("kerastorch.ops")
        assert inspect.signature(found).parameters
        assert inspect.getdoc(found)
    assert str(inspect.signature(ops.sum)).startswith("(x: 'Any', axis: 'Any' = None, keepdims: 'bool' = False)")


def test_an_operation_can_be_pickled():
    for function in (ops.sin, ops.matmul, ops.image.resize, kt.random.normal):
        assert pickle.loads(pickle.dumps(function)) is function


def test_an_unknown_name_has_a_hint():
    with pytest.raises(AttributeError, match="Did you mean 'softmax'"):
        ops.sofmax


def test_importing_the_package_does_not_load_the_operations():
    code = "import sys, kerastorch; assert not [name for name in sys.modules if name.startswith('kerastorch.ops')]"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what Keras' torch backend does differently from NumPy -------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "amax", "amin", "ptp", "nanprod"])
def test_keepdims_holds_for_all_axes(name):
    x = NUMPY / 2
    found = getattr(ops, name)(x, keepdims=True)
    assert found.shape == (1, 1, 1)
    expected = x.max() - x.min() if name == "ptp" else getattr(np, name)(x)
    equal(found.item(), expected)


@pytest.mark.parametrize(
    "name", ["sum", "max", "all", "logsumexp", "median", "nanvar", "count_nonzero", "flip", "prod"]
)
def test_a_number_has_the_axes_of_a_vector_with_one_element_and_no_others(name):
    function, number = getattr(ops, name), torch.tensor(3.0)
    for axis in (0, -1):
        assert function(number, axis=axis).shape == ()
        torch.testing.assert_close(function(number, axis=axis), function(number[None], axis=0).reshape(()))
    with pytest.raises((ValueError, IndexError), match=r"out of (bounds|range)"):
        function(number, axis=1)


def test_count_nonzero_keeps_the_order_of_axes():
    x = (NUMPY > 0) * NUMPY
    for axis in (0, 1, -1, (0, 2)):
        equal(ops.count_nonzero(x, axis), np.count_nonzero(x, axis))


def test_argpartition_puts_the_element_at_its_place():
    x = rng.permutation(12).reshape(3, 4)
    found = np.take_along_axis(x, ops.argpartition(x, 2).numpy(), -1)
    assert (found[:, 2] == np.sort(x)[:, 2]).all()
    assert (found[:, :2] < found[:, 2:3]).all()
    assert (found[:, 3:] > found[:, 2:3]).all()


def test_sparsemax_is_a_distribution():
    found = ops.sparsemax(NUMPY)
    equal(found.sum(-1), np.ones((2, 3)))
    assert (found >= 0).all()


def test_average_pool_leaves_padding_out():
    x = np.ones((1, 5, 5, 2), np.float32)
    equal(ops.average_pool(x, 3, 2, "same"), np.ones((1, 3, 3, 2)))


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_pad_mirrors_as_numpy_on_any_axes(mode):
    amounts = ((1, 2), (0, 3), (5, 1)) if mode == "symmetric" else ((1, 1), (0, 2), (3, 1))
    equal(ops.pad(NUMPY, amounts, mode), np.pad(NUMPY, amounts, mode))
    equal(ops.pad(NUMPY, 2), np.pad(NUMPY, 2))


@pytest.mark.parametrize(("n", "m"), [(5, 3), (3, 5), (4, 4), (6, 3), (3, 6)])
@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_correlate_is_that_of_numpy(n, m, mode):
    one, other = rng.normal(size=n), rng.normal(size=m)
    equal(ops.correlate(one.astype(np.float32), other.astype(np.float32), mode), np.correlate(one, other, mode))


def test_numbers_along_another_axis():
    start, stop = np.array([0.0, 1.0]), np.array([2.0, 5.0])
    equal(ops.linspace(start, stop, 4, axis=-1), np.linspace(start, stop, 4, axis=-1))
    equal(ops.logspace(start, stop, 4, axis=1), np.logspace(start, stop, 4, axis=1))
    equal(ops.geomspace(start + 1, stop, 4, axis=1), np.geomspace(start + 1, stop, 4, axis=1))


def test_cross_takes_axes_of_each_and_vectors_of_the_plane():
    one, other = rng.normal(size=(3, 4)), rng.normal(size=(4, 3))
    equal(ops.cross(one, other, axisa=0, axisb=1), np.cross(one, other, axisa=0, axisb=1))
    expected = one[0] * other.T[1] - one[1] * other.T[0]
    equal(ops.cross(one[:2].T, other[:, :2]), expected)


def test_average_has_weights_of_any_axis():
    weights = np.abs(rng.normal(size=3))
    equal(ops.average(NUMPY, 1, weights), np.average(NUMPY, 1, weights))
    equal(ops.average(NUMPY, weights=np.abs(NUMPY)), np.average(NUMPY, weights=np.abs(NUMPY)))


def test_dot_of_matrices_with_more_axes_is_that_of_numpy():
    one, other = rng.normal(size=(2, 3)).astype("float32"), rng.normal(size=(4, 3, 5)).astype("float32")
    equal(ops.dot(one, other), np.dot(one, other))


def test_saturate_cast_stays_within_the_dtype():
    assert ops.saturate_cast([-5.0, 300.0, 7.9], "uint8").tolist() == [0, 255, 7]
    assert ops.saturate_cast(np.array([1e12, -1e12], np.float32), "int32").tolist() == [2**31 - 1, -(2**31)]
    assert ops.saturate_cast([1e9], "float16").tolist() == [65504.0]


def test_soft_capped_attention_is_that_of_the_formula():
    q, k = (torch.randn(2, 5, 3, 4) for _ in range(2))
    logits = torch.einsum("bqhd,bkhd->bhqk", q, k) / 2
    weights = torch.softmax(2 * torch.tanh(logits / 2), -1)
    expected = torch.einsum("bhqk,bkhd->bqhd", weights, k)
    torch.testing.assert_close(ops.dot_product_attention(q, k, k, attn_logits_soft_cap=2.0), expected)
    capped = ops.dot_product_attention(q, k, k, attn_logits_soft_cap=1e6, is_causal=True)
    torch.testing.assert_close(capped, ops.dot_product_attention(q, k, k, is_causal=True))


def test_beam_search_finds_the_most_probable_labels():
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    steps = torch.log_softmax(logits, -1)[0]
    totals = {}
    for path in itertools.product(range(3), repeat=4):
        labels = tuple(label for label, _ in itertools.groupby(path) if label != 0)
        totals[labels] = totals.get(labels, 0) + float(
            torch.exp(sum(steps[at, label] for at, label in enumerate(path)))
        )
    best = max(totals, key=totals.get)
    labels, scores = ops.ctc_decode(logits, [4], "beam_search")
    assert tuple(label for label in labels[0, 0].tolist() if label >= 0) == best
    assert float(scores[0, 0].exp()) == pytest.approx(totals[best], rel=1e-5)


# --- linear algebra that is unique up to signs -------------------------------------------------------------------


def test_decompositions_multiply_to_what_they_decompose():
    x = torch.randn(2, 4, 3)
    u, s, v = ops.svd(x, full_matrices=False)
    torch.testing.assert_close(u * s[:, None] @ v, x)
    values, vectors = ops.eig(x.mT @ x)
    torch.testing.assert_close((vectors * values[:, None] @ torch.linalg.inv(vectors)).real, x.mT @ x)
    assert ops.svd(x)[0].shape == (2, 4, 4)
    torch.testing.assert_close(ops.view_as_real(values), torch.view_as_real(values))


def test_istft_is_the_inverse_of_stft():
    x = torch.randn(3, 40)
    for length, stride, size, center in ((8, 4, 8, True), (8, 2, 16, True), (8, 4, 8, False)):
        found = ops.istft(ops.stft(x, length, stride, size, center=center), length, stride, size, center=center)
        inner = slice(8, 32)
        torch.testing.assert_close(found[:, inner], x[:, inner])


# --- control flow ------------------------------------------------------------------------------------------------


def test_conditions_call_one_function():
    assert ops.cond(ops.less(1, 2), lambda: "yes", lambda: "no") == "yes"
    assert [ops.switch(at, [lambda x: x, lambda x: -x], 3) for at in (-1, 0, 1, 5)] == [3, 3, -3, -3]


def test_loops_pass_on_their_results():
    assert ops.while_loop(lambda n, s: n < 5, lambda n, s: (n + 1, s + n), (0, 0))[1] == 10
    assert ops.while_loop(lambda n: True, lambda n: n + 1, 0, maximum_iterations=7) == 7
    assert ops.fori_loop(1, 5, lambda n, total: total * n, 1) == 24


def test_scan_and_map_run_over_the_first_axis():
    x = torch.randn(5, 3)
    last, sums = ops.scan(lambda state, row: (state + row, state + row), torch.zeros(3), x)
    torch.testing.assert_close(sums, x.cumsum(0))
    torch.testing.assert_close(last, x.sum(0))
    _, reverse = ops.scan(lambda state, row: (state + row, state + row), torch.zeros(3), x, reverse=True)
    torch.testing.assert_close(reverse, x.flip(0).cumsum(0).flip(0))
    counted, nothing = ops.scan(lambda state, _: (state + 1, None), torch.zeros(()), length=4)
    assert counted == 4
    assert nothing.tolist() == [0] * 4
    torch.testing.assert_close(ops.map(lambda row: row.sum(), x), x.sum(1))
    torch.testing.assert_close(ops.map(lambda pair: pair["a"] * pair["b"], {"a": x, "b": x}), x * x)
    torch.testing.assert_close(ops.vectorized_map(torch.linalg.norm, x), x.norm(dim=1))
    torch.testing.assert_close(ops.vectorized_map(lambda pair: pair[0] @ pair[1], (x, x)), (x * x).sum(1))


@pytest.mark.parametrize("n", range(1, 10))
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_a_scan(n, reverse):
    x = torch.randn(2, n)
    expected = x.flip(1).cumsum(1).flip(1) if reverse else x.cumsum(1)
    torch.testing.assert_close(ops.associative_scan(torch.add, x, reverse=reverse, axis=1), expected)
    matrices = torch.randn(n, 3, 3)
    products = [matrices[0]]
    for matrix in matrices[1:]:
        products.append(products[-1] @ matrix)
    torch.testing.assert_close(ops.associative_scan(torch.matmul, matrices), torch.stack(products))


def test_vectorize_applies_a_function_to_elements():
    function = ops.vectorize(lambda a, b: torch.where(a > b, a - b, a + b))
    one, other = rng.normal(size=(3, 1)), rng.normal(size=4)
    equal(function(one, other), np.vectorize(lambda a, b: a - b if a > b else a + b)(one, other))


def test_custom_gradient_and_jvp():
    @ops.custom_gradient
    def log1pexp(x):
        e = torch.exp(x)
        return torch.log(1 + e), lambda *args, upstream=None: upstream * (1 - 1 / (1 + e))

    x = torch.tensor(100.0, requires_grad=True)
    log1pexp(x).backward()
    assert x.grad == 1
    value, slope = ops.jvp(torch.sin, (torch.tensor(0.5),), (torch.tensor(2.0),))
    torch.testing.assert_close((value, slope), (torch.tensor(0.5).sin(), 2 * torch.tensor(0.5).cos()))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.cond(x[0, 0] > 0, lambda: x, lambda: -x),
        lambda x: ops.while_loop(lambda x: True, lambda x: x, (x,)),
        lambda x: ops.scan(lambda s, x: (s, x), 0, x),
        lambda x: ops.vectorized_map(lambda x: x, x),
        lambda x: ops.convert_to_numpy(x),
        lambda x: ops.add(x, object()),
    ],
)
def test_what_needs_values_says_so_on_symbolic_tensors(call):
    with pytest.raises(TypeError, match=r"needs the numbers of|forward of a layer"):
        call(kt.Input((3,)))


# --- gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.matmul(x, ops.transpose(x)),
        lambda x: ops.nanvar(x, axis=0),
        lambda x: ops.layer_normalization(x, axis=0),
        lambda x: ops.conv(ops.reshape(x, (1, 3, 4, 1)), torch.ones(2, 2, 1, 1, dtype=x.dtype), 1, "same"),
        lambda x: ops.conv_transpose(ops.reshape(x, (1, 3, 4, 1)), torch.ones(3, 3, 1, 1, dtype=x.dtype), 2, "same"),
        lambda x: ops.max_pool(ops.reshape(x, (1, 3, 4, 1)), 2, 1, "same"),
        lambda x: ops.take(x, [0, 2, 0], axis=0),
        lambda x: ops.scatter([[0], [1], [0]], x, (2, 4)),
        lambda x: ops.scatter_update(ops.zeros((3, 4), x.dtype), [[1], [0], [2]], x, "mul"),
        lambda x: ops.slice_update(x, (0, 0), x[:2, :2] ** 2),
        lambda x: ops.segment_sum(x, [0, 1, 0]),
        lambda x: ops.image.resize(ops.reshape(x, (3, 4, 1)), (5, 7)),
        lambda x: ops.image.rgb_to_hsv(ops.reshape(ops.sigmoid(x), (2, 2, 3))),
        lambda x: ops.image.affine_transform(ops.reshape(x, (3, 4, 1)), torch.tensor([1.0, 0.1, 0.2, 0, 0.9, 0, 0, 0])),
        lambda x: ops.divide_no_nan(x, x - x[0, 0]),
        lambda x: ops.logsumexp(x, axis=0),
    ],
)
def test_gradients_are_those_of_finite_differences(function):
    torch.set_default_dtype(torch.float64)
    try:
        x = torch.randn(3, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
        assert torch.autograd.gradcheck(function, x)
    finally:
        torch.set_default_dtype(torch.float32)


def test_stop_gradient_stops_it():
    x = torch.ones(2, requires_grad=True)
    (x * ops.stop_gradient(x)).sum().backward()
    assert x.grad.tolist() == [1, 1]


# --- functional models -------------------------------------------------------------------------------------------


def attention_model():
    x = kt.Input((6, 8), name="x")
    weights = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))) / 8**0.5, axis=-1)
    y = ops.concatenate([ops.matmul(weights, x), ops.relu(x)], axis=-1)
    y = ops.reshape(y, (ops.shape(y)[0], -1))
    return kt.Model(x, kt.layers.Dense(2)(ops.add(y, np.ones(96, np.float32))))


def test_a_model_of_operations_trains_and_is_saved(tmp_path):
    model = attention_model()
    x, y = torch.randn(20, 6, 8), torch.randn(20, 2)
    model.compile("adam", "mse")
    model.fit(x, y, epochs=1, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    assert "ops" not in [name for name, _ in model.named_children()]


def test_operations_of_images_and_random_numbers_are_saved(tmp_path):
    x = kt.Input((8, 8, 3))
    y = ops.image.resize(x, (4, 4)) + kt.random.uniform((4, 4, 3), seed=3) + ops.split(x, 2, axis=1)[0][:, :, :4]
    model = kt.Model(x, ops.unstack(y, axis=-1))
    data = torch.randn(2, 8, 8, 3)
    model.save(tmp_path / "model.kt")
    torch.testing.assert_close(kt.load_model(tmp_path / "model.kt")(data), model(data), rtol=0, atol=0)


def test_a_model_of_operations_can_be_copied_and_compiled():
    import copy

    model = attention_model()
    x = torch.randn(3, 6, 8)
    torch.testing.assert_close(copy.deepcopy(model)(x), model(x))
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(x), model(x))


def test_parameters_beside_symbolic_tensors_are_refused():
    with pytest.raises(TypeError, match="parameter"):
        ops.matmul(kt.Input((3,)), nn.Parameter(torch.ones(3, 2)))


def test_a_layer_of_operations_trains():
    class Scale(kt.layers.Layer):
        def build(self, input_shape):
            self.weight = nn.Parameter(torch.ones(input_shape[-1]))

        def forward(self, x):
            return ops.multiply(x, self.weight) + kt.random.normal(ops.shape(x), stddev=0.0)

    model = kt.Sequential([Scale(), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(torch.randn(32, 4), torch.randn(32, 1), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_elastic_transform_moves_pixels_smoothly():
    images = rng.uniform(size=(2, 12, 10, 3)).astype(np.float32)
    still = ops.image.elastic_transform(images, alpha=0.0)
    torch.testing.assert_close(still, torch.from_numpy(images))
    moved = ops.image.elastic_transform(images, alpha=3.0, sigma=2.0, seed=5)
    assert moved.shape == (2, 12, 10, 3)
    assert not torch.equal(moved, torch.from_numpy(images))
    torch.testing.assert_close(ops.image.elastic_transform(images, alpha=3.0, sigma=2.0, seed=5), moved)
    first = ops.image.elastic_transform(
        torch.from_numpy(images[:1]).movedim(-1, 1), seed=1, data_format="channels_first"
    )
    torch.testing.assert_close(first.movedim(1, -1), ops.image.elastic_transform(images[:1], seed=1))
