"""
Title: Networks for rows of tables
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

rng = np.random.default_rng(0)

"""
## A transformer of columns
"""

columns, dims = 3, 8
inputs = layers.Input((columns,), dtype="int32")
encoded = layers.Embedding(10, dims)(inputs)
column_embedding = layers.Embedding(input_dim=columns, output_dim=dims)
column_indices = ops.arange(start=0, stop=columns, step=1)
x = encoded + column_embedding(column_indices)
for block_idx in range(2):
    attention_output = layers.MultiHeadAttention(
        num_heads=2, key_dim=dims, dropout=0.1, name=f"multihead_attention_{block_idx}"
    )(x, x)
    x = layers.Add(name=f"skip_connection1_{block_idx}")([attention_output, x])
    x = layers.LayerNormalization(name=f"layer_norm1_{block_idx}", epsilon=1e-6)(x)
x = layers.Flatten()(x)
outputs = layers.Dense(units=1, activation="sigmoid", name="sigmoid")(x)
model = keras.Model(inputs=inputs, outputs=outputs)
store("count", model.count_params())
optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001)
model.compile(
    optimizer=optimizer,
    loss=keras.losses.BinaryCrossentropy(),
    metrics=[keras.metrics.BinaryAccuracy(name="accuracy")],
)
history = model.fit(rng.integers(0, 10, (16, columns)), np.arange(16) % 2, epochs=1, verbose=0)
store("keys", sorted(key for key in history.history if key != "learning_rate"))

"""
## Gates
"""


class GatedLinearUnit(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.linear = layers.Dense(units, kernel_initializer="ones")
        self.sigmoid = layers.Dense(units, activation="sigmoid", kernel_initializer="zeros")

    def call(self, inputs):
        return self.linear(inputs) * self.sigmoid(inputs)

    def build(self, input_shape):
        self.built = True


class GatedResidualNetwork(layers.Layer):
    def __init__(self, units, dropout_rate):
        super().__init__()
        self.units = units
        self.elu_dense = layers.Dense(units, activation="elu", kernel_initializer="ones")
        self.linear_dense = layers.Dense(units, kernel_initializer="ones")
        self.dropout = layers.Dropout(dropout_rate)
        self.gated_linear_unit = GatedLinearUnit(units)
        self.layer_norm = layers.LayerNormalization()
        self.project = layers.Dense(units)

    def call(self, inputs):
        x = self.elu_dense(inputs)
        x = self.linear_dense(x)
        x = self.dropout(x)
        if inputs.shape[-1] != self.units:
            inputs = self.project(inputs)
        x = inputs + self.gated_linear_unit(x)
        return self.layer_norm(x)


store("gate", GatedLinearUnit(2)(np.array([[1.0, 2.0]])))
store("residual", GatedResidualNetwork(3, 0.1)(np.array([[1.0, 2.0, 4.0]])))

"""
## Recommendations from embeddings
"""

num_users, num_movies, embedding_size = 6, 9, 4


class RecommenderNet(keras.Model):
    def __init__(self, num_users, num_movies, embedding_size, **kwargs):
        super().__init__(**kwargs)
        self.num_users = num_users
        self.num_movies = num_movies
        self.embedding_size = embedding_size
        self.user_embedding = layers.Embedding(
            num_users,
            embedding_size,
            embeddings_initializer="he_normal",
            embeddings_regularizer=keras.regularizers.l2(1e-6),
        )
        self.user_bias = layers.Embedding(num_users, 1)
        self.movie_embedding = layers.Embedding(
            num_movies,
            embedding_size,
            embeddings_initializer="he_normal",
            embeddings_regularizer=keras.regularizers.l2(1e-6),
        )
        self.movie_bias = layers.Embedding(num_movies, 1)

    def call(self, inputs):
        user_vector = self.user_embedding(inputs[:, 0])
        user_bias = self.user_bias(inputs[:, 0])
        movie_vector = self.movie_embedding(inputs[:, 1])
        movie_bias = self.movie_bias(inputs[:, 1])
        dot_user_movie = ops.tensordot(user_vector, movie_vector, 2)
        x = dot_user_movie + user_bias + movie_bias
        return ops.nn.sigmoid(x)


model = RecommenderNet(num_users, num_movies, embedding_size)
model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.Adam(learning_rate=0.001))
x = np.stack([rng.integers(0, num_users, 24), rng.integers(0, num_movies, 24)], axis=1)
y = rng.random(24)
history = model.fit(x=x, y=y, batch_size=8, epochs=1, verbose=0, validation_data=(x, y))
model.summary()
store("recommender", [model.count_params(), sorted(key for key in history.history if key in ("loss", "val_loss"))])
test_loss = model.evaluate(x, y, verbose=0)
store("ratings", model.predict(x[:5], verbose=0).flatten().shape)

"""
## Rare classes
"""

train_features = rng.normal(size=(64, 6)).astype("float32")
train_targets = (np.arange(64) % 8 == 0).astype("uint8")[:, None]
mean = np.mean(train_features, axis=0)
train_features -= mean
model = keras.Sequential(
    [
        keras.Input(shape=train_features.shape[1:]),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
metrics = [
    keras.metrics.FalseNegatives(name="fn"),
    keras.metrics.FalsePositives(name="fp"),
    keras.metrics.TrueNegatives(name="tn"),
    keras.metrics.TruePositives(name="tp"),
    keras.metrics.Precision(name="precision"),
    keras.metrics.Recall(name="recall"),
]
model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=metrics)
callbacks = [keras.callbacks.ModelCheckpoint("fraud_model_at_epoch_{epoch}.keras")]
class_weight = {0: 1.0 / 56, 1: 1.0 / 8}
history = model.fit(
    train_features,
    train_targets,
    batch_size=32,
    epochs=2,
    verbose=0,
    callbacks=callbacks,
    validation_data=(train_features, train_targets),
    class_weight=class_weight,
)
store("rare", sorted(key for key in history.history if key != "learning_rate"))
store("total", history.history["val_fn"][0] + history.history["val_tp"][0])

"""
## The counts themselves
"""

y_true = np.array([0, 1, 1, 1, 0, 1])
y_pred = np.array([0.2, 0.8, 0.4, 0.6, 0.7, 0.9])
for metric in (
    keras.metrics.TruePositives(),
    keras.metrics.FalsePositives(thresholds=[0.3, 0.75]),
    keras.metrics.TrueNegatives(),
    keras.metrics.FalseNegatives(),
    keras.metrics.Precision(),
    keras.metrics.Recall(),
    keras.metrics.BinaryAccuracy(threshold=0.65),
):
    metric.update_state(y_true, y_pred)
    store(metric.name, metric.result())
