// The maps of x over and over, until y has enough; with fewer, the first of them. Copying a part of a concatenation to
// its place is a repetition, too. Map after map of [maps][pixels][LANES].
#pragma once

#include <cstdint>
#include <cstring>

#include "op.h"
#include "vectors.h"

namespace batch_last {

inline void repeat_forward(const Op& op, const float* x, float* y) {
    int64_t map = op.in_map();
    for (int64_t m = 0; m < op.out_maps; m++) std::memcpy(y + m * map, x + m % op.maps * map, sizeof(float) * map);
}

// The first copies are written, 0 where a map has none; the others are added.
inline void repeat_backward(const Op& op, const float* dy, float* dx) {
    int64_t map = op.in_map();
    each(op.maps * map, [&](int64_t i) { store(dx + i, i < op.out_maps * map ? load(dy + i) : vec{}); });
    for (int64_t m = op.maps; m < op.out_maps; m++) {
        float* to = dx + m % op.maps * map;
        each(map, [&](int64_t i) { store(to + i, load(to + i) + load(dy + m * map + i)); });
    }
}

}  // namespace batch_last
