"""Store files that Keras has written, with inputs and the outputs of Keras, in `keras_files.zip`.

To make the file again, install Keras 3, h5py and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_keras_files.py
"""

import io
import pathlib
import tempfile
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).parent


def main():
    """Write the file."""
    import keras
    from keras_models import MODELS, randomize, sample_of  # collected by the tests, which do not find it by this name

    with (
        zipfile.ZipFile(HERE / "keras_files.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        tempfile.TemporaryDirectory() as folder,
    ):
        for name, make in MODELS.items():
            rng = np.random.default_rng(0)
            model = make(keras)
            randomize(model, rng)
            if name == "residual":
                model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
                model.fit(rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 2)), verbose=0)
            sample = sample_of(model, rng)
            outputs = model(sample, training=False)
            for ending in (".keras", ".weights.h5"):
                path = pathlib.Path(folder) / f"{name}{ending}"
                model.save(path) if ending == ".keras" else model.save_weights(path)
                archive.write(path, path.name)
            arrays = {f"input {key}": one for key, one in _named(sample).items()}
            arrays |= {f"output {key}": keras.ops.convert_to_numpy(one) for key, one in _named(outputs).items()}
            arrays |= {f"weight {index}": one for index, one in enumerate(model.get_weights())}
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)
            archive.writestr(f"{name}.npz", buffer.getvalue())


def _named(values):
    """Return a structure as a dict; the keys of a list are its positions, that of one value is the empty text."""
    if isinstance(values, dict):
        return values
    return dict(enumerate(values)) if isinstance(values, (list, tuple)) else {"": values}


if __name__ == "__main__":
    main()
