"""Files of Keras: models and weights that Keras has written, in `keras_files.zip`, and files that are damaged."""

import contextlib
import io
import json
import pathlib
import zipfile

import numpy as np
import pytest
import torch

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch.errors import CheckpointCorruptError, CheckpointError

h5py = pytest.importorskip("h5py")
FILES = pathlib.Path(__file__).parent / "support/keras_files.zip"
with zipfile.ZipFile(FILES) as _archive:
    CONTENTS = {name: _archive.read(name) for name in _archive.namelist()}
NAMES = sorted(name.removesuffix(".keras") for name in CONTENTS if name.endswith(".keras"))


def stored(name, folder, ending=".keras"):
    """The path of a file that Keras wrote."""
    path = folder / f"{name}{ending}"
    path.write_bytes(CONTENTS[path.name])
    return path


def arrays(name):
    """Inputs, outputs and weights of Keras."""
    held = dict(np.load(io.BytesIO(CONTENTS[f"{name}.npz"])))
    kinds = {"input": {}, "output": {}, "weight": {}}
    for key, value in held.items():
        kind, _, rest = key.partition(" ")
        kinds[kind][rest] = value
    return kinds["input"], kinds["output"], list(kinds["weight"].values())


def outputs_of(model, inputs):
    """The outputs of a model, by the names that the stored ones have."""
    keys = list(inputs)
    given = inputs if keys[0].isalpha() else [inputs[key] for key in keys]
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    with torch.no_grad():
        found = model.eval()(given)
    if isinstance(found, dict):
        return found
    return {str(key): one for key, one in enumerate(found)} if isinstance(found, (list, tuple)) else {"": found}


def check_outputs(model, name):
    inputs, expected, _ = arrays(name)
    found = outputs_of(model, inputs)
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key].numpy(), value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_returns_what_it_did_in_keras(name, tmp_path):
    check_outputs(kt.load_model(stored(name, tmp_path)), name)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_listed_as_in_keras_and_taken_from_there(name, tmp_path):
    model = keras.models.load_model(stored(name, tmp_path), compile=False)
    expected = arrays(name)[2]
    for one, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    model.set_weights([np.zeros_like(one) for one in expected])
    model.set_weights(expected)
    check_outputs(model, name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_again(name, tmp_path):
    model = kt.load_model(stored(name, tmp_path))
    model.save(tmp_path / "again.keras")
    check_outputs(kt.load_model(tmp_path / "again.keras"), name)
    model.save(tmp_path / "again.kt")
    again = kt.load_model(tmp_path / "again.kt")
    check_outputs(again, name)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_h5_files_that_are_written_are_read_again(name, tmp_path):
    model = keras.models.load_model(stored(name, tmp_path))
    model.save(tmp_path / "again.h5")
    again = keras.models.load_model(tmp_path / "again.h5")
    check_outputs(again, name)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_h5_file_has_what_compile_was_given(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.25), "mse", metrics=["mae"])
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert json.loads(file.attrs["training_config"])["loss"] == "mean_squared_error"  # Keras reads no "mse" here
        assert [*file["model_weights"].attrs["layer_names"]] == [model.layers[0].name]
    again = kt.load_model(tmp_path / "m.h5")
    x = np.ones((4, 3), "float32")
    assert again.evaluate(x, x[:, :2], verbose=0) == pytest.approx(model.evaluate(x, x[:, :2], verbose=0))
    assert again.optimizer.learning_rate == 0.25


def test_an_h5_file_of_a_model_of_ones_own_is_refused(tmp_path):
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match=r"functional and sequential models; save this one as m\.keras"):
        Own().save(tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())
    callback = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.h5"))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0, callbacks=[callback])
    assert kt.load_model(tmp_path / "best.h5").count_params() == 3


