"""Steps of Keras' optimizers: settings and gradients, and a script that writes the weights that Keras computes.

`keras_optimizers.json` was written by Keras 3.15.1 with JAX, because with torch a step of ScheduleFreeAdamW reads a
value that it has overwritten: `JAX_ENABLE_X64=1 KERAS_BACKEND=jax python tests/support/keras_optimizers.py`. Rates are
powers of 2, because Keras stores them in float32.

"""

import json
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).with_suffix(".json")
STEPS = 50
STORED = (1, 50)
SHAPES = {
    "wide": (3, 5),
    "tall": (6, 2),
    "bias": (3,),
    "scalar": (),
    "kernel": (2, 3, 2, 2),
    "embedding": (4, 2),
    "head": (2, 3),
}

# name -> (class, arguments)
CASES = {
    "lion": ("Lion", {}),
    "lion-all": ("Lion", {"learning_rate": 0.0625, "beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.125}),
    "lamb": ("Lamb", {}),
    "lamb-all": (
        "Lamb",
        {"learning_rate": 0.0625, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.01, "weight_decay": 0.125},
    ),
    "ftrl": ("Ftrl", {"learning_rate": 0.0625}),
    "ftrl-all": (
        "Ftrl",
        {
            "learning_rate": 0.25,
            "learning_rate_power": -0.75,
            "initial_accumulator_value": 0.5,
            "l1_regularization_strength": 0.5,
            "l2_regularization_strength": 0.25,
            "l2_shrinkage_regularization_strength": 0.125,
            "beta": 0.5,
        },
    ),
    "ftrl-decay": ("Ftrl", {"learning_rate": 0.25, "learning_rate_power": 0.0, "weight_decay": 0.125}),
    "adafactor": ("Adafactor", {}),
    "adafactor-large-rate": ("Adafactor", {"learning_rate": 0.5}),
    "adafactor-all": (
        "Adafactor",
        {
            "learning_rate": 0.0625,
            "beta_2_decay": -0.5,
            "epsilon_1": 1e-4,
            "epsilon_2": 0.25,
            "clip_threshold": 0.5,
            "relative_step": False,
            "weight_decay": 0.125,
        },
    ),
    "muon": ("Muon", {"learning_rate": 0.0625}),
    "muon-exclude": ("Muon", {"learning_rate": 0.0625, "exclude_layers": ["hea.$"], "exclude_embeddings": False}),
    "muon-all": (
        "Muon",
        {
            "learning_rate": 0.0625,
            "adam_beta_1": 0.8,
            "adam_beta_2": 0.9,
            "adam_weight_decay": 0.25,
            "epsilon": 0.01,
            "weight_decay": 0.125,
            "muon_a": 2.0,
            "muon_b": -1.5,
            "muon_c": 0.5,
            "adam_lr_ratio": 0.5,
            "momentum": 0.75,
            "ns_steps": 3,
            "nesterov": False,
            "rms_rate": None,
        },
    ),
    "muon-clipped": ("Muon", {"learning_rate": 0.0625, "global_clipnorm": 0.5, "weight_decay": None}),
    "schedule-free": ("ScheduleFreeAdamW", {"learning_rate": 0.0625}),
    "schedule-free-all": (
        "ScheduleFreeAdamW",
        {"learning_rate": 0.0625, "beta_1": 0.75, "beta_2": 0.9, "epsilon": 0.01, "warmup_steps": 20},
    ),
    "schedule-free-clipped": ("ScheduleFreeAdamW", {"learning_rate": 0.0625, "clipnorm": 0.5}),
}


def initial(name):
    """Return the initial weight of a name."""
    shape = SHAPES[name]
    return 0.5 * np.cos(1.3 * np.arange(np.prod(shape, dtype=int)) + len(name)).reshape(shape)


def gradient(name, step):
    """Return the gradient of a step, from 0; it does not depend on the weight. One row of an embedding has none."""
    shape = SHAPES[name]
    values = np.sin(1.7 * np.arange(np.prod(shape, dtype=int)) + 2.3 * step + len(name)) * (1 + step % 3) * 0.3
    values = values.reshape(shape)
    if name == "embedding":
        values[1] = 0.0
    return values


def main():
    """Write the weights that Keras computes after some of the steps."""
    import keras

    found = {}
    for case, (kind, arguments) in CASES.items():
        optimizer = getattr(keras.optimizers, kind)(**arguments)
        weights = {name: keras.Variable(initial(name), dtype="float64", name=name) for name in SHAPES}
        found[case] = {}
        for step in range(STEPS):
            gradients = [keras.ops.convert_to_tensor(gradient(name, step), dtype="float64") for name in SHAPES]
            optimizer.apply(gradients, list(weights.values()))
            if step + 1 in STORED:
                found[case][step + 1] = {
                    name: weight.numpy().ravel().round(10).tolist() for name, weight in weights.items()
                }
    cases = ",\n".join(f" {json.dumps(case)}: {json.dumps(steps)}" for case, steps in found.items())
    FILE.write_text(f"{{\n{cases}\n}}\n")


if __name__ == "__main__":
    main()
