"""`keras.utils.FeatureSpace`: the parts are the preprocessing layers, in the order of Keras."""

import numpy as np
import pandas as pd
import pytest
import torch

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch.keras import layers
from kerastorch.keras.utils import FeatureSpace

ROWS = 12
RNG = np.random.default_rng(0)
DATA = {
    "age": RNG.integers(20, 80, ROWS).astype("float32"),
    "sex": RNG.choice(["f", "m"], ROWS),
    "type": RNG.integers(3, 6, ROWS),
    "height": RNG.normal(170, 10, ROWS),
}
KINDS = {"height": "float_normalized", "sex": "string_categorical", "type": "integer_categorical"}


def one_hot(index, size):
    return torch.nn.functional.one_hot(torch.as_tensor(index).reshape(-1), size).float()


def indices(values):
    """The index of each value as the layers find it, and the number of indices."""
    layer = layers.StringLookup() if np.asarray(values).dtype.kind == "U" else layers.IntegerLookup()
    layer.adapt(values)
    return layer(values), layer.vocabulary_size()


# --- what comes out ---------------------------------------------------------------------------------------------


def test_features_are_joined_in_the_order_of_their_names():
    space = FeatureSpace({**KINDS, "age": "float"})
    space.adapt(DATA)
    height = torch.from_numpy((DATA["height"] - DATA["height"].mean()) / DATA["height"].std())[:, None]
    expected = [torch.from_numpy(DATA["age"])[:, None], height, *(one_hot(*indices(DATA[n])) for n in ("sex", "type"))]
    torch.testing.assert_close(space(DATA), torch.cat(expected, 1).float())


def test_bins_are_the_quantiles_of_the_data():
    space = FeatureSpace({"age": FeatureSpace.float_discretized(num_bins=3)}, num_discretization_bins=5)
    values = np.arange(90.0)
    space.adapt({"age": values})
    assert space({"age": values}).sum(0).tolist() == pytest.approx([30, 30, 30], abs=1)
    given = FeatureSpace({"age": FeatureSpace.float_discretized(num_bins=None, bin_boundaries=[1.0, 2.0])})
    assert given({"age": [0.5, 1.5, 7.0]}).tolist() == np.eye(3).tolist()


def test_crossings_hash_the_indices_of_the_features_and_come_last():
    space = FeatureSpace(
        {"sex": "string_categorical", "type": "integer_categorical"},
        crosses=[("type", "sex"), FeatureSpace.cross(("sex", "type"), crossing_dim=5, output_mode="one_hot")],
        crossing_dim=7,
    )
    space.adapt(DATA)
    sex, kind = (indices(DATA[name])[0][:, None] for name in ("sex", "type"))
    plain = [one_hot(*indices(DATA[name])) for name in ("sex", "type")]
    crossed = [one_hot(layers.HashedCrossing(5)([sex, kind]), 5), one_hot(layers.HashedCrossing(7)([kind, sex]), 7)]
    torch.testing.assert_close(space(DATA), torch.cat([*plain, *crossed], 1))
    assert list(space.crossers) == ["type_X_sex", "sex_X_type"]


def test_a_dict_has_each_feature_in_its_own_form():
    space = FeatureSpace(
        {
            "sex": FeatureSpace.string_categorical(output_mode="int"),
            "type": FeatureSpace.integer_hashed(num_bins=4, output_mode="int"),
            "name": FeatureSpace.string_hashed(num_bins=6),
            "age": FeatureSpace.float_rescaled(scale=2.0, offset=1.0),
        },
        crosses=[FeatureSpace.cross(("sex", "type"), 3, output_mode="int")],
        output_mode="dict",
    )
    data = {**DATA, "name": [f"n{n}" for n in range(ROWS)]}
    space.adapt(data)
    found = space(data)
    sex, kind = indices(DATA["sex"])[0][:, None], layers.Hashing(4)(DATA["type"][:, None])
    assert list(found) == ["age", "name", "sex", "type", "sex_X_type"]
    torch.testing.assert_close(found["age"], torch.from_numpy(DATA["age"])[:, None] * 2 + 1)
    torch.testing.assert_close(found["name"], one_hot(layers.Hashing(6)(data["name"]), 6))
    assert (found["sex"].tolist(), found["type"].tolist()) == (sex.tolist(), kind.tolist())
    assert found["sex_X_type"].tolist() == layers.HashedCrossing(3)([sex, kind]).tolist()


def test_a_layer_of_ones_own_is_a_feature():
    texts = ["a b", "b c", "c"]
    layer = layers.TextVectorization(output_mode="tf_idf")
    space = FeatureSpace({"text": FeatureSpace.feature("string", layer, "float")})
    space.adapt({"text": texts})
    same = layers.TextVectorization(output_mode="tf_idf")
    same.adapt(texts)
    torch.testing.assert_close(space({"text": texts}), same(texts))
    assert space.preprocessors["text"] is layer


def test_single_values_are_one_row_without_an_axis():
    space = FeatureSpace({**KINDS, "age": "float"})
    space.adapt(DATA)
    row = {name: values[2] for name, values in DATA.items()}
    torch.testing.assert_close(space(row), space(DATA)[2])
    spaces = FeatureSpace(KINDS, output_mode="dict")
    spaces.adapt(DATA)
    torch.testing.assert_close(spaces(row)["sex"], spaces(DATA)["sex"][2])