@pytest.mark.parametrize("name", NAMES)
def test_files_of_weights(name, tmp_path):
    model = kt.load_model(stored(name, tmp_path))
    model.set_weights([np.zeros_like(one) for one in model.get_weights()])
    model.load_weights(stored(name, tmp_path, ".weights.h5"))
    check_outputs(model, name)
    model.save_weights(tmp_path / "written.weights.h5")
    model.set_weights([np.zeros_like(one) for one in model.get_weights()])
    model.load_weights(tmp_path / "written.weights.h5")
    check_outputs(model, name)


def test_written_weights_are_the_arrays_that_keras_writes(tmp_path):
    for name in NAMES:
        kt.load_model(stored(name, tmp_path)).save_weights(tmp_path / "written.weights.h5")
        with (
            h5py.File(tmp_path / "written.weights.h5") as found,
            h5py.File(io.BytesIO(CONTENTS[f"{name}.weights.h5"])) as expected,
        ):
            ours, theirs = listed(found), listed(expected)
        theirs = {path: value for path, value in theirs.items() if not path.startswith("optimizer/")}
        assert set(ours) == set(theirs), name
        for path, value in theirs.items():
            if not path.endswith("vars/2") or value.shape:  # Normalization counts its rows
                np.testing.assert_array_equal(ours[path], value, err_msg=f"{name}: {path}")


def listed(group):
    found = {}
    group.visititems(lambda path, one: found.update({path: one[()]}) if isinstance(one, h5py.Dataset) else None)
    return found


def test_a_main_model_takes_weights_of_keras_in_their_layout():
    kernel, bias = np.arange(6, dtype="float32").reshape(3, 2), np.ones(2, "float32")
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)])
    model.set_weights([kernel, bias])
    np.testing.assert_array_equal(model.layers[0].weight.detach().numpy(), kernel.T)
    np.testing.assert_array_equal(model.get_weights()[0], kernel.T)


@pytest.mark.parametrize("make", [kt.layers.Dense, keras.layers.Dense], ids=["main", "keras"])
def test_a_square_kernel_is_read_as_the_layer_returns_it(make):
    kernel = np.arange(4, dtype="float32").reshape(2, 2)
    model = kt.Sequential([kt.Input((2,)), make(2)])
    model.set_weights([kernel, np.zeros(2, "float32")])
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    found = model.layers[0].weight.detach().numpy()
    np.testing.assert_array_equal(found, kernel if make is kt.layers.Dense else kernel.T)


def test_training_goes_on_with_the_optimizer_of_the_file(tmp_path):
    model = kt.load_model(stored("residual", tmp_path))
    state = next(iter(model.optimizer.state.values()))
    with h5py.File(io.BytesIO(zipfile.ZipFile(tmp_path / "residual.keras").read("model.weights.h5"))) as file:
        steps, rate, mean = (file["optimizer/vars"][name][()] for name in ("0", "1", "2"))
    assert float(state["step"]) == steps == 1
    np.testing.assert_array_equal(state["exp_avg"].numpy(), mean.transpose(3, 2, 0, 1))
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(float(rate))
    assert [type(one).__name__ for one in model.layers][1] == "Conv2D"
    assert model.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0).history.keys() >= {"loss", "mae"}


class Scaled(keras.layers.Layer):
    """A layer of the user's own, in the form of Keras."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.inner = keras.layers.Dense(2)

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, x):
        return self.inner(x * self.scale) * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_a_layer_of_the_users_own(tmp_path):
    x = torch.randn(4, 3)
    model = keras.Sequential([keras.Input((3,)), Scaled(3.0), keras.layers.Dense(1)])
    model.save(tmp_path / "own.keras")
    with pytest.raises(CheckpointError, match=r"class 'Scaled', which is not known.*custom_objects"):
        keras.models.load_model(tmp_path / "own.keras")
    again = keras.models.load_model(tmp_path / "own.keras", custom_objects={"Scaled": Scaled})
    torch.testing.assert_close(again(x), model(x))


# --- files that are damaged, or were made to do harm --------------------------------------------------------------


def changed(path, **parts):
    """Write a `.keras` file with other parts."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    for name, part in parts.items():
        held[{"config": "config.json", "weights": "model.weights.h5"}[name]] = part
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in held.items():
            archive.writestr(name, part)
    return path


