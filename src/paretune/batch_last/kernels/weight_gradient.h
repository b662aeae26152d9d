// The gradient of the weights of a convolution: the dot product of each map of dy with each map of x, moved by each
// tap.
//
// Its time goes into tiles, too: M output maps x T taps, whose sums stay in registers while a tile goes through a band
// of rows of dy that stays in the level-1 cache.
#pragma once

#include <algorithm>
#include <cstdint>

#include "op.h"
#include "vectors.h"

namespace batch_last {

constexpr int GRADIENT_MAPS = TILE >= 24 ? 6 : 4;  // output maps of a tile, at most
constexpr int TAPS = 3;                            // taps of a tile, at most
constexpr int64_t BAND_FLOATS = 6144;

// How a dot product goes through x and dy: over `rows` rows of `pixels` pixels, on by these numbers of floats
struct Walk {
    int64_t rows, pixels;
    int64_t x_row, x_pixel, x_tap;
    int64_t dy_row, dy_map;
    int64_t of_map;  // registers between the sums of two output maps
};

// total[m][t] += dy[m] . x[t]: for each row and pixel, T taps of x, x_tap apart, times M maps of dy, dy_map apart.
template <int M, int T>
void dot(const Walk& walk, const float* dy, const float* x, vec* total) {
    constexpr int APART = M <= 2 ? VECTORS : 1;  // sums that do not wait for each other
    vec sums[APART][M][T] = {};
    for (int64_t row = 0; row < walk.rows; row++)
        for (int64_t pixel = 0; pixel < walk.pixels; pixel++)
            UNROLLED (i, VECTORS) {
                const float* x_at = x + row * walk.x_row + pixel * walk.x_pixel + i * WIDTH;
                const float* dy_at = dy + row * walk.dy_row + pixel * LANES + i * WIDTH;
                vec v[T];
                UNROLLED (t, T) v[t] = load(x_at + t * walk.x_tap);
                UNROLLED (m, M) {
                    vec d = load(dy_at + m * walk.dy_map);
                    UNROLLED (t, T) sums[i % APART][m][t] += d * v[t];
                }
            }
    UNROLLED (m, M)
        UNROLLED (t, T)
            UNROLLED (i, APART) total[m * walk.of_map + t] += sums[i][m][t];
}

typedef void (*Dot)(const Walk&, const float*, const float*, vec*);
constexpr Dot DOT[TAPS][6] = {
    {dot<1, 1>, dot<2, 1>, dot<3, 1>, dot<4, 1>, dot<5, 1>, dot<6, 1>},
    {dot<1, 2>, dot<2, 2>, dot<3, 2>, dot<4, 2>, dot<5, 2>, dot<6, 2>},
    {dot<1, 3>, dot<2, 3>, dot<3, 3>, dot<4, 3>, dot<5, 3>, dot<6, 3>},
};

// The outputs [from, to), within [first, end) of a row or column, for which tap `tap` meets the input
struct Reach {
    int64_t from, to;
    Reach(int64_t first, int64_t end, int64_t tap, int64_t pad, int64_t stride, int64_t size)
        : from(std::max(first, pad > tap ? divide_up(pad - tap, stride) : 0)),
          to(std::min(end, divide_up(size + pad - tap, stride))) {}
};

// Of the weights from `maps` maps x [maps][rows][columns][LANES] to `out_maps` maps, whose gradient is
// dy [out_maps][out_rows][out_columns][LANES]. `total` is [out_maps][maps][kernel] registers; their lanes are added up
// at the end.
class WeightGradient {
 public:
    WeightGradient(const Op& op, int64_t maps, int64_t out_maps, const float* x, const float* dy, vec* total)
        : op(op), maps(maps), out_maps(out_maps), of_map(maps * op.kernel_size()), x(x), dy(dy), total(total) {
        walk.x_row = x_row * op.stride, walk.x_pixel = op.stride * LANES, walk.x_tap = LANES;
        walk.dy_row = dy_row, walk.dy_map = op.out_map(), walk.of_map = of_map;
    }