# --- data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dataset",
    [
        pd.DataFrame(DATA),
        {name: list(values) for name, values in DATA.items()},
        {name: values[:, None] for name, values in DATA.items()},
        [{name: values[n : n + 5] for name, values in DATA.items()} for n in (0, 5, 10)],
        [{name: values[n] for name, values in DATA.items()} for n in range(ROWS)],
    ],
    ids=["frame", "lists", "columns", "batches", "rows"],
)
def test_adapt_and_calls_take_data_of_any_form(dataset):
    space, expected = (
        FeatureSpace({**KINDS, "age": "float_normalized"}),
        FeatureSpace({**KINDS, "age": "float_normalized"}),
    )
    expected.adapt(DATA)
    space.adapt(dataset)
    torch.testing.assert_close(space(DATA), expected(DATA))
    if hasattr(dataset, "keys"):
        torch.testing.assert_close(space(dataset), expected(DATA))


# --- in models --------------------------------------------------------------------------------------------------


def test_a_space_of_numbers_is_a_part_of_models():
    kinds = {"height": "float_normalized", "type": "integer_categorical", "age": "float_discretized"}
    space = FeatureSpace(kinds, num_discretization_bins=4)
    space.adapt(DATA)
    encoded = space.get_encoded_features()
    output = layers.Dense(1)(encoded)
    training, whole = keras.Model(encoded, output), keras.Model(space.get_inputs(), output)
    training.compile("sgd", "mse")
    training.fit(space(DATA), DATA["age"] > 50, epochs=1, verbose=0)
    raw = {name: DATA[name][:, None] for name in kinds}
    np.testing.assert_allclose(whole.predict(raw, verbose=0), training.predict(space(DATA), verbose=0), rtol=1e-5)


def test_a_space_with_strings_makes_the_input_of_a_model():
    space = FeatureSpace(KINDS, crosses=[("sex", "type")])
    space.adapt(DATA)
    encoded = space.get_encoded_features()
    assert encoded.shape == (None, space(DATA).shape[1])
    model = keras.Model(encoded, layers.Dense(1, activation="sigmoid")(encoded))
    model.compile("adam", "binary_crossentropy")
    history = model.fit(space(DATA), DATA["age"] > 50, epochs=30, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    with pytest.raises(
        ValueError, match=r"'sex', 'sex_X_type' cannot be part of a model.*model.predict\(feature_space"
    ):
        space.get_inputs()


def test_a_space_is_saved_with_what_it_has_learned(tmp_path):
    space = FeatureSpace({**KINDS, "age": "float_discretized"}, crosses=[("sex", "type")], num_discretization_bins=3)
    space.adapt(DATA)
    space.save(tmp_path / "space.kt")
    again = keras.models.load_model(tmp_path / "space.kt")
    assert type(again) is FeatureSpace
    torch.testing.assert_close(again(DATA), space(DATA))
    with pytest.warns(UserWarning, match="nothing has changed"):
        again.adapt(DATA)
    with pytest.raises(ValueError, match=r"ends in \.kt"):
        space.save(tmp_path / "space.keras")


# --- errors -----------------------------------------------------------------------------------------------------


def test_what_cannot_be_encoded_says_why():
    for wrong, sentence in [
        (lambda: FeatureSpace({}), "features must be a dict"),
        (lambda: FeatureSpace({"a": "floats"}), "Unknown kind of feature 'floats'. Did you mean 'float'"),
        (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "b")]), "Unknown feature 'b'"),
        (lambda: FeatureSpace({"a": "float"}, output_mode="list"), "Unknown output_mode 'list'"),
        (lambda: FeatureSpace({"a": "float"})({"b": [1]}), "The data have no 'a', only b"),
        (lambda: FeatureSpace({"a": "float"})([1]), "data must be a dict"),
        (lambda: FeatureSpace({"a": "float_normalized"})({"a": [1]}), "Call adapt.data. of the FeatureSpace first: a"),
        (lambda: FeatureSpace({"a": "float_normalized"}).get_inputs(), "Call adapt"),
        (lambda: FeatureSpace({"a": "float_normalized"}).adapt([1, 2]), "dataset must be a dict, a DataFrame"),
        (lambda: FeatureSpace({"a": FeatureSpace.feature("float32", layers.Identity(), "one_hot")})({"a": [1]}),
         "one-hot, but its layer returns torch.float32"),
        (lambda: FeatureSpace({"a": FeatureSpace.integer_hashed(3, output_mode="int")})({"a": [1]}), "has integers"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            wrong()


def test_a_space_keeps_its_values_when_others_are_made():
    first, second = FeatureSpace(KINDS), FeatureSpace(KINDS)
    first.adapt(DATA)
    second.adapt({name: values[:3] for name, values in DATA.items()})
    expected = FeatureSpace(KINDS)
    expected.adapt(DATA)
    torch.testing.assert_close(first(DATA), expected(DATA))
    assert isinstance(first, kt.Model)
    assert first.double()(DATA).dtype == torch.float64
    assert first.float()(DATA).dtype == torch.float32
