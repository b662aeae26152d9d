// The mean of windows of pixels that lie side by side: squares, or parts of a row. All loops go through y
// [maps][out_rows][out_columns][LANES]; rows and columns of x [maps][rows][columns][LANES] that fill no window are not
// read.
#pragma once

#include <cstdint>
#include <cstring>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// f(at, out) for each register of y: where its window begins in x, and where it is in y
template <class F>
void each_part(const Op& op, F f) {
    for (int64_t m = 0; m < op.maps; m++)
        for (int64_t r = 0; r < op.out_rows; r++)
            for (int64_t c = 0; c < op.out_columns; c++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    int64_t at = ((m * op.rows + r * op.stride) * op.columns + c * op.stride) * LANES + lane;
                    int64_t out = ((m * op.out_rows + r) * op.out_columns + c) * LANES + lane;
                    f(at, out);
                }
}

// f(place) for each pixel of the window that begins at `at`
template <class F>
void each_pixel(const Op& op, int64_t at, F f) {
    for (int64_t row = 0; row < op.kernel_rows; row++)
        for (int64_t column = 0; column < op.kernel_columns; column++) f(at + (row * op.columns + column) * LANES);
}

inline void mean_pool_forward(const Op& op, const float* x, float* y) {
    float share = 1.f / float(op.kernel_rows * op.kernel_columns);
    each_part(op, [&](int64_t at, int64_t out) {
        vec total{};
        each_pixel(op, at, [&](int64_t place) { total += load(x + place); });
        store(y + out, total * share);
    });
}

inline void mean_pool_backward(const Op& op, const float* dy, float* dx) {
    std::memset(dx, 0, sizeof(float) * op.maps * op.in_map());
    float share = 1.f / float(op.kernel_rows * op.kernel_columns);
    each_part(op, [&](int64_t at, int64_t out) {
        vec gradient = load(dy + out) * share;
        each_pixel(op, at, [&](int64_t place) { store(dx + place, gradient); });
    });
}

}  // namespace batch_last
