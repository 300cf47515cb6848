"""Two operations of the trained blocks, with gradients that suit a CPU.

TensorFlow's gradient for the kernel of a depthwise convolution is quick up to three columns and
ten times slower above. So it is computed in parts of three columns, which gives the same numbers.
A 1 x 1 convolution is a matrix product; processors with AMX, or AVX-512's part for it, multiply
bfloat16 numbers, and add them up in float32, at a multiple of the rate of float32 (Kalamkar et al.
2019, arXiv:1905.12322: networks train as well).
"""

from pathlib import Path
from typing import Any

import tensorflow as tf

CPU_INFO = Path("/proc/cpuinfo")
SHORT = {"amx_bf16", "avx512_bf16"}  # flags of processors that multiply bfloat16 faster
COLUMNS = 3  # of a depthwise kernel, up to which its gradient is quick


def usual_precision() -> str:
    """Choose bfloat16 where the processor multiplies it faster, else float32."""
    try:
        words = CPU_INFO.read_text().split()
    except OSError:  # not Linux
        return "float32"
    return "float32" if SHORT.isdisjoint(words) else "bfloat16"


def product(maps: Any, kernel: Any, precision: str) -> Any:
    """Multiply each position of (N, H, W, C) maps by a (C, D) kernel; float32 goes in and out."""
    if precision == "float32":
        return tf.nn.conv2d(maps, kernel[None, None], 1, "VALID")
    return tf.custom_gradient(_short_product)(maps, kernel)


def _short_product(maps: Any, kernel: Any) -> Any:
    shape, channels = tf.shape(maps), kernel.shape[1]
    left, right = _short(tf.reshape(maps, (-1, kernel.shape[0]))), _short(kernel)
    answer = tf.reshape(_long(left @ right), (shape[0], *maps.shape[1:3], channels))

    def gradient(upstream: Any) -> tuple[Any, Any]:
        above = _short(tf.reshape(upstream, (-1, channels)))
        of_maps = _long(tf.matmul(above, right, transpose_b=True))
        return tf.reshape(of_maps, shape), _long(tf.matmul(left, above, transpose_a=True))

    return answer, gradient


def _short(numbers: Any) -> Any:
    return tf.cast(numbers, tf.bfloat16)


def _long(numbers: Any) -> Any:
    return tf.cast(numbers, tf.float32)


def depthwise(maps: Any, kernel: Any, stride: int, padding: str) -> Any:
    """Convolve each channel of (N, H, W, C) maps with its own plane of a (k, k, C, 1) kernel."""
    strides, padding = [1, stride, stride, 1], padding.upper()

    def convolve(maps: Any, kernel: Any) -> Any:
        answer = tf.nn.depthwise_conv2d(maps, kernel, strides, padding)

        def gradient(upstream: Any) -> tuple[Any, Any]:
            of_maps = tf.nn.depthwise_conv2d_backprop_input(
                tf.shape(maps), kernel, upstream, strides, padding
            )
            before = [
                _padding_before(maps.shape[axis], upstream.shape[axis], kernel.shape[axis - 1], s)
                if padding == "SAME"
                else 0
                for axis, s in ((1, stride), (2, stride))
            ]
            return of_maps, _kernel_gradient(maps, upstream, kernel.shape, stride, before)

        return answer, gradient

    return tf.custom_gradient(convolve)(maps, kernel)


def _padding_before(size: int, made: int, window: int, stride: int) -> int:
    """Count the zeros that `SAME` puts in front of a side of `size`, for `made` outputs."""
    return max((made - 1) * stride + window - size, 0) // 2


def _kernel_gradient(maps: Any, upstream: Any, shape: Any, stride: int, before: list[int]) -> Any:
    """Compute the gradient of a (rows, columns, C, 1) kernel, some columns at a time."""
    (top, left), (rows, columns, channels, _) = before, shape
    bottom = (upstream.shape[1] - 1) * stride + rows - maps.shape[1] - top
    parts = []
    for first in range(0, columns, COLUMNS):
        width = min(COLUMNS, columns - first)
        begin = first - left  # where the first window of this part lies in the maps
        end = begin + (upstream.shape[2] - 1) * stride + width
        seen = maps[:, : maps.shape[1] + min(bottom, 0), max(begin, 0) : end]
        pads = [max(top, 0), max(bottom, 0), max(-begin, 0), max(end - maps.shape[2], 0)]
        parts.append(
            tf.nn.depthwise_conv2d_backprop_filter(
                seen,
                [rows, width, channels, 1],
                upstream,
                [1, stride, stride, 1],
                [[0, 0], pads[:2], pads[2:], [0, 0]],
            )
        )
    return tf.concat(parts, axis=1)
