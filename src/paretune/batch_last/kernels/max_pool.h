// The largest of 2 x 2 pixels, or of 1 x 2, one or two pixels apart. All loops go through y
// [maps][out_rows][out_columns][LANES]; the window of a pixel of y lies in one or two rows of x
// [maps][rows][columns][LANES].
#pragma once

#include <cstdint>
#include <cstring>

#include "op.h"
#include "vectors.h"

namespace batch_last {

// f(at, out) for each register of y: where its window begins in x, and where it is in y
template <class F>
void each_window(const Op& op, F f) {
    for (int64_t m = 0; m < op.maps; m++)
        for (int64_t r = 0; r < op.out_rows; r++)
            for (int64_t c = 0; c < op.out_columns; c++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    int64_t at = ((m * op.rows + r * op.stride) * op.columns + c * op.stride) * LANES + lane;
                    int64_t out = ((m * op.out_rows + r) * op.out_columns + c) * LANES + lane;
                    f(at, out);
                }
}

inline void max_pool_forward(const Op& op, const float* x, float* y) {
    int64_t below = op.kernel_rows == 1 ? 0 : op.columns * LANES;
    each_window(op, [&](int64_t at, int64_t out) {
        vec a = load(x + at), b = load(x + at + LANES);
        vec c = load(x + at + below), d = load(x + at + below + LANES);
        a = a > b ? a : b;
        c = c > d ? c : d;
        store(y + out, a > c ? a : c);
    });
}

// The gradient goes to the first of equal maxima, as in torch.
inline void max_pool_backward(const Op& op, const float* x, const float* y, const float* dy, float* dx) {
    bool apart = op.stride == 2;  // else windows overlap and their gradients add up
    bool all_covered = apart && op.rows % op.kernel_rows == 0 && op.columns % 2 == 0;
    if (!all_covered) std::memset(dx, 0, sizeof(float) * op.maps * op.in_map());
    int64_t below = op.columns * LANES;
    each_window(op, [&](int64_t at, int64_t out) {
        vec most = load(y + out), left = load(dy + out);
        const int64_t corners[] = {at, at + LANES, at + below, at + below + LANES};
        for (int64_t place = 0; place < 2 * op.kernel_rows; place++) {
            int64_t corner = corners[place];
            auto first = load(x + corner) == most;
            vec share = first ? left : vec{};
            left = first ? vec{} : left;
            store(dx + corner, apart ? share : load(dx + corner) + share);
        }
    });
}

}  // namespace batch_last