def config_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def test_every_cut_is_an_error(tmp_path):
    whole = CONTENTS["cells.keras"]
    path = tmp_path / "cut.keras"
    for length in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointCorruptError):
            kt.load_model(path)


def test_changed_bytes_are_an_error_or_change_nothing(tmp_path):
    whole = CONTENTS["cells.keras"]
    path = tmp_path / "changed.keras"
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        data = bytearray(whole)
        data[place] ^= 0xFF
        path.write_bytes(bytes(data))
        with contextlib.suppress(CheckpointError):
            check_outputs(kt.load_model(path), "cells")


@pytest.mark.parametrize("name", ["os.system", "keras.src.utils.get_file", "builtins.eval", "subprocess.run"])
def test_no_class_or_function_of_other_modules_is_made(name, tmp_path):
    path = stored("cells", tmp_path)
    config = config_of(path)
    module, _, bare = name.rpartition(".")
    evil = {"module": module, "class_name": bare, "config": {"command": "true"}, "registered_name": bare}
    config["config"]["layers"][1] |= evil
    with pytest.raises(CheckpointError, match=bare):
        kt.load_model(changed(path, config=json.dumps(config)))


def test_code_of_a_lambda_is_never_run(tmp_path):
    path = stored("cells", tmp_path)
    config = config_of(path)
    code = {"class_name": "__lambda__", "config": {"value": ["4wEAAAAA", None, None]}}
    config["config"]["layers"][1] |= {"class_name": "Lambda", "config": {"function": code}}
    with pytest.raises(CheckpointError, match="code of a lambda, which is never run"):
        kt.load_model(changed(path, config=json.dumps(config)))


def test_a_small_file_cannot_take_a_large_memory(tmp_path):
    path = stored("without_input", tmp_path)
    config = config_of(path)
    config["config"]["layers"][1]["config"]["units"] = 10**11
    with pytest.raises(CheckpointError, match="the weights are not those of the model"):
        kt.load_model(changed(path, config=json.dumps(config)))


@pytest.mark.parametrize("kind", ["soft", "external", "virtual", "objects", "empty"])
def test_arrays_that_are_somewhere_else_are_not_read(kind, tmp_path):
    path = stored("without_input", tmp_path)
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.zeros((4, 3), "float32")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.require_group("layers/dense/vars")
        if kind == "soft":
            file["x"] = np.zeros((4, 3), "float32")
            group["0"] = h5py.SoftLink("/x")
        elif kind == "external":
            group["0"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4, 3), "float32")
            layout[...] = h5py.VirtualSource(str(secret), "x", (4, 3))
            group.create_virtual_dataset("0", layout)
        elif kind == "objects":
            group.create_dataset("0", data=["a", "b"], dtype=h5py.string_dtype())
        else:
            group.create_dataset("0", (10**6, 10**6), "float32", chunks=(100, 100))
    with pytest.raises(CheckpointError, match="layers/dense/vars/0"):
        kt.load_model(changed(path, weights=buffer.getvalue()))


