# Title: saving models, their weights and their configs

import json
import os

import keras
import numpy as np
from keras import ops
from results import store

rng = np.random.default_rng(0)
test_input = rng.random((128, 32)).astype("float32")
test_target = rng.random((128, 1)).astype("float32")

# The whole model


def get_model():
    inputs = keras.Input(shape=(32,))
    outputs = keras.layers.Dense(1, name="dense")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(), loss="mean_squared_error")
    return model


model = get_model()
model.fit(test_input, test_target, verbose=0)
model.save("my_model.keras")
reconstructed_model = keras.models.load_model("my_model.keras")
np.testing.assert_allclose(
    model.predict(test_input, verbose=0), reconstructed_model.predict(test_input, verbose=0), rtol=1e-6
)
store("file", os.path.exists("my_model.keras"))

# Classes of one's own

keras.saving.get_custom_objects().clear()


@keras.saving.register_keras_serializable(package="MyLayers")
class CustomLayer(keras.layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {"factor": self.factor}


@keras.saving.register_keras_serializable(package="my_package", name="custom_fn")
def custom_fn(x):
    return x**2


def get_model():
    inputs = keras.Input(shape=(4,))
    mid = CustomLayer(0.5)(inputs)
    outputs = keras.layers.Dense(1, activation=custom_fn, kernel_initializer="ones")(mid)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="rmsprop", loss="mean_squared_error")
    return model


model = get_model()
store("custom", model(np.ones((1, 4))))
model.save("custom_model.keras")
reconstructed_model = keras.models.load_model("custom_model.keras")
store("custom again", reconstructed_model(np.ones((1, 4))))

# custom_objects and the scope


class Scaled(keras.layers.Layer):
    def __init__(self, factor=3.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


model = keras.Sequential([keras.Input((2,)), Scaled(4.0), keras.layers.Dense(1, kernel_initializer="ones")])
model.save("scaled.keras")
again = keras.models.load_model("scaled.keras", custom_objects={"Scaled": Scaled})
store("custom_objects", again(np.ones((1, 2))))
with keras.saving.custom_object_scope({"Scaled": Scaled}):
    again = keras.models.load_model("scaled.keras")
store("scope", again(np.ones((1, 2))))
store("utils scope", hasattr(keras.utils, "custom_object_scope"))

# Configs of layers and models

layer = keras.layers.Dense(3, activation="relu")
layer_config = layer.get_config()
new_layer = keras.layers.Dense.from_config(layer_config)
store("layer config", [layer_config["units"], layer_config["activation"], new_layer.units])
sequential_model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(1)])
sequential_config = sequential_model.get_config()
new_sequential_model = keras.Sequential.from_config(sequential_config)
store("sequential config", new_sequential_model.count_params())
inputs = keras.Input((32,))
outputs = keras.layers.Dense(1)(inputs)
functional_model = keras.Model(inputs, outputs)
functional_config = functional_model.get_config()
new_functional_model = keras.Model.from_config(functional_config)
store("functional config", new_functional_model.count_params())

# JSON

model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(1)])
json_config = model.to_json()
assert isinstance(json.loads(json_config), dict)
new_model = keras.models.model_from_json(json_config)
store("json", new_model.count_params())
config = keras.saving.serialize_keras_object(keras.layers.Dense(5))
store("deserialized", keras.saving.deserialize_keras_object(config).units)

# Clones

with keras.saving.custom_object_scope({"Scaled": Scaled}):
    new_model = keras.models.clone_model(functional_model)
store("clone", new_model.count_params())
new_model.set_weights(functional_model.get_weights())
np.testing.assert_allclose(
    new_model.predict(test_input, verbose=0), functional_model.predict(test_input, verbose=0), rtol=1e-6
)

# Weights in memory


def create_layer():
    layer = keras.layers.Dense(64, activation="relu", name="dense_2")
    layer.build((None, 784))
    return layer


layer_1 = create_layer()
layer_2 = create_layer()
layer_2.set_weights(layer_1.get_weights())
store("same weights", all(np.array_equal(a, b) for a, b in zip(layer_1.get_weights(), layer_2.get_weights())))

# Weights in files

functional_model.save_weights("ckpt.weights.h5")
inputs = keras.Input((32,))
other = keras.Model(inputs, keras.layers.Dense(1)(inputs))
other.load_weights("ckpt.weights.h5")
np.testing.assert_allclose(
    other.predict(test_input, verbose=0), functional_model.predict(test_input, verbose=0), rtol=1e-6
)

# Transfer of layers

inputs = keras.Input(shape=(8,), name="digits")
x = keras.layers.Dense(4, activation="relu", name="dense_1")(inputs)
x = keras.layers.Dense(4, activation="relu", name="dense_2")(x)
outputs = keras.layers.Dense(10, name="predictions")(x)
functional_model = keras.Model(inputs=inputs, outputs=outputs, name="3_layer_mlp")
pretrained = keras.Model(functional_model.inputs, functional_model.layers[-1].input, name="pretrained_model")
store("pretrained", pretrained.output_shape)
model = keras.Sequential([pretrained, keras.layers.Dense(5, name="predictions")])
store("transferred", model(ops.ones((2, 8))).shape[-1])
pretrained_ckpt = pretrained.save_weights("pretrained.weights.h5")
extracted_layers = functional_model.layers[:-1]
extracted_layers.append(keras.layers.Dense(5, name="dense_3"))
model = keras.Sequential(extracted_layers)
store("extracted", model.count_params())

# get_config, build_from_config and own state


@keras.saving.register_keras_serializable(package="my_custom_package")
class LayerWithCustomState(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.my_dict = {}

    def call(self, inputs):
        return inputs


layer = LayerWithCustomState()
store("class name", keras.saving.get_registered_name(LayerWithCustomState))
store("by name", keras.saving.get_registered_object("my_custom_package>LayerWithCustomState") is LayerWithCustomState)
