"""
Title: Involution
"""

import keras
import numpy as np
from keras import ops
from results import store

"""
## The layer
"""


class Involution(keras.layers.Layer):
    def __init__(self, channel, group_number, kernel_size, stride, reduction_ratio, name):
        super().__init__(name=name)
        self.channel = channel
        self.group_number = group_number
        self.kernel_size = kernel_size
        self.stride = stride
        self.reduction_ratio = reduction_ratio

    def build(self, input_shape):
        (_, height, width, num_channels) = input_shape
        height = height // self.stride
        width = width // self.stride
        self.stride_layer = (
            keras.layers.AveragePooling2D(pool_size=self.stride, strides=self.stride, padding="same")
            if self.stride > 1
            else lambda x: x
        )
        self.kernel_gen = keras.Sequential(
            [
                keras.layers.Conv2D(filters=self.channel // self.reduction_ratio, kernel_size=1),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
                keras.layers.Conv2D(filters=self.kernel_size * self.kernel_size * self.group_number, kernel_size=1),
            ]
        )
        self.kernel_reshape = keras.layers.Reshape(
            target_shape=(height, width, self.kernel_size * self.kernel_size, 1, self.group_number)
        )
        self.input_patches_reshape = keras.layers.Reshape(
            target_shape=(
                height,
                width,
                self.kernel_size * self.kernel_size,
                num_channels // self.group_number,
                self.group_number,
            )
        )
        self.output_reshape = keras.layers.Reshape(target_shape=(height, width, num_channels))

    def call(self, x):
        kernel_input = self.stride_layer(x)
        kernel = self.kernel_gen(kernel_input)
        kernel = self.kernel_reshape(kernel)
        input_patches = ops.image.extract_patches(
            images=x,
            size=[self.kernel_size, self.kernel_size],
            strides=[self.stride, self.stride],
            dilation_rate=[1, 1],
            padding="same",
        )
        input_patches = self.input_patches_reshape(input_patches)
        output = ops.multiply(kernel, input_patches)
        output = ops.sum(output, axis=3)
        return self.output_reshape(output), kernel


input_tensor = keras.random.normal((2, 16, 16, 3))
for stride, expected in ((1, 16), (2, 8)):
    layer = Involution(channel=3, group_number=1, kernel_size=5, stride=stride, reduction_ratio=1, name=f"inv_{stride}")
    output_tensor, _ = layer(input_tensor)
    store(f"stride {stride}", list(output_tensor.shape))

"""
## Convolutions for comparison
"""

conv_model = keras.Sequential(
    [
        keras.layers.Conv2D(32, (3, 3), input_shape=(32, 32, 3), padding="same"),
        keras.layers.ReLU(name="relu1"),
        keras.layers.MaxPooling2D((2, 2)),
        keras.layers.Conv2D(64, (3, 3), padding="same"),
        keras.layers.ReLU(name="relu2"),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
)
store("convolutions", conv_model.count_params())

"""
## A model with its kernels as outputs
"""

inputs = keras.Input(shape=(16, 16, 3))
x, _ = Involution(channel=3, group_number=1, kernel_size=3, stride=1, reduction_ratio=2, name="inv_1")(inputs)
x = keras.layers.ReLU()(x)
x = keras.layers.MaxPooling2D((2, 2))(x)
(x, kernel) = Involution(channel=3, group_number=1, kernel_size=3, stride=1, reduction_ratio=2, name="inv_2")(x)
x = keras.layers.ReLU()(x)
x = keras.layers.Flatten()(x)
x = keras.layers.Dense(8, activation="relu")(x)
outputs = keras.layers.Dense(10)(x)
inv_model = keras.Model(inputs=[inputs], outputs=[outputs], name="inv_model")
inv_model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
inv_model.fit(np.random.random((8, 16, 16, 3)), np.arange(8), epochs=1, verbose=0)
layer_names = ["inv_1", "inv_2"]
outputs = [inv_model.get_layer(name).output[1] for name in layer_names]
vis_model = keras.Model(inv_model.input, outputs)
store("kernels", [list(one.shape) for one in vis_model.predict(np.ones((2, 16, 16, 3)), verbose=0)])