def test_a_compressed_part_that_would_become_too_large_is_refused(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential"}))
        archive.writestr("model.weights.h5", bytes(50_000_000))
    with pytest.raises(CheckpointError, match=r"model\.weights\.h5 would become 50000000 bytes"):
        kt.load_model(path)


# --- messages ------------------------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        kt.load_model(tmp_path / "none.keras")


def test_weights_of_another_model_change_nothing(tmp_path):
    model = kt.load_model(stored("cells", tmp_path))
    before = model.get_weights()
    with pytest.raises(CheckpointError, match="is missing, an array of shape"):
        model.load_weights(stored("unet", tmp_path, ".weights.h5"))
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_module_of_torch_cannot_be_written(tmp_path):
    model = kt.Sequential([kt.Input((3,)), torch.nn.Linear(3, 2)])
    with pytest.raises(TypeError, match=r"Linear is a module of torch.*kerastorch\.layers"):
        model.save(tmp_path / "linear.keras")
    assert not (tmp_path / "linear.keras").exists()


def test_an_operation_that_keras_does_not_have(tmp_path):
    x = kt.Input((3,))
    model = kt.Model(x, torch.special.sinc(kt.layers.Dense(2)(x)))
    with pytest.raises(TypeError, match=r"kerastorch\.ops"):
        model.save(tmp_path / "sinc.keras")


def test_a_loss_of_torch_is_left_out_with_a_warning(tmp_path):
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)])
    model.compile("adam", torch.nn.MSELoss())
    with pytest.warns(UserWarning, match=r"without what compile\(\) was given"):
        model.save(tmp_path / "loss.keras")
    with pytest.raises(RuntimeError, match="call compile"):
        kt.load_model(tmp_path / "loss.keras").fit(np.zeros((2, 3)), np.zeros((2, 2)))


def test_an_existing_file_is_kept(tmp_path):
    path = stored("cells", tmp_path)
    with pytest.raises(FileExistsError):
        kt.load_model(path).save(path, overwrite=False)


# --- files of Keras 2 ----------------------------------------------------------------------------------------------

with zipfile.ZipFile(FILES.parent / "keras2_files.zip") as _archive:
    FORMER = {name: _archive.read(name) for name in _archive.namelist()}


FORMER_MODELS = sorted(
    name for name in FORMER if name.endswith(".h5") and not name.startswith(("weights", "texts", "numbers"))
)


@pytest.mark.parametrize("name", FORMER_MODELS)
def test_a_model_of_keras_2_returns_what_it_did(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(FORMER[name])
    model = kt.load_model(path)
    arrays = dict(np.load(io.BytesIO(FORMER[f"{name.removesuffix('.h5')}.npz"])))
    given = arrays.pop("input")
    with torch.no_grad():
        found = model.eval()(given)
    found = found if isinstance(found, (list, tuple)) else [found]
    for one, other in zip(found, arrays.values(), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)


def test_what_compile_was_given_in_keras_2(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(FORMER["image_chain.h5"])
    model = kt.load_model(path)
    logs = model.fit(np.zeros((4, 8, 8, 3), "float32"), np.zeros(4, int), verbose=0).history
    assert {"loss", "accuracy"} <= set(logs)
    assert type(model.optimizer).__name__ == "Adam"


def compare_former(model, name):
    """Compare outputs with those of Keras 2."""
    arrays = dict(np.load(io.BytesIO(FORMER[f"{name.removesuffix('.h5')}.npz"])))
    given = arrays.pop("input")
    with torch.no_grad():
        found = model.eval()(given)
    for one, other in zip(found if isinstance(found, list) else [found], arrays.values(), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FORMER_MODELS)
@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".weights.h5"])
def test_weights_of_keras_2_are_taken_in_the_order_of_the_layers(name, ending, tmp_path):
    (tmp_path / "model.h5").write_bytes(FORMER[name])
    path = tmp_path / f"weights{ending}"
    path.write_bytes(FORMER[f"weights of {name}"])
    model = kt.load_model(tmp_path / "model.h5")
    for source in (path, tmp_path / "model.h5"):  # a file of a whole model has the weights, too
        model.set_weights([np.zeros_like(one) for one in model.get_weights()])
        model.load_weights(source)
        compare_former(model, name)


def test_a_keras_file_of_keras_2_is_refused_in_words(tmp_path):
    path = stored("cells", tmp_path)
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in (held | {"metadata.json": b'{"keras_version": "2.15.0"}'}).items():
            archive.writestr(name, part)
    with pytest.raises(CheckpointError, match=r"written by Keras 2\.15\.0.*as \.h5"):
        kt.load_model(path)


