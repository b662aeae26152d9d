// Leaky ReLU (ReLU has a slope of 0), PReLU and SiLU, each as a layer of its own. Map after map of
// [maps][pixels][LANES].
#pragma once

#include <cstdint>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// exp to one unit in the last place, after Cephes' expf (https://www.netlib.org/cephes): 2 to a whole power, and a
// polynomial of the rest.
inline vec exponential(vec v) {
    constexpr float WHOLE = 12582912;  // 1.5 * 2^23: what is added to it is rounded to a whole number
    constexpr float FACTORS[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                                 5.0000001201e-1f};
    v = v < -87 ? splat(-87) : v > 88 ? splat(88) : v;
    vec shifted = v * 1.44269504f + WHOLE, whole = shifted - WHOLE;
    vec rest = v - whole * 0.693359375f + whole * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    for (float factor : FACTORS) p = p * rest + factor;
    vec power = (vec)(((whole_vec)shifted - (whole_vec)splat(WHOLE) + 127) << 23);
    return (p * rest * rest + rest + 1) * power;
}

inline vec sigmoid(vec v) { return 1 / (1 + exponential(-v)); }

inline float slope_of(const Op& op, int64_t map) { return op.curve == PRELU ? op.weight_of(map) : float(op.slope); }

inline void activation_forward(const Op& op, const float* x, float* y) {
    int64_t map = op.in_map();
    for (int64_t m = 0; m < op.maps; m++, x += map, y += map) {
        float slope = slope_of(op, m);
        if (op.curve == SILU)
            each(map, [&](int64_t i) {
                vec v = load(x + i);
                store(y + i, v * sigmoid(v));
            });
        else
            each(map, [&](int64_t i) { store(y + i, leaky(load(x + i), slope)); });
    }
}

inline void silu_backward(int64_t map, const float* x, const float* dy, float* dx) {
    each(map, [&](int64_t i) {
        vec v = load(x + i), s = sigmoid(v);
        store(dx + i, load(dy + i) * (s + v * s * (1 - s)));
    });
}

// dx may be null: then only the gradient of the slope is wanted.
inline void activation_backward(const Op& op, const float* x, const float* dy, float* dx, float* gradient) {
    int64_t map = op.in_map();
    for (int64_t m = 0; m < op.maps; m++, x += map, dy += map, dx += dx ? map : 0) {
        if (op.curve == SILU) {
            silu_backward(map, x, dy, dx);
            continue;
        }
        float slope = slope_of(op, m);
        vec total{};
        each(map, [&](int64_t i) {
            vec v = load(x + i), d = load(dy + i);
            if (op.curve == PRELU) total += v > 0 ? vec{} : d * v;
            if (dx) store(dx + i, leaky_back(d, v, slope));
        });
        if (op.curve == PRELU) gradient[op.weight_at + (op.per_map ? m : 0)] += sum(total);
    }
}

}  // namespace batch_last
