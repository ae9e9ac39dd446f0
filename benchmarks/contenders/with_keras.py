"""Keras 3 on the backend that KERAS_BACKEND names, compiled as Keras does by default."""

import os
import sys

if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.modules["tensorflow"] = None  # as where it is not installed: Keras would load it

import keras
import nets_keras
from tasks import BETAS, EPSILON, LEARNING_RATE

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["OMP_NUM_THREADS"]))
    tf.config.threading.set_inter_op_parallelism_threads(int(os.environ["OMP_NUM_THREADS"]))


class Contender:
    """`steps` is `steps_per_execution`."""

    def __init__(self, task, x, y, steps=1):
        keras.utils.set_random_seed(0)
        self.task, self.y = task, y
        self.x = x[..., None] if task.net == "conv" else x
        self.model = nets_keras.NETS[task.net](task.classes)
        self.model.compile(
            keras.optimizers.Adam(LEARNING_RATE, *BETAS, EPSILON),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=steps,
        )
        self._first = self.model.get_weights()

    def reset(self):
        self.model.set_weights(self._first)

    def row(self):
        return self.x[:1]

    def fit(self, epochs):
        history = self.model.fit(self.x, self.y, batch_size=self.task.batch, epochs=epochs, verbose=0)
        return history.history["loss"]

    def evaluate(self):
        return self.model.evaluate(self.x, self.y, batch_size=self.task.batch, verbose=0)

    def predict(self, x):
        return self.model.predict(x, batch_size=self.task.batch, verbose=0)