@pytest.mark.parametrize("name", ["texts", "numbers"])
def test_unknown_tokens_have_the_indices_of_versions_that_do_not_name_the_hash(name, tmp_path):
    (tmp_path / "model.h5").write_bytes(FORMER[f"{name}.h5"])
    model = kt.load_model(tmp_path / "model.h5")
    compare_former(model, name)
    model.save(tmp_path / "again.keras")
    compare_former(kt.load_model(tmp_path / "again.keras"), name)


def test_weights_of_keras_2_for_a_model_that_a_script_builds(tmp_path):
    layers = keras.layers
    x = keras.Input((6,))
    shared = layers.Dense(6, activation="tanh")
    y = layers.add([shared(x), shared(shared(x))])
    model = keras.Model(x, [layers.Dense(2)(y), layers.Concatenate()([x, y])])
    (tmp_path / "weights.h5").write_bytes(FORMER["weights of shortcut.h5"])
    model.load_weights(tmp_path / "weights.h5")
    compare_former(model, "shortcut.h5")


def test_weights_of_keras_2_that_do_not_fit_change_nothing(tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6), keras.layers.Dense(3)])
    before = model.get_weights()
    (tmp_path / "weights.h5").write_bytes(FORMER["weights of shortcut.h5"])
    with pytest.raises(
        CheckpointError, match=r"first has arrays of shapes \(6, 2\), \(2,\), expected \(6, 3\), \(3,\)"
    ):
        model.load_weights(tmp_path / "weights.h5")
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.warns(UserWarning, match="weight"):
        model.load_weights(tmp_path / "weights.h5", skip_mismatch=True)
    assert not (model.get_weights()[0] == before[0]).all()
    np.testing.assert_array_equal(model.get_weights()[2], before[2])
    (tmp_path / "weights.h5").write_bytes(FORMER["weights of image_chain.h5"])
    with pytest.raises(CheckpointError, match="layers have weights, expected 2"):
        model.load_weights(tmp_path / "weights.h5")


def test_an_h5_file_that_is_cut_off(tmp_path):
    whole = FORMER["shortcut.h5"]
    path = tmp_path / "cut.h5"
    for length in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            kt.load_model(path)


def test_an_h5_file_with_weights_alone(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(CheckpointError, match="has no architecture"):
        kt.load_model(tmp_path / "weights.h5")


# --- classes of the user's own that hold others -------------------------------------------------------------------


class Wrapped(keras.layers.Layer):
    """A layer that serializes another one in its config, as Keras' guide of saving does."""

    def __init__(self, sublayer, initializer="ones", **kwargs):
        super().__init__(**kwargs)
        self.sublayer, self.initializer = sublayer, keras.initializers.get(initializer)

    def build(self, input_shape):
        self.scale = self.add_weight((1,), self.initializer, name="scale")

    def call(self, x):
        return self.sublayer(x) * self.scale

    def get_config(self):
        held = {
            "sublayer": keras.saving.serialize_keras_object(self.sublayer),
            "initializer": keras.initializers.serialize(self.initializer),
        }
        return {**super().get_config(), **held}

    @classmethod
    def from_config(cls, config):
        sublayer = keras.saving.deserialize_keras_object(config.pop("sublayer"))
        return cls(sublayer, **config)


class WithoutName(keras.layers.Layer):
    """A layer whose constructor takes no name."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {"factor": self.factor}


def test_layers_that_hold_others(tmp_path):
    x = keras.Input((3,))
    model = keras.Model(x, WithoutName(2.0)(Wrapped(keras.layers.Dense(2, activation="relu"))(x)))
    model.save(tmp_path / "own.keras")
    own = {"Wrapped": Wrapped, "WithoutName": WithoutName}
    again = keras.models.load_model(tmp_path / "own.keras", custom_objects=own)
    rows = torch.randn(4, 3)
    torch.testing.assert_close(again(rows), model(rows))
