// Norms within an image: group, instance, layer and scalar norm. Statistics are those of a lane, over the maps of a
// group [maps of the group][pixels][LANES]; scratch is [groups][2][LANES]: mean and 1 / deviation.
//
// Sums are made in parts of 32 pixels that are joined (Chan, Golub and LeVeque 1979): one trip through memory, and no
// digits lost.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// What a norm multiplies map `m` of each lane by, and what it adds then
struct LaneScale {
    vec factor[VECTORS], shift[VECTORS];
    LaneScale(const Op& op, int64_t m, const float* mean, const float* inverse) {
        for (int v = 0; v < VECTORS; v++) {
            factor[v] = load(inverse + v * WIDTH) * op.weight_of(m);
            shift[v] = op.bias_of(m) - load(mean + v * WIDTH) * factor[v];
        }
    }
};

// Mean and 1 / deviation of each lane, over the `floats` floats of a group
inline void measure_group(const float* x, int64_t floats, double eps, float* mean, float* inverse) {
    vec means[VECTORS] = {}, spreads[VECTORS] = {};
    for (int64_t i = 0; i < floats;) {
        int64_t start = i, end = std::min(floats, i + PART);
        float count = float((end - start) / LANES), share = count / float(end / LANES);
        for (int v = 0; v < VECTORS; v++) {
            vec part{}, squares{};
            for (i = start; i < end; i += LANES) part += load(x + i + v * WIDTH);
            part /= count;
            for (i = start; i < end; i += LANES) {
                vec d = load(x + i + v * WIDTH) - part;
                squares += d * d;
            }
            vec apart = part - means[v];
            means[v] += apart * share;
            spreads[v] += squares + apart * apart * (share * float(start / LANES));
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        store(mean + v * WIDTH, means[v]);
        for (int i = 0; i < WIDTH; i++)
            inverse[v * WIDTH + i] = 1 / std::sqrt(spreads[v][i] / float(floats / LANES) + float(eps));
    }
}

inline void group_norm_forward(const Op& op, const float* x, float* y, float* block) {
    int64_t of_group = op.maps / op.groups, map = op.in_map(), floats = of_group * map;
    for (int64_t g = 0; g < op.groups; g++, x += floats, y += floats) {
        float *mean = block + op.scratch + 2 * g * LANES, *inverse = mean + LANES;
        measure_group(x, floats, op.eps, mean, inverse);
        for (int64_t m = 0; m < of_group; m++) {
            LaneScale scale(op, g * of_group + m, mean, inverse);
            for (int64_t i = m * map; i < (m + 1) * map; i += LANES)
                for (int v = 0; v < VECTORS; v++) {
                    vec value = load(x + i + v * WIDTH) * scale.factor[v] + scale.shift[v];
                    store(y + i + v * WIDTH, leaky(value, op.slope));
                }
        }
    }
}

// Sums of dy (before the leaky ReLU that is part of the norm) and of dy times the normalised x, of each lane
struct LaneSums {
    vec total[VECTORS] = {}, product[VECTORS] = {};
};

// The sums of the floats [start, end) of a map, in parts
inline LaneSums sum_map(const Op& op, const float* x, const float* dy, const LaneScale& scale, const float* mean,
                        int64_t start_of_map, int64_t end_of_map) {
    LaneSums sums;
    float slope = float(op.slope);
    for (int64_t i = start_of_map; i < end_of_map;) {
        int64_t start = i, end = std::min(end_of_map, i + PART);
        for (int v = 0; v < VECTORS; v++) {
            vec part{}, part_product{}, middle = load(mean + v * WIDTH);
            for (i = start; i < end; i += LANES) {
                vec value = load(x + i + v * WIDTH);
                vec d = leaky_back(load(dy + i + v * WIDTH), value * scale.factor[v] + scale.shift[v], slope);
                part += d;
                part_product += d * (value - middle);
            }
            sums.total[v] += part;
            sums.product[v] += part_product;
        }
    }
    return sums;
}

// One group of a norm on its way back
struct GroupBack {
    const Op& op;
    const float *x, *dy;
    const float *mean, *inverse;
    int64_t first_map, end_map;

    // The sums over the group, each map's times its weight; adds the gradients of weights and biases
    LaneSums sum_group(float* gradient) const {
        LaneSums sums;
        int64_t map = op.in_map();
        for (int64_t m = first_map; m < end_map; m++) {
            int64_t at = op.per_map ? m : 0;
            LaneScale scale(op, m, mean, inverse);
            LaneSums of_map = sum_map(op, x, dy, scale, mean, m * map, (m + 1) * map);
            for (int v = 0; v < VECTORS; v++) {
                of_map.product[v] *= load(inverse + v * WIDTH);
                if (op.weight_at >= 0) gradient[op.weight_at + at] += sum(of_map.product[v]);
                if (op.bias_at >= 0) gradient[op.bias_at + at] += sum(of_map.total[v]);
                float weight = op.weight_of(m);
                sums.total[v] += of_map.total[v] * weight;
                sums.product[v] += of_map.product[v] * weight;
            }
        }
        return sums;
    }

    void write(const LaneSums& sums, float* dx) const {
        int64_t map = op.in_map();
        float values = float((end_map - first_map) * map / LANES), slope = float(op.slope);
        for (int64_t m = first_map; m < end_map; m++) {
            LaneScale scale(op, m, mean, inverse);
            for (int v = 0; v < VECTORS; v++) {
                vec middle = load(mean + v * WIDTH), factor = load(inverse + v * WIDTH) / values;
                vec less = sums.total[v] * factor, along = sums.product[v] * factor * load(inverse + v * WIDTH);
                for (int64_t i = m * map + v * WIDTH; i < (m + 1) * map; i += LANES) {
                    vec value = load(x + i);
                    vec d = leaky_back(load(dy + i), value * scale.factor[v] + scale.shift[v], slope);
                    store(dx + i, d * scale.factor[v] - less - (value - middle) * along);
                }
            }
        }
    }
};

// dx may be null: then only the gradients of weights and biases are wanted.
inline void group_norm_backward(const Op& op, const float* x, const float* dy, float* dx, const float* block,
                                float* gradient) {
    int64_t of_group = op.maps / op.groups;
    for (int64_t g = 0; g < op.groups; g++) {
        const float* mean = block + op.scratch + 2 * g * LANES;
        GroupBack group{op, x, dy, mean, mean + LANES, g * of_group, (g + 1) * of_group};
        LaneSums sums = group.sum_group(gradient);
        if (dx) group.write(sums, dx);
    }
}

}  // namespace batch_last
