"""
Title: Images: mixup, attention over patches, compact transformers
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

rng = np.random.default_rng(0)

"""
## Mixup
"""


def mix_up(ds_one, ds_two, alpha):
    images_one, labels_one = ds_one
    images_two, labels_two = ds_two
    batch_size = ops.shape(images_one)[0]
    x_l = ops.reshape(alpha, (batch_size, 1, 1, 1))
    y_l = ops.reshape(alpha, (batch_size, 1))
    images = images_one * x_l + images_two * (1 - x_l)
    labels = labels_one * y_l + labels_two * (1 - y_l)
    return (images, labels)


ones, zeros = ops.ones((2, 2, 2, 1)), ops.zeros((2, 2, 2, 1))
images, labels = mix_up((ones, ops.eye(2)), (zeros, 1 - ops.eye(2)), ops.convert_to_tensor([0.25, 1.0]))
store("mixed", [images[:, 0, 0, 0], labels])

"""
## Attention over the instances of a bag
"""


class MILAttentionLayer(layers.Layer):
    def __init__(self, weight_params_dim, kernel_initializer="glorot_uniform", use_gated=False, **kwargs):
        super().__init__(**kwargs)
        self.weight_params_dim = weight_params_dim
        self.use_gated = use_gated
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(None)

    def build(self, input_shape):
        input_dim = input_shape[0][1]
        self.v_weight_params = self.add_weight(
            shape=(input_dim, self.weight_params_dim),
            initializer=self.kernel_initializer,
            name="v",
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        self.w_weight_params = self.add_weight(
            shape=(self.weight_params_dim, 1), initializer=self.kernel_initializer, name="w", trainable=True
        )
        self.input_built = True

    def call(self, inputs):
        instances = [self.compute_attention_scores(instance) for instance in inputs]
        instances = ops.stack(instances)
        alpha = ops.softmax(instances, axis=0)
        return [alpha[i] for i in range(alpha.shape[0])]

    def compute_attention_scores(self, instance):
        instance = ops.tanh(ops.tensordot(instance, self.v_weight_params, axes=1))
        return ops.tensordot(instance, self.w_weight_params, axes=1)


inputs, embeddings = [], []
shared = [layers.Dense(8, activation="relu"), layers.Dense(4, activation="relu")]
for _ in range(3):
    inp = layers.Input((5, 5))
    flatten = layers.Flatten()(inp)
    embeddings.append(shared[1](shared[0](flatten)))
    inputs.append(inp)
alpha = MILAttentionLayer(weight_params_dim=4, use_gated=True, name="alpha")(embeddings)
multiply_layers = [layers.multiply([alpha[i], embeddings[i]]) for i in range(len(alpha))]
concat = layers.concatenate(multiply_layers, axis=1)
output = layers.Dense(2, activation="softmax")(concat)
model = keras.Model(inputs, output)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit([rng.random((8, 5, 5)) for _ in range(3)], np.arange(8) % 2, epochs=1, batch_size=4, verbose=0)
store("bags", model.count_params())
intermediate_model = keras.Model(model.input, model.get_layer("alpha").output)
scores = intermediate_model.predict([rng.random((8, 5, 5)) for _ in range(3)], verbose=0)
store("scores", np.squeeze(np.swapaxes(scores, 1, 0)).shape)

"""
## Stochastic depth and a pooled sequence
"""


class StochasticDepth(layers.Layer):
    def __init__(self, drop_prop, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob = drop_prop
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, x, training=None):
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            random_tensor = keep_prob + keras.random.uniform(shape, 0, 1, seed=self.seed_generator)
            random_tensor = ops.floor(random_tensor)
            return (x / keep_prob) * random_tensor
        return x


class SequencePooling(layers.Layer):
    def __init__(self):
        super().__init__()
        self.attention = layers.Dense(1, kernel_initializer="ones")

    def call(self, x):
        attention_weights = ops.softmax(self.attention(x), axis=1)
        attention_weights = ops.transpose(attention_weights, axes=(0, 2, 1))
        weighted_representation = ops.matmul(attention_weights, x)
        return ops.squeeze(weighted_representation, -2)


x = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)
store("pooled", SequencePooling()(x))
store("not dropped", StochasticDepth(0.5)(x))

"""
## Tokens of convolutions
"""


class CCTTokenizer(layers.Layer):
    def __init__(self, kernel_size=3, stride=1, padding=1, num_conv_layers=2, num_output_channels=(8, 16), **kwargs):
        super().__init__(**kwargs)
        self.conv_model = keras.Sequential()
        for i in range(num_conv_layers):
            self.conv_model.add(
                layers.Conv2D(
                    num_output_channels[i],
                    kernel_size,
                    stride,
                    padding="valid",
                    use_bias=False,
                    activation="relu",
                    kernel_initializer="he_normal",
                )
            )
            self.conv_model.add(layers.ZeroPadding2D(padding))
            self.conv_model.add(layers.MaxPooling2D(3, 2, "same"))

    def call(self, images):
        outputs = self.conv_model(images)
        return ops.reshape(outputs, (-1, ops.shape(outputs)[1] * ops.shape(outputs)[2], ops.shape(outputs)[-1]))


tokens = CCTTokenizer()(np.ones((2, 16, 16, 3), "float32"))
store("tokens", list(tokens.shape))
inputs = layers.Input((16, 16, 3))
x = CCTTokenizer()(inputs)
x = StochasticDepth(0.1)(layers.LayerNormalization(epsilon=1e-5)(x))
outputs = layers.Dense(4)(SequencePooling()(x))
model = keras.Model(inputs, outputs)
model.compile(
    optimizer=keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001),
    loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    metrics=[
        keras.metrics.CategoricalAccuracy(name="accuracy"),
        keras.metrics.TopKCategoricalAccuracy(2, name="top-2-accuracy"),
    ],
)
history = model.fit(
    rng.random((8, 16, 16, 3)), keras.utils.to_categorical(np.arange(8) % 4, 4), batch_size=4, epochs=1, verbose=0
)
store("compact", [model.count_params(), sorted(key for key in history.history if key != "learning_rate")])

"""
## Augmentation does not change evaluation
"""

data_augmentation_layers = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]


def data_augmentation(images):
    for layer in data_augmentation_layers:
        images = layer(images)
    return images


model = keras.Sequential([keras.Input((6, 6, 3)), *data_augmentation_layers, layers.Flatten()])
pixels = np.arange(6 * 6 * 3, dtype="float32").reshape(1, 6, 6, 3)
store("as it was", bool(np.array_equal(model.predict(pixels, verbose=0)[0], pixels.ravel())))
flipped = np.asarray(layers.RandomFlip("horizontal", seed=1)(np.repeat(pixels, 16, 0), training=True))
options = (pixels[0], pixels[0, :, ::-1])
store("mirrored", all(any(np.array_equal(one, other) for other in options) for one in flipped))

"""
## A network of residual blocks
"""


def make_model(input_shape, num_classes):
    inputs = keras.Input(shape=input_shape)
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x
    for size in [16, 24]:
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x
    x = layers.SeparableConv2D(32, 3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    units = 1 if num_classes == 2 else num_classes
    x = layers.Dropout(0.25)(x)
    outputs = layers.Dense(units, activation=None)(x)
    return keras.Model(inputs, outputs)


model = make_model(input_shape=(20, 20) + (3,), num_classes=2)
store("residual", [model.count_params(), list(model.output_shape)])
model.compile(
    optimizer=keras.optimizers.Adam(3e-4),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(name="acc")],
)
model.fit(rng.integers(0, 256, (4, 20, 20, 3)), np.arange(4) % 2, epochs=1, verbose=0)
store("score", float(keras.ops.sigmoid(model.predict(np.zeros((1, 20, 20, 3)), verbose=0)[0][0])) > 0)
