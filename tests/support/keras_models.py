"""Models and layers of Keras, made by Keras itself, whose files and conversions are tested."""

import numpy as np

LAST = {"data_format": "channels_last"}
STEPS, IMAGE, VOLUME, ROW = (8, 4), (8, 9, 4), (6, 7, 6, 4), (6,)
SPACES = {1: STEPS, 2: IMAGE, 3: VOLUME}


def layer_cases():
    """Return, by name, the class, the arguments and the shapes of the inputs of each layer."""
    cases = {
        "dense": ("Dense", (3,), {"activation": "gelu"}, [ROW]),
        "einsum": ("EinsumDense", ("abc,cd->abd", (None, 5)), {"bias_axes": "d", "activation": "tanh"}, [STEPS]),
        "groups": ("Conv2D", (4, 2), {"groups": 2}, [IMAGE]),
        "causal": ("Conv1D", (3, 3), {"padding": "causal", "dilation_rate": 2}, [STEPS]),
        "channels_first": ("Conv2D", (3, 3), {"data_format": "channels_first"}, [(4, 8, 9)]),
        "prelu": ("PReLU", (), {"shared_axes": [1, 2]}, [IMAGE]),
        "lstm": ("LSTM", (3,), {"return_state": True, "go_backwards": True, "use_bias": False}, [STEPS]),
        "gru": ("GRU", (3,), {"return_sequences": True}, [STEPS]),
        "gru_reset_before": ("GRU", (3,), {"reset_after": False}, [STEPS]),
        "simple_rnn": ("SimpleRNN", (3,), {}, [STEPS]),
        "attention": ("MultiHeadAttention", (2, 3), {"value_dim": 4, "output_shape": 5}, [STEPS, (5, 3)]),
        "attention_gate": ("MultiHeadAttention", (2, 3), {"use_gate": True}, [STEPS, STEPS]),
        "grouped_attention": ("GroupQueryAttention", (3, 4, 2), {}, [STEPS, STEPS]),
        "batch_normalization": ("BatchNormalization", (), {"scale": False}, [IMAGE]),
        "normalization_axis": ("BatchNormalization", (), {"axis": 1}, [IMAGE]),
        "layer_normalization": ("LayerNormalization", (), {"axis": [1, 2], "center": False}, [STEPS]),
        "group_normalization": ("GroupNormalization", (2,), {}, [IMAGE]),
        "rms_normalization": ("RMSNormalization", (), {}, [STEPS]),
        "unit_normalization": ("UnitNormalization", (), {}, [STEPS]),
        "dropout": ("Dropout", (0.5,), {"seed": 1}, [ROW]),
        "leaky": ("LeakyReLU", (0.1,), {}, [ROW]),
        "relu": ("ReLU", (), {"max_value": 2.0, "negative_slope": 0.1, "threshold": 0.2}, [ROW]),
        "softmax": ("Softmax", (), {}, [STEPS]),
        "rescaling": ("Rescaling", (1 / 255,), {"offset": -1}, [IMAGE]),
        "resizing": ("Resizing", (5, 6), {}, [IMAGE]),
        "flip": ("RandomFlip", ("horizontal",), {}, [(8, 8, 3)]),
        "reshape": ("Reshape", ((4, 8),), {}, [STEPS]),
        "permute": ("Permute", ((2, 1),), {}, [STEPS]),
        "repeat": ("RepeatVector", (3,), {}, [ROW]),
        "flatten": ("Flatten", (), {}, [IMAGE]),
        "spectrogram": ("STFTSpectrogram", (), {"frame_length": 16, "frame_step": 8, "fft_length": 16}, [(64, 1)]),
    }
    for axes, shape in SPACES.items():
        cases |= {
            f"conv_{axes}d": (f"Conv{axes}D", (3, 3), {"strides": 2, "padding": "same", "activation": "relu"}, [shape]),
            f"conv_transpose_{axes}d": (f"Conv{axes}DTranspose", (3, 3), {"strides": 2, "padding": "same"}, [shape]),
            f"conv_lstm_{axes}d": (f"ConvLSTM{axes}D", (3, 2), {}, [(2, *shape)]),
            f"max_pool_{axes}d": (f"MaxPooling{axes}D", (2,), {"strides": 1, "padding": "same"}, [shape]),
            f"average_pool_{axes}d": (f"AveragePooling{axes}D", (2,), {}, [shape]),
            f"global_max_{axes}d": (f"GlobalMaxPooling{axes}D", (), {"keepdims": True}, [shape]),
            f"global_average_{axes}d": (f"GlobalAveragePooling{axes}D", (), {}, [shape]),
            f"upsampling_{axes}d": (f"UpSampling{axes}D", (2,), {}, [shape]),
            f"zero_padding_{axes}d": (f"ZeroPadding{axes}D", (2,), {}, [shape]),
            f"cropping_{axes}d": (f"Cropping{axes}D", (1,), {}, [shape]),
            f"spatial_dropout_{axes}d": (f"SpatialDropout{axes}D", (0.3,), {}, [shape]),
        }
        if axes < 3:
            cases[f"depthwise_{axes}d"] = (f"DepthwiseConv{axes}D", (2,), {"depth_multiplier": 3}, [shape])
            cases[f"separable_{axes}d"] = (f"SeparableConv{axes}D", (5, 2), {"depth_multiplier": 3}, [shape])
    return cases


