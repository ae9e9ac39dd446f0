"""
Title: What layers and models know, and the parts that they are made of
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

"""
## Shapes of outputs without a call
"""

store("dense", layers.Dense(3).compute_output_shape((None, 7, 4)))
store("convolution", layers.Conv2D(4, 3, strides=2, padding="same").compute_output_shape((None, 9, 9, 3)))
store("recurrent", layers.LSTM(4, return_sequences=True).compute_output_shape((None, 5, 3)))
store("several inputs", layers.Concatenate().compute_output_shape([(None, 3), (None, 4)]))
store("rows", layers.UpSampling2D(2).compute_output_shape((2, 4, 4, 1)))
store("not built", layers.Dense(3).built)

"""
## Layers that build their parts
"""


class Block(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(units)
        self.norm = layers.LayerNormalization()
        self.last = layers.Dense(1)

    def build(self, input_shape):
        self.first.build(input_shape)
        shape = self.first.compute_output_shape(input_shape)
        self.norm.build(shape)
        self.last.build(shape)
        self.built = True

    def call(self, x):
        return self.last(self.norm(self.first(ops.cast(x, self.compute_dtype))))


block = Block(3)
store("block", [ops.shape(block(np.ones((2, 5, 4)))), [one.shape for one in block.get_weights()]])
store("symbolic", list(Block(2)(keras.Input((None, 4))).shape))
store("dtypes", [block.compute_dtype, block.variable_dtype, block.dtype])

"""
## A chain that is built later
"""

model = keras.Sequential([layers.Dense(2), layers.Dense(3)])
store("before", [model.built, model.compiled])
model.build((None, 4))
store("shapes", [model.built, model.input_shape, model.output_shape, len(model.inputs), len(model.outputs)])
model.compile("sgd", "mse")
store("compiled", model.compiled)

"""
## Inputs and outputs in lists
"""

x = keras.Input((3,), name="x")
hidden = layers.Dense(4, name="hidden")(x)
model = keras.Model(x, {"z": layers.Dense(1, name="of_z")(hidden), "y": layers.Dense(2, name="of_y")(hidden)})
store("lists", [[one.name for one in model.inputs], [list(one.shape) for one in model.outputs]])
store("order", [layer.name for layer in model.layers])
part = keras.Model(inputs=model.inputs, outputs=[model.get_layer("hidden").output, model.outputs[0]])
store("part", [one.shape for one in part.predict(np.ones((2, 3)), verbose=0)])

"""
## Initializers by hand
"""

store("zeros", keras.initializers.Zeros()(shape=(2, 3), dtype="float32"))
store("constant", keras.initializers.Constant(2.0)((2,)))
store("identity", keras.initializers.Identity(gain=3.0)(shape=(2, 2)))
store("spread", abs(float(ops.std(keras.initializers.HeNormal(seed=1)(shape=(20, 4000)))) - 0.316228) < 0.01)
orthogonal = keras.initializers.get("orthogonal")(shape=(3, 5))
store("orthogonal", ops.round(ops.matmul(orthogonal, ops.transpose(orthogonal)), 3))
w_init = keras.initializers.RandomNormal()
store("variable", list(keras.Variable(initializer=w_init(shape=(3, 2), dtype="float32"), trainable=True).shape))

"""
## Initializers of one's own
"""


def counting(shape, dtype=None):
    return ops.reshape(ops.arange(int(np.prod(shape)), dtype=dtype), shape)


class Sevens(keras.initializers.Initializer):
    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, shape, dtype=None, **kwargs):
        return ops.full(shape, 7.0 * self.factor, dtype=dtype)

    def get_config(self):
        return {"factor": self.factor}


dense = layers.Dense(2, kernel_initializer=counting, bias_initializer=Sevens(2.0))
store("in a layer", dense(np.array([[1.0, 0.0, 1.0]])))
store("weights", dense.get_weights())
convolution = layers.Conv2D(2, 2, kernel_initializer=counting)
store("convolved", convolution(np.arange(27.0).reshape((1, 3, 3, 3)) / 27))

"""
## A table of vectors that were trained before
"""

vectors = np.arange(8.0).reshape((4, 2))
embedding = layers.Embedding(4, 2, embeddings_initializer=keras.initializers.Constant(vectors), trainable=False)
store("rows of the table", embedding(np.array([[1, 3]])))
square = layers.Dense(2, kernel_initializer=keras.initializers.Constant(np.array([[1.0, 2.0], [3.0, 4.0]])))
store("square kernel", square(np.array([[1.0, 0.0]])))

"""
## A weight that is counted by its inputs
"""


class Wide(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 4000), initializer="he_normal", trainable=True)

    def call(self, inputs):
        return ops.matmul(inputs, self.w)


wide = Wide()
wide(np.ones((1, 20)))
store("spread of an own weight", abs(float(np.std(wide.get_weights()[0])) - 0.316228) < 0.01)

"""
## Configs as dicts
"""

optimizer = keras.optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.5}})
store("optimizer", [type(optimizer).__name__, float(optimizer.learning_rate)])
store("regularizer", float(keras.regularizers.get({"class_name": "L2", "config": {"l2": 0.5}})(np.ones((2, 2)))))
store("penalty", float(keras.regularizers.l1_l2(l1=0.1, l2=0.2)(np.array([[3.0, -4.0]]))))
store("metric", keras.metrics.deserialize({"class_name": "Mean", "config": {"name": "q"}}).name)

"""
## The optimizer after training
"""

model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
model.fit(np.ones((6, 2)), np.ones((6, 1)), batch_size=2, epochs=2, verbose=0)
store("steps", int(model.optimizer.iterations))
model.optimizer.learning_rate.assign(0.25)
store("assigned rate", float(model.optimizer.learning_rate))

"""
## Masks by hand
"""

store("of numbers", layers.Embedding(5, 2, mask_zero=True).compute_mask(np.array([[1, 0, 2], [0, 0, 1]])))
store("of vectors", layers.Masking().compute_mask(np.array([[[1.0, 0.0], [0.0, 0.0]]])))
