// The mean of each map: from [maps][pixels][LANES] to [maps][1][LANES].
#pragma once

#include <cstdint>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// Pixel after pixel of a map, in one register at a time
inline void mean_forward(const Op& op, const float* x, float* y) {
    int64_t map = op.in_map();
    for (int64_t m = 0; m < op.maps; m++)
        for (int lane = 0; lane < LANES; lane += WIDTH) {
            vec total{};
            for (int64_t i = 0; i < map; i += LANES) total += load(x + m * map + i + lane);
            store(y + m * LANES + lane, total / float(op.rows * op.columns));
        }
}

inline void mean_backward(const Op& op, const float* dy, float* dx) {
    int64_t map = op.in_map();
    for (int64_t m = 0; m < op.maps; m++)
        for (int lane = 0; lane < LANES; lane += WIDTH) {
            vec share = load(dy + m * LANES + lane) / float(op.rows * op.columns);
            for (int64_t i = 0; i < map; i += LANES) store(dx + m * map + i + lane, share);
        }
}

}  // namespace batch_last
