"""
Title: Image similarity with a siamese network
"""

import keras
import numpy as np
from keras import ops
from results import store

margin = 1
rng = np.random.default_rng(3)
x_train = rng.random((20, 28, 28)).astype("float32")
labels = (np.arange(20) % 2).astype("float32")

"""
## The distance of two vectors
"""


def euclidean_distance(vects):
    x, y = vects
    sum_square = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(sum_square, keras.backend.epsilon()))


store("distance", euclidean_distance((np.ones((2, 3), "float32"), np.zeros((2, 3), "float32"))))

"""
## The network
"""

input = keras.layers.Input((28, 28, 1))
x = keras.layers.BatchNormalization()(input)
x = keras.layers.Conv2D(4, (5, 5), activation="tanh")(x)
x = keras.layers.AveragePooling2D(pool_size=(2, 2))(x)
x = keras.layers.Conv2D(16, (5, 5), activation="tanh")(x)
x = keras.layers.AveragePooling2D(pool_size=(2, 2))(x)
x = keras.layers.Flatten()(x)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.Dense(10, activation="tanh")(x)
embedding_network = keras.Model(input, x)
input_1 = keras.layers.Input((28, 28, 1))
input_2 = keras.layers.Input((28, 28, 1))
tower_1 = embedding_network(input_1)
tower_2 = embedding_network(input_2)
merge_layer = keras.layers.Lambda(euclidean_distance, output_shape=(1,))([tower_1, tower_2])
normal_layer = keras.layers.BatchNormalization()(merge_layer)
output_layer = keras.layers.Dense(1, activation="sigmoid")(normal_layer)
siamese = keras.Model(inputs=[input_1, input_2], outputs=output_layer)
store("count", siamese.count_params())

"""
## The contrastive loss
"""


def loss(margin=1):
    def contrastive_loss(y_true, y_pred):
        square_pred = ops.square(y_pred)
        margin_square = ops.square(ops.maximum(margin - (y_pred), 0))
        return ops.mean((1 - y_true) * square_pred + (y_true) * margin_square)

    return contrastive_loss


store(
    "contrastive",
    float(loss()(ops.convert_to_tensor([[0.0], [1.0]]), ops.convert_to_tensor([[0.2], [0.4]]))),
)

"""
## Train on images without an axis of channels
"""

siamese.compile(loss=loss(margin=margin), optimizer="RMSprop", metrics=["accuracy"])
siamese.summary()
history = siamese.fit(
    [x_train, x_train[::-1]],
    labels,
    validation_data=([x_train, x_train[::-1]], labels),
    batch_size=10,
    epochs=1,
    verbose=0,
)
store("keys", sorted(key for key in history.history if key != "learning_rate"))
store("results", len(siamese.evaluate([x_train, x_train], labels, verbose=0)))
