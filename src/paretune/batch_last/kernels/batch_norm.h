// Batch norm, which needs all blocks at once: each block sums its own images, the sums are joined (Chan, Golub and
// LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances"), and each block is scaled.
// All loops go map after map through [maps][pixels][LANES].
//
// A block's two sums of each map lie in its own scratch, [maps][2]. `packed` is [maps][2], too: factor and shift on the
// way forward, and what a block subtracts from its dy on the way back; `flipped` is [maps][2]: mean and 1 / deviation.
//
// In evaluation mode it is an affine operation, of running statistics.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// Mean and sum of squared distances from it, of each map of the first `lanes` images of a block, into its scratch
inline void sum_batch_norm(const Op& op, float* block, int lanes) {
    const float* x = block + op.x;
    int64_t pixels = op.rows * op.columns;
    for (int64_t m = 0; m < op.maps; m++, x += pixels * LANES) {
        float* statistics = block + op.scratch + 2 * m;
        vec total[VECTORS] = {}, squares[VECTORS] = {};
        for (int64_t p = 0; p < pixels; p++)
            for (int v = 0; v < VECTORS; v++) total[v] += load(x + p * LANES + v * WIDTH);
        double mean = 0;
        for (int i = 0; i < lanes; i++) mean += total[i / WIDTH][i % WIDTH];
        mean /= double(lanes) * pixels;
        for (int64_t p = 0; p < pixels; p++)
            for (int v = 0; v < VECTORS; v++) {
                vec d = load(x + p * LANES + v * WIDTH) - float(mean);
                squares[v] += d * d;
            }
        double spread = 0;
        for (int i = 0; i < lanes; i++) spread += squares[i / WIDTH][i % WIDTH];
        statistics[0] = mean;
        statistics[1] = spread;
    }
}

// The blocks' sums into mean, 1 / deviation, factor and shift of each map, and into the running statistics
inline void join_batch_norm(const Op& op, const Batch& batch) {
    int64_t pixels = op.rows * op.columns;
    for (int64_t m = 0; m < op.maps; m++) {
        double count = 0, mean = 0, spread = 0;
        for (int64_t b = 0; b < batch.blocks(); b++) {
            const float* statistics = batch.block(b) + op.scratch + 2 * m;
            double n = double(batch.lanes_of(b)) * pixels, apart = statistics[0] - mean;
            spread += statistics[1] + apart * apart * count * n / (count + n);
            mean += apart * n / (count + n);
            count += n;
        }
        double variance = spread / count, inverse = 1 / std::sqrt(variance + op.eps);
        double weight = op.weight_of(m), bias = op.bias_of(m);
        op.running_mean[m] += float(op.momentum * (mean - op.running_mean[m]));
        if (count > 1) op.running_var[m] += float(op.momentum * (spread / (count - 1) - op.running_var[m]));
        op.packed[2 * m] = float(weight * inverse);
        op.packed[2 * m + 1] = float(bias - mean * weight * inverse);
        op.flipped[2 * m] = float(mean);
        op.flipped[2 * m + 1] = float(inverse);
    }
}

// In evaluation mode: factor and shift of each map, from the running statistics
inline void pack_affine(const Op& op) {
    for (int64_t m = 0; m < op.maps; m++) {
        double factor = op.weight_of(m) / std::sqrt(double(op.running_var[m]) + op.eps);
        op.packed[2 * m] = float(factor);
        op.packed[2 * m + 1] = float(op.bias_of(m) - op.running_mean[m] * factor);
    }
}

// Each map times its factor, and its shift added, then activated
inline void affine_forward(const Op& op, const float* x, float* y) {
    int64_t map = op.in_map();
    float slope = float(op.slope);
    for (int64_t m = 0; m < op.maps; m++, x += map, y += map) {
        float factor = op.packed[2 * m], shift = op.packed[2 * m + 1];
        each(map, [&](int64_t i) { store(y + i, leaky(load(x + i) * factor + shift, slope)); });
    }
}

// What a batch norm multiplies map `m` by, and what it adds then, in floats: the sign tells what the leaky ReLU did
struct MapScale {
    float mean, inverse, factor, shift;
    MapScale(const Op& op, int64_t m)
        : mean(op.flipped[2 * m]),
          inverse(op.flipped[2 * m + 1]),
          factor(inverse * op.weight_of(m)),
          shift(op.bias_of(m) - mean * factor) {}
};

// Of each map of a block, the sum of dy and that of dy times the normalised x, into its scratch
inline void sum_batch_norm_back(const Op& op, float* block) {
    int64_t map = op.in_map();
    float slope = float(op.slope);
    for (int64_t m = 0; m < op.maps; m++) {
        const float *x = block + op.x + m * map, *dy = block + op.dy + m * map;
        MapScale scale(op, m);
        vec total{}, product{};
        each(map, [&](int64_t i) {
            vec v = load(x + i), d = leaky_back(load(dy + i), v * scale.factor + scale.shift, slope);
            total += d;
            product += d * (v - scale.mean);
        });
        block[op.scratch + 2 * m] = sum(total);
        block[op.scratch + 2 * m + 1] = sum(product) * scale.inverse;
    }
}

// The blocks' sums into the gradient (that of the first block), and into what each block subtracts from its dy
inline void join_batch_norm_back(const Op& op, const Batch& batch, float* gradient) {
    double count = double(batch.images) * op.rows * op.columns;
    for (int64_t m = 0; m < op.maps; m++) {
        double total = 0, product = 0;
        for (int64_t b = 0; b < batch.blocks(); b++) {
            const float* sums = batch.block(b) + op.scratch + 2 * m;
            total += sums[0];
            product += sums[1];
        }
        if (op.weight_at >= 0) gradient[op.weight_at + m] += float(product);
        if (op.bias_at >= 0) gradient[op.bias_at + m] += float(total);
        op.packed[2 * m] = float(total / count);
        op.packed[2 * m + 1] = float(product / count);
    }
}

// dx of a block; 0 in the lanes that hold no image
inline void batch_norm_backward(const Op& op, float* block, int lanes) {
    int64_t map = op.in_map();
    float slope = float(op.slope);
    float mask[LANES];
    for (int i = 0; i < LANES; i++) mask[i] = i < lanes;
    for (int64_t m = 0; m < op.maps; m++) {
        const float *x = block + op.x + m * map, *dy = block + op.dy + m * map;
        float* dx = block + op.dx + m * map;
        MapScale scale(op, m);
        float total = op.packed[2 * m], product = op.packed[2 * m + 1] * scale.inverse;
        for (int64_t i = 0; i < map; i += LANES)
            for (int lane = 0; lane < LANES; lane += WIDTH) {
                int64_t at = i + lane;
                vec v = load(x + at), d = leaky_back(load(dy + at), v * scale.factor + scale.shift, slope);
                store(dx + at, load(mask + lane) * scale.factor * (d - total - (v - scale.mean) * product));
            }
    }
}

}  // namespace batch_last
