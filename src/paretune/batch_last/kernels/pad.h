// More rows below and more columns on the right, of one number: from [maps][rows][columns][LANES] to
// [maps][out_rows][out_columns][LANES]. The loops go through what is written, row by row.
#pragma once

#include <cstdint>
#include <cstring>

#include "op.h"
#include "vectors.h"

namespace batch_last {

inline void pad_forward(const Op& op, const float* x, float* y) {
    for (int64_t m = 0; m < op.maps; m++)
        for (int64_t r = 0; r < op.out_rows; r++)
            for (int64_t c = 0; c < op.out_columns; c++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    const float* at = x + ((m * op.rows + r) * op.columns + c) * LANES + lane;
                    vec value = r < op.rows && c < op.columns ? load(at) : splat(op.filling);
                    store(y + ((m * op.out_rows + r) * op.out_columns + c) * LANES + lane, value);
                }
}

inline void pad_backward(const Op& op, const float* dy, float* dx) {
    int64_t row = op.columns * LANES, out_row = op.out_columns * LANES;
    for (int64_t m = 0; m < op.maps; m++)
        for (int64_t r = 0; r < op.rows; r++) {
            const float* from = dy + (m * op.out_rows + r) * out_row;
            std::memcpy(dx + (m * op.rows + r) * row, from, sizeof(float) * row);
        }
}

}  // namespace batch_last
