"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: LSTMs whose input at each time step is a sequence, an image or a volume."""

from __future__ import annotations

from kerastorch.layers.conv_lstm_base import _ConvLSTM


class ConvLSTM1D(_ConvLSTM):
    """LSTM over time whose input at each step is a sequence, with convolutions instead of matrix products.

    Source: Shi et al. 2015. `c' = f c + i activation(g)` and `h' = o activation(c')`, where the gates i, f, g, o are
    convolutions of the input and of `h`. The convolution of `h` has the stride 1 and is padded, so that states keep
    their size.

    Args:
        filters: Number of channels of the output and of both states.
        kernel_size: Size of the window on each axis, of both convolutions; one integer for all axes.
        strides: Step of the window over the inputs. Default 1.
        padding: `'valid'` (default) for none, or `'same'` for `ceil(size / stride)` outputs, as in `Conv2D`.
        data_format: `'channels_last'` or `'channels_first'`. By default that of `Conv1D`, `Conv2D` and `Conv3D`:
            `(batch, time, steps, channels)`, `(batch, time, channels, height, width)` and
            `(batch, time, channels, depth, height, width)`.
        dilation_rate: Distance between the elements of the window over the inputs; above 1 only with `strides=1`.
        activation: Activation of the states, a name or a callable; `None` is linear.
        recurrent_activation: Activation of the gates, a name or a callable; `None` is linear.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of `weight_ih`, `(4 * filters, channels, *kernel_size)`, gates i, f, g, o.
        recurrent_initializer: Initializer of `weight_hh`, `(4 * filters, filters, *kernel_size)`.
        bias_initializer: Initializer of `bias_ih`, `(4 * filters,)`.
        unit_forget_bias: Whether the bias of the forget gate is initialized to 1.
        kernel_regularizer: Penalty on `weight_ih`.
        recurrent_regularizer: Penalty on `weight_hh`.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, divided by the batch size.
        kernel_constraint: Constraint on `weight_ih`, applied after each optimizer step.
        recurrent_constraint: Constraint on `weight_hh`.
        bias_constraint: Constraint on the bias.
        dropout: Fraction of the inputs that is set to 0 in training, 0 to 1, with one mask for each gate and the same
            masks at all time steps.
        recurrent_dropout: The same for the states.
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        return_sequences: Whether to return the outputs of all time steps instead of the last one.
        return_state: Whether to return `(output, h, c)` instead of the output.
        go_backwards: Whether to process the last time step first; outputs are in the order of computation.
        stateful: Whether each row of a batch starts from the last states of the same row in the previous batch, until
            `reset_state()` is called.
        unroll: Accepted for compatibility with Keras; it has no effect.
        zero_output_for_mask: Whether a returned sequence is 0 at masked steps, instead of repeating the step before.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, steps, channels)` -> `(batch, new_steps, filters)`, or `(batch, time, new_steps, filters)`
    with `return_sequences`.

    >>> import torch
    >>> ConvLSTM1D(4, 3)(torch.zeros(2, 6, 10, 5)).shape
    torch.Size([2, 8, 4])
    """

    spatial_rank = 1


class ConvLSTM2D(_ConvLSTM):
    """LSTM over time whose input at each step is an image, with convolutions instead of matrix products.

    The arguments and weights are those of `ConvLSTM1D`. Images are channels-first by default, as in `Conv2D`.

    Shape: `(batch, time, channels, height, width)` -> `(batch, filters, new_height, new_width)`, or `(batch, time,
    filters, new_height, new_width)` with `return_sequences`.

    Args:
        filters: Number of channels of the output and of both states; for all other arguments, see `ConvLSTM1D`.
        kernel_size: Height and width of the window, of both convolutions; one integer for both.

    >>> import torch
    >>> frames = torch.zeros(2, 6, 1, 8, 8)
    >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True)(frames).shape
    torch.Size([2, 6, 4, 8, 8])
    """

    spatial_rank = 2


class ConvLSTM3D(_ConvLSTM):
    """LSTM over time whose input at each step is a volume, with convolutions instead of matrix products.

    The arguments and weights are those of `ConvLSTM1D`. Volumes are channels-first by default, as in `Conv3D`.

    Shape: `(batch, time, channels, depth, height, width)` -> `(batch, filters, ...)`, or `(batch, time, filters, ...)`
    with `return_sequences`.

    Args:
        filters: Number of channels of the output and of both states; for all other arguments, see `ConvLSTM1D`.
        kernel_size: Depth, height and width of the window, of both convolutions; one integer for all.

    >>> import torch
    >>> ConvLSTM3D(4, 3)(torch.zeros(2, 5, 1, 6, 6, 6)).shape
    torch.Size([2, 4, 4, 4, 4])
    """

    spatial_rank = 3
