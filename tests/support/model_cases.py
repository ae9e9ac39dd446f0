"""Functional models whose layers are compared with those of Keras, each as a function of the package."""


def chain(keras):
    """A chain with a dropout."""
    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Dropout(0.5)(keras.layers.Dense(5)(x))))


def branches(keras):
    """Two inputs, two outputs, and branches of different lengths."""
    a, b = keras.Input((3,), name="a"), keras.Input((4,))
    joined = keras.layers.Concatenate()([keras.layers.Dense(5)(a), b])
    long = keras.layers.Dense(2)(joined)
    return keras.Model([a, b], [long, keras.layers.Dense(1)(keras.layers.Dense(7)(a))])


def skip(keras):
    """A residual block, whose shortcut is shorter than the other path."""
    x = keras.Input((4,))
    inner = keras.layers.Dense(4, "relu")(keras.layers.Dense(6)(x))
    return keras.Model(x, keras.layers.Activation("relu")(keras.layers.Add()([keras.layers.Dense(4)(x), inner])))


def shared(keras):
    """A layer that is called at two depths."""
    a, b = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    layer = keras.layers.Dense(3)
    return keras.Model({"left": a, "right": b}, keras.layers.Subtract()([layer(layer(a)), layer(b)]))


def operations(keras):
    """Operations between the layers, and a layer that returns several tensors."""
    x = keras.Input((5, 3))
    out, hidden, cell = keras.layers.LSTM(4, return_state=True)(x)
    late = keras.layers.Dense(4)(keras.layers.Flatten()(x)[:, :7])
    return keras.Model(x, [keras.layers.Dense(2)(out * hidden + late), cell])


def seq2seq(keras):
    """An encoder and a decoder that starts with its state."""
    source, target = keras.Input((None, 3)), keras.Input((None, 2))
    _, hidden, cell = keras.layers.LSTM(4, return_state=True)(source)
    decoded = keras.layers.LSTM(4, return_sequences=True)(target, initial_state=[hidden, cell])
    return keras.Model([source, target], keras.layers.Dense(2)(decoded))


def masked(keras):
    """Two sequences with masks."""
    a, b = keras.Input((6,)), keras.Input((None,))
    layer = keras.layers.Embedding(9, 4, mask_zero=True)
    left, right = keras.layers.LSTM(3)(layer(a)), keras.layers.Bidirectional(keras.layers.GRU(3))(layer(b))
    return keras.Model([a, b], keras.layers.Dense(1)(keras.layers.concatenate([left, right])))


def nested(keras):
    """A model within a model."""
    inner = chain(keras)
    x, y = keras.Input((3,)), keras.Input((2,))
    return keras.Model([x, y], keras.layers.Add()([inner(x), keras.layers.Dense(2)(y)]))


def images(keras):
    """Convolutions in an inception block."""
    x = keras.Input((8, 8, 3))
    layers = keras.layers
    paths = [
        layers.Conv2D(2, 1)(x),
        layers.Conv2D(2, 3, padding="same")(layers.Conv2D(2, 1)(x)),
        layers.Conv2D(2, 1)(layers.MaxPooling2D(3, strides=1, padding="same")(x)),
    ]
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Concatenate()(paths))))


def deep(keras):
    """Many paths between the input and the output."""
    symbol = given = keras.Input((2,))
    for _ in range(60):
        symbol = keras.layers.Add()([symbol, keras.layers.Dense(2)(symbol)])
    return keras.Model(given, symbol)


def unused(keras):
    """Inputs that no output needs."""
    x, y, z = keras.Input((3,)), keras.Input((4,)), keras.Input((5,))
    return keras.Model([y, x, z], keras.layers.Dense(2)(keras.layers.Dense(1)(x)))


def sequential(keras):
    """A chain whose input is a layer; its layers are without it."""
    return keras.Sequential([keras.layers.InputLayer(shape=(3,)), keras.layers.Dense(2), keras.layers.Softmax()])


CASES = {
    one.__name__: one
    for one in (
        chain, branches, skip, shared, operations, seq2seq, masked, nested, images, deep, unused, sequential
    )
}  # fmt: skip
