// Dropout of values or of whole maps. What is kept is a hash of a seed and a position, and so the same in both passes.
#pragma once

#include <cstdint>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// What a value is multiplied by: 0, or more than 1 to make up for what is dropped (the hash:
// https://nullprogram.com/blog/2018/07/31/)
inline float kept(uint32_t seed, uint32_t position, double rate) {
    uint32_t hash = position * 0x9E3779B9u ^ seed;
    hash = (hash ^ hash >> 16) * 0x7feb352du;
    hash = (hash ^ hash >> 15) * 0x846ca68bu;
    hash ^= hash >> 16;
    return hash >= rate * 4294967296.0 ? float(1 / (1 - rate)) : 0.f;
}

// From x to y, or from dy to dx, of block `number`: pixel after pixel of [maps][pixels][LANES], a draw for each lane of
// a pixel, or of a map
inline void drop(const Op& op, const float* from, float* to, int64_t number) {
    int64_t pixels = op.rows * op.columns, drawn_at_once = op.drops_maps ? pixels : 1;
    for (int64_t m = 0; m < op.maps; m++)
        for (int64_t p = 0; p < pixels; p += drawn_at_once) {
            float factor[LANES];
            uint32_t position = ((number * op.maps + m) * pixels + p) * LANES;
            for (int i = 0; i < LANES; i++) factor[i] = kept(op.seed, position + i, op.rate);
            for (int64_t q = p; q < p + drawn_at_once; q++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    int64_t at = (m * pixels + q) * LANES + lane;
                    store(to + at, load(from + at) * load(factor + lane));
                }
        }
}

}  // namespace batch_last
