# Title: recurrent layers

import keras
import numpy as np
from keras import layers, ops
from results import store

ones = {"kernel_initializer": "ones", "recurrent_initializer": keras.initializers.Constant(0.1)}
x = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)

# Built-in layers

model = keras.Sequential()
model.add(layers.Embedding(input_dim=1000, output_dim=64))
model.add(layers.LSTM(128))
model.add(layers.Dense(10))
model.build((None, None))
model.summary()
store("count", model.count_params())

# Sequences as outputs

model = keras.Sequential()
model.add(layers.Embedding(input_dim=1000, output_dim=64))
model.add(layers.GRU(256, return_sequences=True))
model.add(layers.SimpleRNN(128))
model.add(layers.Dense(10))
store("shape", list(model(np.zeros((2, 5), dtype="int64")).shape))
store("count of gru", model.count_params())

# Values

store("SimpleRNN", layers.SimpleRNN(2, **ones)(x))
store("LSTM", layers.LSTM(2, **ones)(x))
store("GRU", layers.GRU(2, **ones)(x))

# States as outputs and inputs

encoder_vocab, decoder_vocab = 1000, 2000
encoder_input = layers.Input(shape=(None,))
encoder_embedded = layers.Embedding(input_dim=encoder_vocab, output_dim=64)(encoder_input)
output, state_h, state_c = layers.LSTM(64, return_state=True, name="encoder")(encoder_embedded)
encoder_state = [state_h, state_c]
decoder_input = layers.Input(shape=(None,))
decoder_embedded = layers.Embedding(input_dim=decoder_vocab, output_dim=64)(decoder_input)
decoder_output = layers.LSTM(64, name="decoder")(decoder_embedded, initial_state=encoder_state)
output = layers.Dense(10)(decoder_output)
model = keras.Model([encoder_input, decoder_input], output)
store("encoder and decoder", model.count_params())

# States from batch to batch

lstm_layer = layers.LSTM(2, stateful=True, **ones)
first = lstm_layer(x)
second = lstm_layer(x)
store("stateful", [first, second])
existing_state = lstm_layer.states
store("states", [list(one.shape) for one in existing_state])
lstm_layer.reset_states()
store("reset", lstm_layer(x))
new_lstm_layer = layers.LSTM(2, **ones)
store("initial state", new_lstm_layer(x, initial_state=[ops.ones((2, 2)), ops.ones((2, 2))]))

# Both directions

model = keras.Sequential()
model.add(keras.Input(shape=(5, 10)))
model.add(layers.Bidirectional(layers.LSTM(64, return_sequences=True)))
model.add(layers.Bidirectional(layers.LSTM(32)))
model.add(layers.Dense(10))
model.summary()
store("bidirectional", [model.count_params(), model.output_shape])
store("values", layers.Bidirectional(layers.LSTM(2, **ones))(x))

# Cells

batch_size, input_dim, units, output_size = 4, 28, 16, 10
model = keras.models.Sequential(
    [
        keras.layers.RNN(keras.layers.LSTMCell(units), input_shape=(None, input_dim)),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(output_size),
    ]
)
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer="sgd", metrics=["accuracy"])
model.fit(np.random.random((8, 28, 28)), np.random.randint(0, 10, 8), batch_size=batch_size, epochs=1, verbose=0)
store("count of cells", model.count_params())
store("stacked", list(layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)])(x).shape))

# A cell of one's own with nested inputs and states


class NestedCell(keras.Layer):
    def __init__(self, unit_1, unit_2, unit_3, **kwargs):
        self.unit_1 = unit_1
        self.unit_2 = unit_2
        self.unit_3 = unit_3
        self.state_size = [unit_1, (unit_2, unit_3)]
        self.output_size = [unit_1, (unit_2, unit_3)]
        super().__init__(**kwargs)

    def build(self, input_shapes):
        i1 = input_shapes[0][1]
        i2 = input_shapes[1][1]
        i3 = input_shapes[1][2]
        self.kernel_1 = self.add_weight(shape=(i1, self.unit_1), initializer="uniform", name="kernel_1")
        self.kernel_2_3 = self.add_weight(
            shape=(i2, i3, self.unit_2, self.unit_3), initializer="uniform", name="kernel_2_3"
        )

    def call(self, inputs, states):
        input_1, input_2 = inputs
        s1, s2 = states
        output_1 = ops.matmul(input_1, self.kernel_1)
        output_2_3 = ops.einsum("bij,ijkl->bkl", input_2, self.kernel_2_3)
        state_1 = s1 + output_1
        state_2_3 = s2 + output_2_3
        output = (output_1, output_2_3)
        new_states = (state_1, state_2_3)
        return output, new_states


cell = NestedCell(4, 5, 6)
cell.build([(None, 3), (None, 2, 7)])
(first, second), _ = cell((ops.ones((2, 3)), ops.ones((2, 2, 7))), (ops.ones((2, 4)), ops.ones((2, 5, 6))))
store("nested", [list(first.shape), list(second.shape)])


class MinimalRNNCell(keras.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones", name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units), initializer=keras.initializers.Constant(0.1), name="recurrent_kernel"
        )
        self.built = True

    def call(self, inputs, states):
        prev_output = states[0]
        h = ops.matmul(inputs, self.kernel)
        output = h + ops.matmul(prev_output, self.recurrent_kernel)
        return output, [output]


# The cell in a layer

layer = keras.layers.RNN(MinimalRNNCell(3))
store("minimal cell", layer(x))
layer = keras.layers.RNN([MinimalRNNCell(3), MinimalRNNCell(2)], return_sequences=True)
store("two minimal cells", layer(x))