def make_layer_model(keras, name):
    """Return a functional model of one layer."""
    class_name, args, kwargs, shapes = layer_cases()[name]
    inputs = [keras.Input(shape) for shape in shapes]
    outputs = getattr(keras.layers, class_name)(*args, **kwargs)(*inputs)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)


def residual(keras):
    """Return a convolutional net with a shortcut and operations."""
    layers, ops = keras.layers, keras.ops
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(x)
    y = shortcut = layers.BatchNormalization()(y)
    y = layers.add([layers.Conv2D(4, 3, padding="same")(y), shortcut])
    y = layers.Flatten()(ops.relu(y) + 1)
    return keras.Model(x, layers.Dense(2, name="head")(layers.Dropout(0.3)(y)))


def separable(keras):
    """Return a small net of separable convolutions in blocks."""
    layers = keras.layers
    x = y = keras.Input((16, 16, 3))
    for filters in (4, 8):
        shortcut = layers.Conv2D(filters, 1, strides=2, padding="same")(y)
        y = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(y))
        y = layers.MaxPooling2D(3, strides=2, padding="same")(layers.BatchNormalization()(y))
        y = layers.add([y, shortcut])
    return keras.Model(x, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(y)))


def unet(keras):
    """Return a net for segmentation."""
    layers = keras.layers
    x = y = keras.Input((16, 16, 1))
    shortcuts = []
    for filters in (2, 4):
        y = layers.Conv2D(filters, 3, padding="same", activation="relu")(y)
        shortcuts.append(y)
        y = layers.MaxPooling2D()(y)
    y = layers.Conv2D(8, 3, padding="same")(y)
    for filters in (4, 2):
        y = layers.Concatenate()([layers.Conv2DTranspose(filters, 2, strides=2)(y), shortcuts.pop()])
        y = layers.Conv2D(filters, 3, padding="same")(y)
    return keras.Model(x, layers.Conv2D(1, 1, activation="sigmoid")(y))


def masked(keras):
    """Return a net for texts of different lengths."""
    layers = keras.layers
    x = keras.Input((5,), dtype="int32")
    y = layers.Embedding(10, 4, mask_zero=True)(x)
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(y)
    return keras.Model(x, layers.GRU(3)(y))


def transformer(keras):
    """Return a block of a Transformer, with positions."""
    layers = keras.layers
    x = keras.Input((8,), dtype="int32")
    y = layers.Embedding(10, 6)(x) + layers.Embedding(8, 6)(keras.ops.arange(0, 8))
    z = layers.LayerNormalization()(y)
    y = y + layers.MultiHeadAttention(2, 3)(z, z, use_causal_mask=True)
    y = y + layers.Dense(6)(layers.Dense(12, activation="gelu")(layers.LayerNormalization()(y)))
    return keras.Model(x, layers.GlobalAveragePooling1D()(y))


def sequence_to_sequence(keras):
    """Return an encoder whose states begin a decoder."""
    layers = keras.layers
    source, target = keras.Input((None, 3)), keras.Input((None, 2))
    _, h, c = layers.LSTM(4, return_state=True)(source)
    y, _, _ = layers.LSTM(4, return_sequences=True, return_state=True)(target, initial_state=[h, c])
    return keras.Model([source, target], layers.Dense(3, activation="softmax")(y))


def nested(keras):
    """Return a model with models within it, shared layers, and dicts of inputs and outputs."""
    layers, ops = keras.layers, keras.ops
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="inner")
    a, b, shared = keras.Input((3,), name="a"), keras.Input((3,), name="b"), layers.Dense(3, name="shared")
    u, v = inner(shared(a)), inner(shared(b))
    mean = ops.mean(u, axis=1, keepdims=True)
    joined = layers.Concatenate()([u, v, mean])
    return keras.Model({"a": a, "b": b}, {"all": joined, "some": joined[:, 1:3]})


