// Convolutions that filter each map by itself; maps may share kernels in turn.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "convolution.h"
#include "op.h"
#include "vectors.h"
#include "weight_gradient.h"

namespace batch_last {

// torch's weight is [kernels][1][kernel], and so is `packed`; `flipped` has each kernel from its end.
inline void pack_depthwise(const Op& op) {
    int64_t kernel = op.kernel_size();
    std::memcpy(op.packed, op.weight, sizeof(float) * op.kernels * kernel);
    for (int64_t k = 0; k < op.kernels; k++)
        std::reverse_copy(op.weight + k * kernel, op.weight + (k + 1) * kernel, op.flipped + k * kernel);
}

// Map after map of [maps][rows][columns][LANES], as a convolution of one map to one map
inline void depthwise_forward(const Op& op, const float* x, float* y) {
    for (int64_t m = 0; m < op.maps; m++) {
        const float* packed = op.packed + m % op.kernels * op.kernel_size();
        const float* bias = op.bias ? op.bias + m : nullptr;
        convolve(forward_of(op, 1, 1, packed, bias), x + m * op.in_map(), y + m * op.out_map());
    }
}

// Map after map; the gradients of maps that share a kernel add up. `total` is room for a register for each weight of
// one.
inline void depthwise_backward(const Op& op, const float* x, const float* y, float* dy, float* dx, float* gradient,
                               vec* total) {
    undo_activation(op, y, dy);
    add_bias_gradient(op, dy, gradient);
    for (int64_t m = 0; m < op.maps; m++) {
        int64_t kernel = m % op.kernels * op.kernel_size();
        const float* map_dy = dy + m * op.out_map();
        WeightGradient(op, 1, 1, x + m * op.in_map(), map_dy, total).add_to(gradient + op.weight_at + kernel);
        if (dx) convolve(backward_of(op, 1, 1, op.flipped + kernel), map_dy, dx + m * op.in_map());
    }
}

}  // namespace batch_last
