"""
Title: Spellings of older scripts
"""

import keras
import keras.backend as K
import numpy as np
from keras.callbacks import EarlyStopping, ModelCheckpoint
from keras.layers import LSTM, Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential, load_model
from keras.optimizers import SGD, Adam
from keras.preprocessing.sequence import pad_sequences
from keras.utils import to_categorical
from results import store

rng = np.random.default_rng(0)

"""
## A network with input_shape
"""

model = Sequential()
model.add(Conv2D(8, (3, 3), padding="same", input_shape=(12, 12, 3)))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(BatchNormalization())
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(10))
model.add(Activation("softmax"))
opt = SGD(learning_rate=0.01, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=opt, metrics=["accuracy"])
y = to_categorical(np.arange(10) % 10, 10)
model.fit(rng.random((10, 12, 12, 3)), y, batch_size=5, epochs=1, verbose=0, validation_split=0.2, shuffle=True)
store("count", model.count_params())

"""
## input_dim
"""

model = Sequential()
model.add(Dense(12, input_dim=8, activation="relu", kernel_initializer="uniform"))
model.add(Dense(8, activation="relu", kernel_initializer="random_normal"))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer=Adam(), metrics=["accuracy"])
x, y = rng.random((24, 8)), np.arange(24) % 2
model.fit(x, y, epochs=2, batch_size=10, verbose=0)
scores = model.evaluate(x, y, verbose=0)
store("names", [model.metrics_names[0], len(scores)])
predictions = [round(float(one[0])) for one in model.predict(x, verbose=0)]
store("rounded", set(predictions) <= {0, 1})

"""
## Models on the disk
"""

model.save("model.keras")
again = load_model("model.keras")
store("same", bool(np.allclose(model.predict(x, verbose=0), again.predict(x, verbose=0), atol=1e-6)))

"""
## Weights on the disk
"""

model.save_weights("model.weights.h5")
fresh = Sequential(
    [keras.Input((8,)), Dense(12, activation="relu"), Dense(8, activation="relu"), Dense(1, activation="sigmoid")]
)
fresh.load_weights("model.weights.h5")
store("same weights", bool(np.allclose(model.predict(x, verbose=0), fresh.predict(x, verbose=0), atol=1e-6)))

"""
## A file of HDF5
"""

model.save("model.h5")
again = load_model("model.h5")
store("same from h5", bool(np.allclose(model.predict(x, verbose=0), again.predict(x, verbose=0), atol=1e-6)))

"""
## Callbacks
"""

es = EarlyStopping(monitor="val_loss", mode="min", verbose=0, patience=2)
mc = ModelCheckpoint("best_model.keras", monitor="val_accuracy", mode="max", verbose=0, save_best_only=True)
history = model.fit(x, y, validation_data=(x, y), epochs=2, verbose=0, callbacks=[es, mc])
store("history", sorted(key for key in history.history if key != "learning_rate"))
store("the object", [model.history is not None, history.params["epochs"]])

"""
## Sequences
"""

docs = [[1, 2], [3], [4, 5, 6]]
padded = pad_sequences(docs, maxlen=4, padding="post", truncating="post", value=0)
store("padded", padded)
model = Sequential()
model.add(keras.layers.Embedding(10, 8))
model.add(LSTM(4, return_sequences=True, input_shape=(4, 8)))
model.add(LSTM(4))
model.add(Dense(1))
model.compile(loss="mean_squared_error", optimizer="adam")
model.fit(padded, np.ones(3), epochs=1, verbose=0)
store("sequences", model.count_params())

"""
## The functions of the backend
"""

store("backend", [K.backend(), K.epsilon(), K.floatx(), K.image_data_format()])
K.clear_session()

"""
## Lambda and functions in a model
"""

inputs = keras.Input((4,))
x = keras.layers.Lambda(lambda t: t * 2.0)(inputs)
x = keras.layers.Activation(keras.activations.tanh)(x)
outputs = keras.layers.Dot(axes=1)([x, inputs])
model = keras.models.Model(inputs=inputs, outputs=outputs)
store("lambda", model(np.array([[0.1, 0.2, 0.3, 0.4]])))

"""
## Generators
"""


def batches():
    while True:
        yield np.ones((4, 4)), np.ones((4, 1))


model.compile("sgd", "mse")
store("generator", model.evaluate(batches(), steps=2, verbose=0))
store("prediction", model.predict(np.ones((5, 4)), batch_size=2, verbose=0)[:, 0])

"""
## Weights by hand
"""

model = Sequential([keras.Input((3,)), Dense(2), Dense(1)])
weights = model.get_weights()
store("shapes", [sorted(one.shape) for one in weights])
model.set_weights([np.ones(one.shape) for one in weights])
store("ones", model(np.array([[1.0, 2.0, 3.0]])))
for layer in model.layers:
    layer.set_weights([w * 0.5 for w in layer.get_weights()])
store("halves", model(np.array([[1.0, 2.0, 3.0]])))
