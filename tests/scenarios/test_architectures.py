"""Models of the Keras guides and of introductory books, on data that comes with scikit-learn and Python."""

from pydoc_data.topics import topics

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from torch import nn

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers
from kerastorch.layers import (
    LSTM,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    LayerNormalization,
    MaxPooling2D,
    MultiHeadAttention,
)


@pytest.fixture(autouse=True)
def _seeded():
    kt.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 1, 8, 8).astype("float32")
    return train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)


def test_a_small_convolutional_net_reaches_98_percent_on_digits(digits):
    x, x_test, y, y_test = digits
    model = Sequential(
        [
            Input((1, 8, 8)),
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(2),
            Conv2D(64, 3, padding="same", activation="relu"),
            Flatten(),
            Dropout(0.4),
            Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] >= 0.98


# forwards or backwards? What letters there are says nothing, their order everything.


@pytest.fixture(scope="module")
def text():
    """Pieces of 12 to 24 characters of Python's own help, half of them reversed, padded with 0 at the end."""
    characters = "".join(topics.values()).lower()
    numbers = np.frombuffer(characters.encode("ascii", "replace"), np.uint8).astype("int64")
    random = np.random.default_rng(0)
    x, y = np.zeros((6000, 24), "int64"), random.integers(0, 2, 6000)
    for row, label in enumerate(y):
        length, start = random.integers(12, 25), random.integers(0, len(numbers) - 24)
        piece = numbers[start : start + length]
        x[row, :length] = piece if label else piece[::-1]
    return x[:5000], x[5000:], y[:5000], y[5000:]


def test_an_lstm_tells_text_from_reversed_text(text):
    x, x_test, y, y_test = text
    model = Sequential([Embedding(128, 24, mask_zero=True), LSTM(48), Dense(1, "sigmoid")])
    model.compile(kt.optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=6, batch_size=64, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] >= 0.9


def test_padding_changes_nothing_where_it_is_masked(text):
    x = text[0][:64]
    model = Sequential([Embedding(128, 8, mask_zero=True), LSTM(16), Dense(1)])
    padded = np.concatenate([x, np.zeros((64, 9), "int64")], axis=1)
    assert np.allclose(model.predict(x, verbose=0), model.predict(padded, verbose=0), atol=1e-6)


def _encoder_block(x, heads, width):
    normal = LayerNormalization()(x)
    x = x + Dropout(0.1)(MultiHeadAttention(heads, width // heads)(normal, normal))
    normal = LayerNormalization()(x)
    return x + Dense(width)(Dense(2 * width, "gelu")(normal))


@pytest.mark.slow
def test_a_transformer_encoder_tells_text_from_reversed_text(text):
    x, x_test, y, y_test = text
    numbers = Input((24,), "int64", name="characters")
    mask = numbers.ne(0)
    h = Embedding(128, 32)(numbers) + Embedding(24, 32, name="position")(torch.arange(24).expand_as(numbers))
    h = _encoder_block(h, 4, 32)
    h = (h * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
    model = Model(numbers, Dense(2)(h))
    model.compile(kt.optimizers.Adam(0.003), "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, epochs=10, batch_size=64, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] >= 0.85


def test_an_autoencoder_rebuilds_digits_better_than_as_many_principal_components(digits):
    x, x_test = (part.reshape(len(part), 64) for part in digits[:2])
    pixels = Input((64,))
    code = Dense(8, name="code")(Dense(96, "relu")(pixels))
    model = Model(pixels, Dense(64, "sigmoid")(Dense(96, "relu")(code)))
    model.compile(kt.optimizers.Adam(0.003), "mse")
    model.fit(x, x, epochs=60, verbose=0)
    principal = PCA(8).fit(x)
    rebuilt = principal.inverse_transform(principal.transform(x_test))
    assert model.evaluate(x_test, x_test, verbose=0) < np.mean((rebuilt - x_test) ** 2)
    encoder = Model(model.inputs, model.get_layer("code").output)
    assert encoder.predict(x_test, verbose=0).shape == (len(x_test), 8)


def test_two_inputs_and_three_outputs_learn_together(digits):
    halves = [{"top": part[:, :, :4], "bottom": part[:, :, 4:]} for part in digits[:2]]
    targets = [
        {"digit": label, "odd": label % 2, "ink": part.sum((1, 2, 3)) / 4}
        for part, label in zip(digits[:2], digits[2:], strict=True)
    ]
    inputs = [Input((1, 4, 8), name="top"), Input((1, 4, 8), name="bottom")]
    seen = [Dense(48, "relu")(Flatten()(half)) for half in inputs]
    h = Dense(64, "relu")(layers.concatenate(seen))
    outputs = [Dense(10, "softmax", name="digit")(h), Dense(1, "sigmoid", name="odd")(h), Dense(1, name="ink")(h)]
    model = Model(inputs, outputs)
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy", "ink": "mse"},
        loss_weights={"digit": 1.0, "odd": 0.5, "ink": 0.5},
        metrics={"digit": ["accuracy"], "odd": ["accuracy"], "ink": ["mae"]},
    )
    model.fit(halves[0], targets[0], epochs=25, verbose=0)
    found = model.evaluate(halves[1], targets[1], verbose=0, return_dict=True)
    assert found["digit_accuracy"] >= 0.95
    assert found["odd_accuracy"] >= 0.95
    assert found["ink_mae"] < 0.5 * np.abs(targets[1]["ink"] - targets[0]["ink"].mean()).mean()


def test_a_frozen_base_of_other_digits_learns_new_ones_from_few_images(digits):
    x, x_test, y, y_test = digits
    small, large, large_test = y < 5, y >= 5, y_test >= 5
    base = Sequential([Input((1, 8, 8)), Conv2D(32, 3, padding="same", activation="relu"), MaxPooling2D(2), Flatten()])
    whole = Sequential([base, Dense(5)])
    whole.compile("adam", "cross_entropy")
    whole.fit(x[small], y[small], epochs=10, verbose=0)
    base.trainable = False
    before = base.get_weights()

    few = np.flatnonzero(large)[:100]
    model = Sequential([base, Dense(5)])
    model.compile(kt.optimizers.Adam(0.01), "cross_entropy", metrics=["accuracy"])
    model.fit(x[few], y[few] - 5, epochs=30, verbose=0)
    assert all(map(np.array_equal, before, base.get_weights()))
    frozen = model.evaluate(x_test[large_test], y_test[large_test] - 5, verbose=0)[1]
    assert frozen >= 0.9

    base.trainable = True
    model.compile(kt.optimizers.Adam(1e-4), "cross_entropy", metrics=["accuracy"])
    model.fit(x[few], y[few] - 5, epochs=10, verbose=0)
    assert not any(map(np.array_equal, before, base.get_weights()))
    assert model.evaluate(x_test[large_test], y_test[large_test] - 5, verbose=0)[1] >= frozen - 0.02


def _pairs(x, y, count, seed):
    """Pairs of images, half of them of the same digit."""
    random = np.random.default_rng(seed)
    first = random.integers(0, len(x), count)
    same = random.integers(0, 2, count)
    second = np.array(
        [random.choice(np.flatnonzero((y == y[one]) == bool(s))) for one, s in zip(first, same, strict=True)]
    )
    return [x[first], x[second]], same


@pytest.mark.slow
def test_a_siamese_model_with_one_encoder_tells_whether_two_images_show_the_same_digit(digits):
    x, x_test, y, y_test = digits
    encoder = Sequential([Flatten(), Dense(128, "relu"), Dense(32)], name="encoder")
    one, other = Input((1, 8, 8), name="one"), Input((1, 8, 8), name="other")
    difference = (encoder(one) - encoder(other)).abs()
    model = Model([one, other], Dense(1, "sigmoid")(difference))
    assert len(list(model.parameters())) == 6
    model.compile(kt.optimizers.Adam(0.002), "binary_crossentropy", metrics=["accuracy"])
    pairs, same = _pairs(x, y, 12000, 0)
    model.fit(pairs, same, epochs=15, batch_size=32, verbose=0)
    pairs, same = _pairs(x_test, y_test, 1000, 1)
    assert model.evaluate(pairs, same, verbose=0)[1] >= 0.93


@pytest.mark.slow
def test_augmentation_beats_the_same_model_without_it_on_200_images(digits):
    x, x_test, y, y_test = digits
    few, _, labels, _ = train_test_split(x, y, train_size=200, stratify=y, random_state=0)

    def score(augmented, seed):
        kt.utils.set_random_seed(seed)
        shift = layers.RandomTranslation(0.125, 0.125, fill_mode="constant", interpolation="nearest")  # by a pixel
        body = [
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(2),
            Flatten(),
            Dense(64, "relu"),
            Dense(10),
        ]
        model = Sequential([Input((1, 8, 8)), *([shift] if augmented else []), *body])
        model.compile("adam", "cross_entropy", metrics=["accuracy"])
        model.fit(few, labels, epochs=120, verbose=0)
        return model.evaluate(x_test, y_test, verbose=0)[1]

    seeds = range(3)
    assert np.mean([score(True, seed) for seed in seeds]) > np.mean([score(False, seed) for seed in seeds])


def test_a_module_of_torch_stands_where_a_layer_can(digits):
    x, x_test, y, y_test = digits
    image = Input((1, 8, 8))
    h = kt.call(nn.Conv2d(1, 16, 3, padding=1), image).relu()
    h = kt.call(nn.BatchNorm2d(16), MaxPooling2D(2)(h))
    model = Model(image, kt.call(nn.LazyLinear(10), h.flatten(1)))
    model.compile("adam", nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(x, y, epochs=10, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] >= 0.95


def test_masks_reach_the_loss_of_a_model_that_labels_every_step(text):
    """Is the next character a vowel? Padding counts in no number."""
    x = text[0][:512]
    following = np.concatenate([x[:, 1:], np.zeros((512, 1), "int64")], axis=1)
    y = np.isin(following, np.frombuffer(b"aeiou", np.uint8)).astype("float32")[..., None]
    kt.utils.set_random_seed(0)
    model = Sequential([Embedding(128, 8, mask_zero=True), LSTM(8, return_sequences=True), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(x, y, verbose=0)
    counted = x != 0
    p = model.predict(x, verbose=0)[counted].astype("float64")
    expected = -np.mean(y[counted] * np.log(p) + (1 - y[counted]) * np.log(1 - p))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert accuracy == pytest.approx(np.mean((p > 0.5) == y[counted]))
    assert model.evaluate(x, y, batch_size=7, verbose=0) == pytest.approx([loss, accuracy], rel=1e-5)
    wider = [np.concatenate([part, np.zeros_like(part)], axis=1) for part in (x, y)]
    assert model.evaluate(*wider, verbose=0) == pytest.approx([loss, accuracy], rel=1e-5)


def test_global_pooling_leaves_padding_out(text):
    x = text[0][:64]
    model = Sequential([Embedding(128, 8, mask_zero=True), GlobalAveragePooling1D()])
    pooled = model.predict(x, verbose=0)
    embedded = model[0].weight.detach().numpy()
    expected = np.stack([embedded[row[row != 0]].mean(0) for row in x])
    assert np.allclose(pooled, expected, atol=1e-6)