    void add_to(float* gradient) {
        for (int64_t i = 0; i < out_maps * of_map; i++) total[i] = vec{};
        int64_t tiles = divide_up(out_maps, GRADIENT_MAPS);
        int64_t band = std::max<int64_t>(1, BAND_FLOATS / (GRADIENT_MAPS * dy_row));
        for (int64_t row = 0; row < op.out_rows; row += band)
            for (int64_t t = 0; t < tiles; t++) {
                map = out_maps * t / tiles;
                map_count = out_maps * (t + 1) / tiles - map;
                add_band(row, std::min(row + band, op.out_rows));
            }
        for (int64_t i = 0; i < out_maps * of_map; i++) gradient[i] += sum(total[i]);
    }

 private:
    const Op& op;
    int64_t maps, out_maps;
    int64_t of_map;  // weights of an output map
    const float *x, *dy;
    vec* total;
    int64_t x_row = op.columns * LANES, dy_row = op.out_columns * LANES;
    Walk walk{};
    int64_t map = 0, map_count = 0;  // the output maps of the tile

    Reach columns_of(int64_t kernel_column) const {
        return Reach(0, op.out_columns, kernel_column, op.pad_columns, op.stride, op.columns);
    }

    // The rows [row, end) of dy, tap row after tap row
    void add_band(int64_t row, int64_t end) {
        for (int64_t kernel_row = 0; kernel_row < op.kernel_rows; kernel_row++) {
            Reach rows(row, end, kernel_row, op.pad_rows, op.stride, op.rows);
            if (op.kernel_size() == 1)
                add_pixels(rows);
            else
                for (int64_t in = 0; in < maps; in++) add_tap_row(rows, in, kernel_row);
        }
    }

    // A kernel of one pixel: input maps side by side take the place of taps
    void add_pixels(Reach rows) {
        walk.x_tap = op.in_map();
        for (int64_t in = 0; in < maps; in += TAPS)
            add(rows, columns_of(0), in, 0, 0, std::min<int64_t>(TAPS, maps - in));
    }

    // The taps of a row of the kernel: first the columns for which all taps of a tile meet the input, then, tap by tap,
    // those on their left and right
    void add_tap_row(Reach rows, int64_t in, int64_t kernel_row) {
        for (int64_t kernel_column = 0; kernel_column < op.kernel_columns; kernel_column += TAPS) {
            int64_t taps = std::min<int64_t>(TAPS, op.kernel_columns - kernel_column);
            Reach all = columns_of(kernel_column);
            all.to = std::max(all.from, columns_of(kernel_column + taps - 1).to);
            add(rows, all, in, kernel_row, kernel_column, taps);
            for (int64_t tap = kernel_column; tap < kernel_column + taps; tap++) {
                Reach left = columns_of(tap), right = left;
                left.to = std::min(left.to, all.from);
                right.from = std::max(right.from, all.to);
                add(rows, left, in, kernel_row, tap, 1);
                add(rows, right, in, kernel_row, tap, 1);
            }
        }
    }

    void add(Reach rows, Reach columns, int64_t in, int64_t kernel_row, int64_t kernel_column, int64_t taps) {
        walk.rows = rows.to - rows.from, walk.pixels = columns.to - columns.from;
        if (walk.rows <= 0 || walk.pixels <= 0) return;
        int64_t row = rows.from * op.stride - op.pad_rows + kernel_row;
        int64_t column = columns.from * op.stride - op.pad_columns + kernel_column;
        const float* dy_at = dy + map * op.out_map() + rows.from * dy_row + columns.from * LANES;
        const float* x_at = x + in * op.in_map() + row * x_row + column * LANES;
        int64_t tap = in * op.kernel_size() + kernel_row * op.kernel_columns + kernel_column;
        DOT[taps - 1][map_count - 1](walk, dy_at, x_at, total + map * of_map + tap);
    }
};

}  // namespace batch_last
