// Convolutions of all maps to all maps, which dense layers are, too.
//
// Their time goes into tiles: M output maps x C output columns of one row, whose sums stay in registers while a tile
// goes through all input maps and all taps of the kernel. A tap is one pixel of a kernel.
#pragma once

#include <algorithm>
#include <cstdint>

#include "op.h"
#include "vectors.h"
#include "weight_gradient.h"

namespace batch_last {

constexpr int TILE_MAPS = std::min(6, TILE / VECTORS);
constexpr int64_t CHUNK_FLOATS = 4096;  // of an input that stays in the level-1 cache

// From x [maps][rows][columns][LANES] to y [out_maps][out_rows][out_columns][LANES], both within the arena of a block,
// with weights [maps][kernel_rows][kernel_columns][out_maps].
struct Convolution {
    int64_t maps, rows, columns;
    int64_t out_maps, out_rows, out_columns;
    int64_t kernel_rows, kernel_columns, pad_rows, pad_columns;
    int64_t stride;
    int64_t
        spread;  // x stands for one with spread - 1 zeros between its pixels (the gradient of a strided convolution)
    const float *weight, *bias;
    float slope;  // of the leaky ReLU that follows; 1: none
};

// The taps of a kernel that meet the input for one output row (or column): `kernel`, `kernel + spread`, ... meet
// `input`, `input + 1`, ...
struct Taps {
    int64_t kernel, input, count;
    Taps(int64_t out, int64_t kernel_size, int64_t pad, int64_t stride, int64_t spread, int64_t size) {
        int64_t at = out * stride - pad;
        kernel = std::max<int64_t>(0, -at);
        if (spread > 1) kernel += (spread - (at + kernel) % spread) % spread;
        input = spread > 1 ? (at + kernel) / spread : at + kernel;
        int64_t left = spread > 1 ? divide_up(kernel_size - kernel, spread) : kernel_size - kernel;
        count = std::min(left, size - input);
    }
};

inline Taps row_taps(const Convolution& c, int64_t row) {
    return Taps(row, c.kernel_rows, c.pad_rows, c.stride, c.spread, c.rows);
}

inline Taps column_taps(const Convolution& c, int64_t column) {
    return Taps(column, c.kernel_columns, c.pad_columns, c.stride, c.spread, c.columns);
}

// One row of the output, and the taps that meet the input for it
struct Row {
    const float* x;  // the whole input
    float* y;        // the whole output
    int64_t number;
    Taps taps;
};

// M output maps from `map` on and C output columns from `column` on; K x K taps where that is known, else 0.
//
// x is read along its columns: C pixels of LANES floats, x_column apart, for each tap; then the taps of a row, one
// pixel apart; then rows; then maps. Weights of the M maps lie side by side.
template <int M, int C, int K>
void tile(const Convolution& c, const Row& row, int64_t map, int64_t column, const Taps& columns) {
    constexpr int PARTS = C * VECTORS;  // registers that hold a map of the tile
    const int64_t maps = c.maps, x_row = c.columns * LANES, x_map = c.rows * x_row;
    const int64_t x_column = (K ? 1 : c.stride) * LANES;
    const int64_t tap = (K ? 1 : c.spread) * c.out_maps, tap_row = c.kernel_columns * tap;
    const int64_t tap_map = c.kernel_rows * c.kernel_columns * c.out_maps;
    const int64_t y_row = c.out_columns * LANES, y_map = c.out_rows * y_row;
    const int64_t row_count = K == 1 ? 1 : row.taps.count;
    const float* bias = c.bias ? c.bias + map : nullptr;
    const float slope = c.slope;
    const float* x = row.x + row.taps.input * x_row + columns.input * LANES;
    float* y = row.y + map * y_map + row.number * y_row + column * LANES;
    const float* w_map = c.weight + (row.taps.kernel * c.kernel_columns + columns.kernel) * c.out_maps + map;

    vec total[M][PARTS];
    UNROLLED (m, M)
        UNROLLED (i, PARTS) total[m][i] = splat(bias ? bias[m] : 0.f);
    for (int64_t in = 0; in < maps; in++, x += x_map, w_map += tap_map) {
        const float *at_row = x, *w_row = w_map;
        for (int64_t r = 0; r < row_count; r++, at_row += x_row, w_row += tap_row) {
            auto add_tap = [&](int64_t k) {
                const float *at = at_row + k * LANES, *w = w_row + k * tap;
                vec v[PARTS];
                UNROLLED (i, PARTS) v[i] = load(at + i / VECTORS * x_column + i % VECTORS * WIDTH);
                UNROLLED (m, M)
                    UNROLLED (i, PARTS) total[m][i] += w[m] * v[i];
            };
            if constexpr (K > 0)
                UNROLLED (k, K) add_tap(k);
            else
                for (int64_t k = 0; k < columns.count; k++) add_tap(k);
        }
    }
    UNROLLED (m, M)
        UNROLLED (i, PARTS) store(y + m * y_map + i * WIDTH, slope == 1 ? total[m][i] : leaky(total[m][i], slope));
}

// Tiles of M output maps in the columns [column, end) of a row: wide ones where all taps of all their columns meet the
// input, else one column after the other.
template <int M>
void strip(const Convolution& c, const Row& row, int64_t map, int64_t column, int64_t end) {
    constexpr int WIDE = std::max(1, std::min(4, TILE / M / VECTORS));
    while (column < end) {
        Taps columns = column_taps(c, column);
        int64_t last = (column + WIDE - 1) * c.stride - c.pad_columns + c.kernel_columns - 1;
        bool is_inside = c.spread == 1 && columns.count == c.kernel_columns && last < c.columns;
        if (is_inside && column + WIDE <= end) {
            bool is_square = c.stride == 1 && c.kernel_rows == c.kernel_columns;
            if (is_square && c.kernel_rows == 1)
                tile<M, WIDE, 1>(c, row, map, column, columns);
            else if (is_square && c.kernel_rows == 3)
                tile<M, WIDE, 3>(c, row, map, column, columns);
            else
                tile<M, WIDE, 0>(c, row, map, column, columns);
            column += WIDE;
        } else {
            tile<M, 1, 0>(c, row, map, column, columns);
            column++;
        }
    }
}

typedef void (*Strip)(const Convolution&, const Row&, int64_t, int64_t, int64_t);
constexpr Strip STRIP[] = {strip<1>, strip<2>, strip<3>, strip<4>, strip<5>, strip<6>};

// A kernel of one pixel sees no rows: they are one, so that no tile ends with each.
inline Convolution join_rows(Convolution c) {
    bool has_one_tap = c.kernel_rows * c.kernel_columns == 1 && c.pad_rows == 0 && c.pad_columns == 0;
    if (has_one_tap && c.stride == 1 && c.spread == 1) {
        c.columns *= c.rows;
        c.out_columns *= c.out_rows;
        c.rows = c.out_rows = 1;
    }
    return c;
}

// Row by row; of a row in chunks of columns whose inputs stay in the level-1 cache for all output maps.
inline void convolve(const Convolution& whole, const float* x, float* y) {
    const Convolution c = join_rows(whole);
    int64_t tiles = divide_up(c.out_maps, TILE_MAPS);
    int64_t fitting = CHUNK_FLOATS / (c.maps * c.kernel_rows * LANES) - c.kernel_columns + 1;
    int64_t chunk = std::max<int64_t>(4, fitting / 4 * 4);
    for (int64_t number = 0; number < c.out_rows; number++) {
        Row row{x, y, number, row_taps(c, number)};
        for (int64_t column = 0; column < c.out_columns;) {
            int64_t end = std::min(c.out_columns, column + chunk + (column ? 0 : c.pad_columns));
            for (int64_t t = 0; t < tiles; t++) {
                int64_t map = c.out_maps * t / tiles;
                int64_t map_count = c.out_maps * (t + 1) / tiles - map;
                STRIP[map_count - 1](c, row, map, column, end);
            }
            column = end;
        }
    }
}

// The convolution from x to y, of `maps` maps to `out_maps`, with the weights `packed` and the biases from `bias` on
inline Convolution forward_of(const Op& op, int64_t maps, int64_t out_maps, const float* packed, const float* bias) {
    Convolution c{};
    c.maps = maps, c.rows = op.rows, c.columns = op.columns;
    c.out_maps = out_maps, c.out_rows = op.out_rows, c.out_columns = op.out_columns;
    c.kernel_rows = op.kernel_rows, c.kernel_columns = op.kernel_columns;
    c.pad_rows = op.pad_rows, c.pad_columns = op.pad_columns;
    c.stride = op.stride, c.spread = 1;
    c.weight = packed, c.bias = bias;
    c.slope = float(op.slope);
    return c;
}

// The convolution from dy to dx: with the kernels turned by half a turn, from `out_maps` maps back to `maps`
inline Convolution backward_of(const Op& op, int64_t maps, int64_t out_maps, const float* flipped) {
    Convolution c{};
    c.maps = out_maps, c.rows = op.out_rows, c.columns = op.out_columns;
    c.out_maps = maps, c.out_rows = op.rows, c.out_columns = op.columns;
    c.kernel_rows = op.kernel_rows, c.kernel_columns = op.kernel_columns;
    c.pad_rows = op.kernel_rows - 1 - op.pad_rows, c.pad_columns = op.kernel_columns - 1 - op.pad_columns;
    c.stride = 1, c.spread = op.stride;
    c.weight = flipped, c.bias = nullptr;
    c.slope = 1.f;
    return c;
}

// torch's weight is [out_maps][maps][kernel]; `packed` is [maps][kernel][out_maps], `flipped` [out_maps][kernel from
// its end][maps].
inline void pack_convolution(const Op& op) {
    int64_t kernel = op.kernel_size();
    for (int64_t out = 0; out < op.out_maps; out++)
        for (int64_t in = 0; in < op.maps; in++)
            for (int64_t k = 0; k < kernel; k++) {
                float weight = op.weight[(out * op.maps + in) * kernel + k];
                op.packed[(in * kernel + k) * op.out_maps + out] = weight;
                op.flipped[(out * kernel + kernel - 1 - k) * op.maps + in] = weight;
            }
}

inline void convolution_forward(const Op& op, const float* x, float* y) {
    convolve(forward_of(op, op.maps, op.out_maps, op.packed, op.bias), x, y);
}

// dy before the leaky ReLU that is part of the layer, in its place; y is positive where the ReLU's input was
inline void undo_activation(const Op& op, const float* y, float* dy) {
    if (op.slope == 1) return;
    each(op.out_maps * op.out_map(), [&](int64_t i) {
        vec d = load(dy + i);
        store(dy + i, load(y + i) > 0 ? d : d * float(op.slope));
    });
}

// The gradient of a bias is the sum of a map of dy [out_maps][pixels][LANES], over pixels, then over lanes.
inline void add_bias_gradient(const Op& op, const float* dy, float* gradient) {
    if (op.bias_at < 0) return;
    for (int64_t m = 0; m < op.out_maps; m++) {
        vec total{};
        each(op.out_map(), [&](int64_t i) { total += load(dy + m * op.out_map() + i); });
        gradient[op.bias_at + m] += sum(total);
    }
}

// `total` is room for a register for each weight.
inline void convolution_backward(const Op& op, const float* x, const float* y, float* dy, float* dx, float* gradient,
                                 vec* total) {
    undo_activation(op, y, dy);
    add_bias_gradient(op, dy, gradient);
    WeightGradient(op, op.maps, op.out_maps, x, dy, total).add_to(gradient + op.weight_at);
    if (dx) convolve(backward_of(op, op.maps, op.out_maps, op.flipped), dy, dx);
}

}  // namespace batch_last