def two_heads(keras):
    """Return a model whose inner model has two outputs, with layers at several distances from the outputs."""
    layers, ops = keras.layers, keras.ops
    a, x = keras.Input((4,)), keras.Input((4,))
    inner = keras.Model(a, [layers.Dense(2)(a), layers.Dense(3)(a)])
    first, second = inner(x)
    left, right = layers.Dense(4)(x), layers.Dense(4)(x)
    deep = layers.Dense(4)(layers.Dense(4)(right))
    y = layers.Dense(1)(second) + ops.sum(first, axis=-1, keepdims=True)
    return keras.Model(x, [y, layers.Dense(2)(layers.add([left, deep])), layers.Dense(4)(left)])


def operations(keras):
    """Return a model of operations with options."""
    ops = keras.ops
    x = keras.Input((4, 3))
    y = ops.einsum("abc,abd->acd", x, x)
    y = ops.concatenate([y, ops.transpose(y, (0, 2, 1))], axis=-1)
    y = ops.where(y > 0, y, ops.abs(y) * 0.1)
    y = ops.softmax(ops.reshape(y, (-1, 18)), axis=-1)
    first, second = ops.split(ops.expand_dims(y, 1), 2, axis=-1)
    y = ops.clip(ops.stack([first, second], axis=1), 0.01, 0.9) * 2 - 1
    y = ops.pad(ops.cast(y, "float32"), [[0, 0], [0, 0], [0, 1], [0, 0]], constant_values=2.0)
    return keras.Model(x, ops.matmul(y, ops.swapaxes(y, -1, -2)))


def without_input(keras):
    """Return a chain that was built without an `Input`."""
    model = keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
    model.build((None, 4))
    return model


def frozen(keras):
    """Return a model on a frozen base, as in transfer learning."""
    layers = keras.layers
    base = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D()],
        name="base",
    )
    base.trainable = False
    x = keras.Input((8, 8, 3))
    y = base(layers.Rescaling(1 / 127.0)(layers.RandomFlip()(x)), training=False)
    return keras.Model(x, layers.Dense(1)(y))


def adapted(keras):
    """Return a model with layers that have learned from data in `adapt`."""
    layers = keras.layers
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(2, 3, (20, 3)).astype("float32"))
    return keras.Sequential([keras.Input((3,)), normalization, layers.Dense(2)])


def cells(keras):
    """Return a recurrent layer of two kinds of cells, and layers for each time step."""
    layers = keras.layers
    x = keras.Input((8, 4))
    y = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True)(x)
    return keras.Model(x, layers.TimeDistributed(layers.Dense(3))(y))


MODELS = {
    one.__name__: one
    for one in (
        residual, separable, unet, masked, transformer, sequence_to_sequence, nested, two_heads, operations,
        without_input, frozen, adapted, cells,
    )
}  # fmt: skip


def randomize(model, rng):
    """Give all weights of a model of Keras random values, so that none is a 0 or 1 by chance."""
    for weight in model.weights:
        if weight.dtype.startswith(("int", "uint")) or "seed" in weight.path:
            continue
        values = rng.normal(size=tuple(weight.shape)) / 2
        weight.assign((np.abs(values) + 0.5 if "variance" in weight.path else values).astype("float32"))


def vary(model, rng):
    """Change the weights that begin as zeros or ones, and keep the kernels, so that deep nets keep their scale."""
    for weight in model.weights:
        if len(weight.shape) == 1 and "seed" not in weight.path:
            size = rng.uniform(0.8, 1.2, weight.shape[0])
            weight.assign(size if weight.path.endswith(("gamma", "variance")) else size - 1)


def sample_of(model, rng):
    """Return random inputs of a model of Keras, in the structure of its inputs."""

    def make(symbol):
        shape = tuple(4 if size is None else size for size in symbol.shape)
        if str(symbol.dtype).startswith("int"):
            return rng.integers(0, 8, shape)
        return rng.normal(size=shape).astype("float32")

    given = getattr(model, "_inputs_struct", model.inputs)
    if isinstance(given, dict):
        return {name: make(one) for name, one in given.items()}
    made = [make(one) for one in (given if isinstance(given, (list, tuple)) else [given])]
    return made if len(made) > 1 else made[0]
