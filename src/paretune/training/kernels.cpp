// A network's forward and backward pass with the batch innermost: every vector lane is an image, so that no lane is empty
// however few maps a layer has. A batch is cut into blocks of LANES images, each with an arena of its own in which a value is
// [maps][rows][columns][LANES]; a block goes through all operations up to the next batch norm while it is in the cache.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace {

#if defined(__AVX512F__)
constexpr int WIDTH = 16, TILE = 24;  // floats in a vector; accumulators that fit the registers
#elif defined(__AVX__)
constexpr int WIDTH = 8, TILE = 12;
#elif defined(__aarch64__)
constexpr int WIDTH = 4, TILE = 24;
#else
constexpr int WIDTH = 4, TILE = 12;
#endif
constexpr int LANES = 16, VECTORS = LANES / WIDTH;
constexpr int MAPS = std::min(6, TILE / VECTORS), GRADIENT_MAPS = TILE >= 24 ? 6 : 4, TAPS = 3;  // of a tile: output maps side by side, taps of a weight gradient
constexpr int64_t BAND = 6144, CHUNK = 4096;  // floats
#define UNROLL _Pragma("GCC unroll 8")
typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t whole_vec __attribute__((vector_size(4 * WIDTH)));
typedef float unaligned __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

enum Kind : int64_t { CONV, DEPTHWISE, ACTIVATION, BATCH_NORM, AFFINE, GROUP_NORM, MAX_POOL, MEAN, DROPOUT, PAD, REPEAT };
enum Curve : int64_t { LEAKY, SILU, PRELU };

}  // namespace

// One operation of a program; offsets are in floats from the start of a block's arena. Filled in by batch_last.py.
struct Op {
    int64_t kind, x, y, dx, dy;            // values and their gradients; dx is -1 where nobody needs it
    int64_t maps, rows, columns;           // of x
    int64_t out_maps, out_rows, out_columns;
    int64_t kernel_rows, kernel_columns, pad_rows, pad_columns, stride;
    int64_t option;                        // curve, groups, kernels of a depthwise convolution, whether a norm has one scale for all maps, seed of a dropout
    int64_t scratch;                       // where a norm keeps its statistics, in the arena
    int64_t weight_at, bias_at;            // in the gradient of all parameters; -1: none
    double a, b;                           // rate or epsilon or value; momentum
    double slope;                          // of the leaky ReLU that is part of a layer or is one; 1: none
    const float *weight, *bias;
    float *running_mean, *running_var;
    float *packed, *flipped;               // weights in the order that the kernels read them
};

namespace {

inline vec splat(float value) { return vec{} + value; }
inline vec load(const float* at) { return *(const unaligned*)at; }
inline void store(float* at, vec v) { *(unaligned*)at = v; }
inline float sum(vec v) {
    float part[WIDTH];
    store(part, v);
    for (int half = WIDTH / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}
inline vec leaky(vec v, float slope) { return v > 0 ? v : v * slope; }
inline int64_t size(int64_t maps, int64_t rows, int64_t columns) { return maps * rows * columns * LANES; }
// exp to one unit in the last place, after Cephes' expf (https://www.netlib.org/cephes): 2 to a whole power, and a polynomial of the rest.
inline vec exponential(vec v) {
    constexpr float WHOLE = 12582912;  // 1.5 * 2^23: what is added to it is rounded to a whole number
    v = v < -87 ? splat(-87) : v > 88 ? splat(88) : v;
    vec shifted = v * 1.44269504f + WHOLE, whole = shifted - WHOLE, rest = v - whole * 0.693359375f + whole * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    for (float factor : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) p = p * rest + factor;
    return (p * rest * rest + rest + 1) * (vec)(((whole_vec)shifted - (whole_vec)splat(WHOLE) + 127) << 23);
}
inline vec sigmoid(vec v) { return 1 / (1 + exponential(-v)); }

inline int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }  // a / b for a above -b, rounded up

// The taps of a kernel that meet the input for one output row (or column): `kernel`, `kernel + spread`, ... meet `input`, `input + 1`, ...
struct Taps {
    int64_t kernel, input, count;
    // `spread`: the input stands for one with zeros in between (the gradient of a strided convolution)
    Taps(int64_t out, int64_t kernel_size, int64_t pad, int64_t stride, int64_t spread, int64_t size) {
        int64_t at = out * stride - pad;
        kernel = std::max<int64_t>(0, -at);
        if (spread > 1) kernel += (spread - (at + kernel) % spread) % spread;
        input = spread > 1 ? (at + kernel) / spread : at + kernel;
        count = std::min(spread > 1 ? up(kernel_size - kernel, spread) : kernel_size - kernel, size - input);
    }
};

struct Convolution {  // from (maps, rows, columns) to (out_maps, out_rows, out_columns); weights are [maps][kernel][out_maps]
    int64_t maps, rows, columns, out_maps, out_rows, out_columns, kernel_rows, kernel_columns, pad_rows, pad_columns, stride, spread;
    const float *weight, *bias;
    float slope;  // of the activation that follows; 1: none
};

template <int M, int C, int K>  // output maps and columns of a tile; K x K taps where that is known, else 0
void tile(const Convolution& c, const float* x, float* y, int64_t map, int64_t row, const Taps& rows, int64_t column, const Taps& columns) {
    const int64_t maps = c.maps, x_row = c.columns * LANES, x_map = c.rows * x_row, x_column = (K ? 1 : c.stride) * LANES;
    const int64_t tap = (K ? 1 : c.spread) * c.out_maps, tap_row = c.kernel_columns * tap, tap_map = c.kernel_rows * c.kernel_columns * c.out_maps;
    const int64_t y_row = c.out_columns * LANES, y_map = c.out_rows * y_row, row_count = K == 1 ? 1 : rows.count;
    const float* bias = c.bias ? c.bias + map : nullptr;
    const float slope = c.slope;
    x += rows.input * x_row + columns.input * LANES, y += map * y_map + row * y_row + column * LANES;
    vec total[M][C * VECTORS];
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int i = 0; i < C * VECTORS; i++) total[m][i] = splat(bias ? bias[m] : 0.f);
    const float* w_map = c.weight + (rows.kernel * c.kernel_columns + columns.kernel) * c.out_maps + map;
    for (int64_t in = 0; in < maps; in++, x += x_map, w_map += tap_map) {
        const float *at_row = x, *w_row = w_map;
        for (int64_t r = 0; r < row_count; r++, at_row += x_row, w_row += tap_row) {
            auto add = [&](int64_t k) {
                const float *at = at_row + k * LANES, *w = w_row + k * tap;
                vec v[C * VECTORS];
                UNROLL for (int i = 0; i < C * VECTORS; i++) v[i] = load(at + i / VECTORS * x_column + i % VECTORS * WIDTH);
                UNROLL for (int m = 0; m < M; m++)
                    UNROLL for (int i = 0; i < C * VECTORS; i++) total[m][i] += w[m] * v[i];
            };
            if constexpr (K > 0)
                UNROLL for (int k = 0; k < K; k++) add(k);
            else
                for (int64_t k = 0; k < columns.count; k++) add(k);
        }
    }
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int i = 0; i < C * VECTORS; i++) store(y + m * y_map + i * WIDTH, slope == 1 ? total[m][i] : leaky(total[m][i], slope));
}

// Tiles of M output maps in the columns [column, end) of a row
template <int M>
void strip(const Convolution& c, const float* x, float* y, int64_t map, int64_t row, const Taps& rows, int64_t column, int64_t end) {
    constexpr int WIDE = std::max(1, std::min(4, TILE / M / VECTORS));
    while (column < end) {
        Taps columns(column, c.kernel_columns, c.pad_columns, c.stride, c.spread, c.columns);
        int64_t last = (column + WIDE - 1) * c.stride - c.pad_columns + c.kernel_columns - 1;
        if (c.spread == 1 && columns.count == c.kernel_columns && last < c.columns && column + WIDE <= end) {
            bool square = c.stride == 1 && c.kernel_rows == c.kernel_columns;
            if (square && c.kernel_rows == 1) tile<M, WIDE, 1>(c, x, y, map, row, rows, column, columns);
            else if (square && c.kernel_rows == 3) tile<M, WIDE, 3>(c, x, y, map, row, rows, column, columns);
            else tile<M, WIDE, 0>(c, x, y, map, row, rows, column, columns);
            column += WIDE;
        } else {
            tile<M, 1, 0>(c, x, y, map, row, rows, column, columns);
            column++;
        }
    }
}

typedef void (*Strip)(const Convolution&, const float*, float*, int64_t, int64_t, const Taps&, int64_t, int64_t);
constexpr Strip STRIP[] = {strip<1>, strip<2>, strip<3>, strip<4>, strip<5>, strip<6>};

// A kernel of one pixel sees no rows: they are one, so that no tile ends with each.
Convolution joined(Convolution c) {
    bool one_to_one = c.kernel_rows * c.kernel_columns == 1 && c.stride == 1 && c.spread == 1 && c.pad_rows == 0 && c.pad_columns == 0;
    if (one_to_one) c.columns *= c.rows, c.out_columns *= c.out_rows, c.rows = c.out_rows = 1;
    return c;
}

void convolve(const Convolution& plain, const float* x, float* y) {
    const Convolution c = joined(plain);
    int64_t tiles = up(c.out_maps, MAPS);
    // columns whose inputs stay in the level-1 cache for all output maps
    int64_t chunk = std::max<int64_t>(4, (CHUNK / (c.maps * c.kernel_rows * LANES) - c.kernel_columns + 1) / 4 * 4);
    for (int64_t row = 0; row < c.out_rows; row++) {
        Taps rows(row, c.kernel_rows, c.pad_rows, c.stride, c.spread, c.rows);
        for (int64_t column = 0; column < c.out_columns;) {
            int64_t end = std::min(c.out_columns, column + chunk + (column ? 0 : c.pad_columns));
            for (int64_t t = 0; t < tiles; t++) {
                int64_t map = c.out_maps * t / tiles;
                STRIP[c.out_maps * (t + 1) / tiles - map - 1](c, x, y, map, row, rows, column, end);
            }
            column = end;
        }
    }
}

// total[m][t] += dy[m] . x[t] over `rows` rows of `pixels` pixels; x and dy go on by `x_row`, `x_pixel` and `dy_row` floats
struct Walk { int64_t rows, pixels, x_row, x_pixel, x_tap, dy_row, dy_map, of_map; };

template <int M, int T>
void dot(const Walk& s, const float* dy, const float* x, vec* total) {
    constexpr int APART = M <= 2 ? VECTORS : 1;  // sums that do not wait for each other
    vec sums[APART][M][T] = {};
    for (int64_t row = 0; row < s.rows; row++)
        for (int64_t pixel = 0; pixel < s.pixels; pixel++)
            UNROLL for (int i = 0; i < VECTORS; i++) {
                vec v[T];
                UNROLL for (int t = 0; t < T; t++) v[t] = load(x + row * s.x_row + pixel * s.x_pixel + t * s.x_tap + i * WIDTH);
                UNROLL for (int m = 0; m < M; m++) {
                    vec d = load(dy + row * s.dy_row + pixel * LANES + m * s.dy_map + i * WIDTH);
                    UNROLL for (int t = 0; t < T; t++) sums[i % APART][m][t] += d * v[t];
                }
            }
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int t = 0; t < T; t++)
            UNROLL for (int i = 0; i < APART; i++) total[m * s.of_map + t] += sums[i][m][t];
}

typedef void (*Dot)(const Walk&, const float*, const float*, vec*);
#define DOTS(t) {dot<1, t>, dot<2, t>, dot<3, t>, dot<4, t>, dot<5, t>, dot<6, t>}
constexpr Dot DOT[TAPS][6] = {DOTS(1), DOTS(2), DOTS(3)};

// The outputs [from, to) of a row or column for which tap `tap` meets the input
struct Reach {
    int64_t from, to;
    Reach(int64_t first, int64_t end, int64_t tap, int64_t pad, int64_t stride, int64_t size)
        : from(std::max(first, pad > tap ? up(pad - tap, stride) : 0)), to(std::min(end, up(size + pad - tap, stride))) {}
};

// Gradient of the weights of maps -> out_maps; `total` is [out_maps][maps][kernel] vectors, summed over lanes at the end.
void weight_gradient(const Op& o, int64_t maps, int64_t out_maps, const float* x, const float* dy, vec* total, float* gradient) {
    int64_t kernel = o.kernel_rows * o.kernel_columns, of_map = maps * kernel, tiles = up(out_maps, GRADIENT_MAPS);
    int64_t x_row = o.columns * LANES, x_map = o.rows * x_row, dy_row = o.out_columns * LANES, dy_map = o.out_rows * dy_row;
    int64_t band = std::max<int64_t>(1, BAND / (GRADIENT_MAPS * dy_row));  // rows of dy that stay in the level-1 cache
    Walk s{0, 0, x_row * o.stride, o.stride * LANES, LANES, dy_row, dy_map, of_map};
    for (int64_t i = 0; i < out_maps * of_map; i++) total[i] = vec{};
    for (int64_t row = 0; row < o.out_rows; row += band)
        for (int64_t t = 0; t < tiles; t++) {
            int64_t map = out_maps * t / tiles, m = out_maps * (t + 1) / tiles - map;
            auto add = [&](Reach rows, Reach columns, int64_t in, int64_t kr, int64_t kc, int64_t taps) {
                s.rows = rows.to - rows.from, s.pixels = columns.to - columns.from;
                if (s.rows <= 0 || s.pixels <= 0) return;
                DOT[taps - 1][m - 1](s, dy + map * dy_map + rows.from * dy_row + columns.from * LANES,
                                     x + in * x_map + (rows.from * o.stride - o.pad_rows + kr) * x_row + (columns.from * o.stride - o.pad_columns + kc) * LANES,
                                     total + map * of_map + in * kernel + kr * o.kernel_columns + kc);
            };
            for (int64_t kr = 0; kr < o.kernel_rows; kr++) {
                Reach rows(row, std::min(row + band, o.out_rows), kr, o.pad_rows, o.stride, o.rows);
                if (kernel == 1) {  // input maps side by side instead of taps
                    s.x_tap = x_map;
                    for (int64_t in = 0; in < maps; in += TAPS)
                        add(rows, Reach(0, o.out_columns, 0, o.pad_columns, o.stride, o.columns), in, 0, 0, std::min<int64_t>(TAPS, maps - in));
                    continue;
                }
                for (int64_t in = 0; in < maps; in++)
                    for (int64_t kc = 0; kc < o.kernel_columns; kc += TAPS) {
                        int64_t taps = std::min<int64_t>(TAPS, o.kernel_columns - kc);
                        Reach first(0, o.out_columns, kc, o.pad_columns, o.stride, o.columns);
                        Reach last(0, o.out_columns, kc + taps - 1, o.pad_columns, o.stride, o.columns);
                        Reach all = first;  // columns for which all taps meet the input, then those of single taps
                        all.to = std::max(all.from, last.to);
                        add(rows, all, in, kr, kc, taps);
                        for (int64_t tap = 0; tap < taps; tap++) {
                            Reach left(0, o.out_columns, kc + tap, o.pad_columns, o.stride, o.columns), right = left;
                            left.to = std::min(left.to, all.from), right.from = std::max(right.from, all.to);
                            add(rows, left, in, kr, kc + tap, 1);
                            add(rows, right, in, kr, kc + tap, 1);
                        }
                    }
            }
        }
    for (int64_t i = 0; i < out_maps * of_map; i++) gradient[i] += sum(total[i]);
}

template <class F>
void each(int64_t count, F f) {  // count is a multiple of WIDTH
    for (int64_t i = 0; i < count; i += WIDTH) f(i);
}

void activate(const Op& o, const float* x, float* y) {
    int64_t map = o.rows * o.columns * LANES;
    for (int64_t m = 0; m < o.maps; m++, x += map, y += map) {
        float slope = o.option == PRELU ? o.weight[o.b > 1 ? m : 0] : float(o.slope);
        if (o.option == SILU)
            each(map, [&](int64_t i) { vec v = load(x + i); store(y + i, v * sigmoid(v)); });
        else
            each(map, [&](int64_t i) { store(y + i, leaky(load(x + i), slope)); });
    }
}

void activate_back(const Op& o, const float* x, const float* dy, float* dx, float* gradient) {
    int64_t map = o.rows * o.columns * LANES;
    for (int64_t m = 0; m < o.maps; m++, x += map, dy += map, dx += dx ? map : 0) {
        float slope = o.option == PRELU ? o.weight[o.b > 1 ? m : 0] : float(o.slope);
        vec total{};
        if (o.option == SILU)
            each(map, [&](int64_t i) {
                vec v = load(x + i), s = sigmoid(v);
                store(dx + i, load(dy + i) * (s + v * s * (1 - s)));
            });
        else
            each(map, [&](int64_t i) {
                vec v = load(x + i), d = load(dy + i);
                if (o.option == PRELU) total += v > 0 ? vec{} : d * v;
                if (dx) store(dx + i, v > 0 ? d : d * slope);
            });
        if (o.option == PRELU) gradient[o.weight_at + (o.b > 1 ? m : 0)] += sum(total);
    }
}

// Batch norm: each block sums its own images (`lanes` of them), the sums are joined (Chan et al. 1979), and each block is scaled.
void batch_sums(const Op& o, const float* x, float* block, int lanes) {
    int64_t pixels = o.rows * o.columns;
    for (int64_t m = 0; m < o.maps; m++, x += pixels * LANES) {
        float* statistics = block + o.scratch + 2 * m;
        vec total[VECTORS] = {}, squares[VECTORS] = {};
        for (int64_t p = 0; p < pixels; p++)
            for (int v = 0; v < VECTORS; v++) total[v] += load(x + p * LANES + v * WIDTH);
        double mean = 0;
        for (int i = 0; i < lanes; i++) mean += total[i / WIDTH][i % WIDTH];
        mean /= double(lanes) * pixels;
        for (int64_t p = 0; p < pixels; p++)
            for (int v = 0; v < VECTORS; v++) {
                vec d = load(x + p * LANES + v * WIDTH) - float(mean);
                squares[v] += d * d;
            }
        double spread = 0;
        for (int i = 0; i < lanes; i++) spread += squares[i / WIDTH][i % WIDTH];
        statistics[0] = mean, statistics[1] = spread;
    }
}

// x of every image becomes x * scale + shift, activated
void scale(const float* x, float* y, int64_t map, float scale, float shift, float slope) {
    each(map, [&](int64_t i) { store(y + i, leaky(load(x + i) * scale + shift, slope)); });
}

// What a norm multiplies map `m` of every image by, and what it adds then
struct Scale {
    vec factor[VECTORS], shift[VECTORS];
    Scale(const Op& o, int64_t m, const float* mean, const float* inverse) {
        int64_t at = o.b > 1 ? m : 0;
        for (int v = 0; v < VECTORS; v++) {
            factor[v] = load(inverse + v * WIDTH) * (o.weight ? o.weight[at] : 1.f);
            shift[v] = (o.bias ? o.bias[at] : 0.f) - load(mean + v * WIDTH) * factor[v];
        }
    }
};

// Statistics of norms within an image: `groups` of maps each, mean and 1 / deviation of every lane. Parts of 32 pixels are
// joined (Chan et al. 1979): one trip through memory, and no digits lost.
void group_norm(const Op& o, const float* x, float* y, float* block) {
    int64_t groups = o.option, of_group = o.maps / groups, map = o.rows * o.columns * LANES, values = of_group * map;
    for (int64_t g = 0; g < groups; g++, x += values, y += values) {
        float *mean = block + o.scratch + 2 * g * LANES, *inverse = mean + LANES;
        vec means[VECTORS] = {}, spreads[VECTORS] = {};
        for (int64_t i = 0; i < values;) {
            int64_t start = i, end = std::min(values, i + 32 * LANES);
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
                means[v] += apart * share, spreads[v] += squares + apart * apart * (share * float(start / LANES));
            }
        }
        for (int v = 0; v < VECTORS; v++) {
            store(mean + v * WIDTH, means[v]);
            for (int i = 0; i < WIDTH; i++) inverse[v * WIDTH + i] = 1 / std::sqrt(spreads[v][i] / float(values / LANES) + float(o.a));
        }
        for (int64_t m = 0; m < of_group; m++) {
            Scale scale(o, g * of_group + m, mean, inverse);
            for (int64_t i = m * map; i < (m + 1) * map; i += LANES)
                for (int v = 0; v < VECTORS; v++)
                    store(y + i + v * WIDTH, leaky(load(x + i + v * WIDTH) * scale.factor[v] + scale.shift[v], o.slope));
        }
    }
}

// A gradient before the activation whose input is `value`
inline vec through(vec gradient, vec value, float slope) { return value > 0 ? gradient : gradient * slope; }

void group_norm_back(const Op& o, const float* x, const float* dy, float* dx, const float* block, float* gradient) {
    int64_t groups = o.option, of_group = o.maps / groups, map = o.rows * o.columns * LANES;
    float values = float(of_group * map / LANES), slope = float(o.slope);
    for (int64_t g = 0; g < groups; g++) {
        const float *mean = block + o.scratch + 2 * g * LANES, *inverse = mean + LANES;
        vec total[VECTORS] = {}, product[VECTORS] = {};
        for (int64_t m = g * of_group; m < (g + 1) * of_group; m++) {
            int64_t at = o.b > 1 ? m : 0;
            Scale scale(o, m, mean, inverse);
            vec map_total[VECTORS] = {}, map_product[VECTORS] = {};
            for (int64_t i = m * map; i < (m + 1) * map;) {  // in parts: a plain sum of a thousand floats has lost three digits
                int64_t start = i, end = std::min((m + 1) * map, i + 32 * LANES);
                for (int v = 0; v < VECTORS; v++) {
                    vec part{}, part_product{}, middle = load(mean + v * WIDTH);
                    for (i = start; i < end; i += LANES) {
                        vec value = load(x + i + v * WIDTH), d = through(load(dy + i + v * WIDTH), value * scale.factor[v] + scale.shift[v], slope);
                        part += d, part_product += d * (value - middle);
                    }
                    map_total[v] += part, map_product[v] += part_product;
                }
            }
            for (int v = 0; v < VECTORS; v++) {
                map_product[v] *= load(inverse + v * WIDTH);
                if (o.weight_at >= 0) gradient[o.weight_at + at] += sum(map_product[v]);
                if (o.bias_at >= 0) gradient[o.bias_at + at] += sum(map_total[v]);
                float weight = o.weight ? o.weight[at] : 1;
                total[v] += map_total[v] * weight, product[v] += map_product[v] * weight;
            }
        }
        if (o.dx < 0) continue;
        for (int64_t m = g * of_group; m < (g + 1) * of_group; m++) {
            Scale scale(o, m, mean, inverse);
            for (int v = 0; v < VECTORS; v++) {
                vec middle = load(mean + v * WIDTH), factor = load(inverse + v * WIDTH) / values, less = total[v] * factor, along = product[v] * factor * load(inverse + v * WIDTH);
                for (int64_t i = m * map + v * WIDTH; i < (m + 1) * map; i += LANES) {
                    vec value = load(x + i), d = through(load(dy + i), value * scale.factor[v] + scale.shift[v], slope);
                    store(dx + i, d * scale.factor[v] - less - (value - middle) * along);
                }
            }
        }
    }
}

// 2x2; the gradient goes to the first of equal maxima, as in torch
void max_pool(const Op& o, const float* x, float* y) {
    for (int64_t m = 0; m < o.maps; m++)
        for (int64_t r = 0; r < o.out_rows; r++)
            for (int64_t c = 0; c < o.out_columns; c++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    const float* at = x + ((m * o.rows + r * o.stride) * o.columns + c * o.stride) * LANES + lane;
                    vec a = load(at), b = load(at + LANES), d = load(at + o.columns * LANES), e = load(at + (o.columns + 1) * LANES);
                    a = a > b ? a : b, d = d > e ? d : e;
                    store(y + ((m * o.out_rows + r) * o.out_columns + c) * LANES + lane, a > d ? a : d);
                }
}

void max_pool_back(const Op& o, const float* x, const float* y, const float* dy, float* dx) {
    bool apart = o.stride == 2;  // else windows overlap and their gradients add up
    if (!apart || o.rows % 2 || o.columns % 2) std::memset(dx, 0, 4 * size(o.maps, o.rows, o.columns));
    for (int64_t m = 0; m < o.maps; m++)
        for (int64_t r = 0; r < o.out_rows; r++)
            for (int64_t c = 0; c < o.out_columns; c++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    int64_t at = ((m * o.rows + r * o.stride) * o.columns + c * o.stride) * LANES + lane;
                    int64_t out = ((m * o.out_rows + r) * o.out_columns + c) * LANES + lane;
                    vec most = load(y + out), left = load(dy + out);
                    for (int64_t corner : {at, at + LANES, at + o.columns * LANES, at + (o.columns + 1) * LANES}) {
                        auto first = load(x + corner) == most;
                        vec share = first ? left : vec{};
                        left = first ? vec{} : left;
                        store(dx + corner, apart ? share : load(dx + corner) + share);
                    }
                }
}

// What a dropout keeps, from a seed and a position (a hash: https://nullprogram.com/blog/2018/07/31/), the same in both passes
inline float kept(uint32_t seed, uint32_t position, double rate) {
    uint32_t h = position * 0x9E3779B9u ^ seed;
    h = (h ^ h >> 16) * 0x7feb352du, h = (h ^ h >> 15) * 0x846ca68bu, h ^= h >> 16;
    return h >= rate * 4294967296.0 ? float(1 / (1 - rate)) : 0.f;
}

void dropout(const Op& o, const float* x, float* y, int64_t number) {
    int64_t pixels = o.rows * o.columns, same = o.b > 1 ? pixels : 1;  // whole maps or single values
    for (int64_t m = 0; m < o.maps; m++)
        for (int64_t p = 0; p < pixels; p += same) {
            float factor[LANES];
            uint32_t position = ((number * o.maps + m) * pixels + p) * LANES;
            for (int i = 0; i < LANES; i++) factor[i] = kept(o.option, position + i, o.a);
            for (int64_t q = p; q < p + same; q++)
                for (int lane = 0; lane < LANES; lane += WIDTH)
                    store(y + (m * pixels + q) * LANES + lane, load(x + (m * pixels + q) * LANES + lane) * load(factor + lane));
        }
}

Convolution forward_of(const Op& o, bool depthwise, int64_t map) {
    int64_t kernel = o.kernel_rows * o.kernel_columns;
    return {depthwise ? 1 : o.maps, o.rows, o.columns, depthwise ? 1 : o.out_maps, o.out_rows, o.out_columns, o.kernel_rows, o.kernel_columns,
            o.pad_rows, o.pad_columns, o.stride, 1, o.packed + (depthwise ? map % o.option * kernel : 0), o.bias ? o.bias + map : nullptr, float(o.slope)};
}

Convolution backward_of(const Op& o, bool depthwise, int64_t map) {
    int64_t kernel = o.kernel_rows * o.kernel_columns;
    return {depthwise ? 1 : o.out_maps, o.out_rows, o.out_columns, depthwise ? 1 : o.maps, o.rows, o.columns, o.kernel_rows, o.kernel_columns,
            o.kernel_rows - 1 - o.pad_rows, o.kernel_columns - 1 - o.pad_columns, 1, o.stride, o.flipped + (depthwise ? map % o.option * kernel : 0), nullptr, 1.f};
}

void forward(const Op& o, float* block, int64_t number) {
    const float* x = block + o.x;
    float* y = block + o.y;
    int64_t in_map = o.rows * o.columns * LANES, out_map = o.out_rows * o.out_columns * LANES;
    switch (o.kind) {
        case CONV: convolve(forward_of(o, false, 0), x, y); break;
        case DEPTHWISE:
            for (int64_t m = 0; m < o.maps; m++) convolve(forward_of(o, true, m), x + m * in_map, y + m * out_map);
            break;
        case ACTIVATION: activate(o, x, y); break;
        case BATCH_NORM:  // scratch of block 0 holds scale and shift by now
        case AFFINE:
            for (int64_t m = 0; m < o.maps; m++) scale(x + m * in_map, y + m * in_map, in_map, o.packed[2 * m], o.packed[2 * m + 1], o.slope);
            break;
        case GROUP_NORM: group_norm(o, x, y, block); break;
        case MAX_POOL: max_pool(o, x, y); break;
        case MEAN:
            for (int64_t m = 0; m < o.maps; m++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    vec total{};
                    for (int64_t i = 0; i < in_map; i += LANES) total += load(x + m * in_map + i + lane);
                    store(y + m * LANES + lane, total / float(o.rows * o.columns));
                }
            break;
        case DROPOUT: dropout(o, x, y, number); break;
        case PAD:  // on the right and below
            for (int64_t m = 0; m < o.maps; m++)
                for (int64_t r = 0; r < o.out_rows; r++)
                    for (int64_t c = 0; c < o.out_columns; c++)
                        for (int lane = 0; lane < LANES; lane += WIDTH)
                            store(y + ((m * o.out_rows + r) * o.out_columns + c) * LANES + lane,
                                  r < o.rows && c < o.columns ? load(x + ((m * o.rows + r) * o.columns + c) * LANES + lane) : splat(o.a));
            break;
        case REPEAT:  // the maps of x over and over, until there are enough
            for (int64_t m = 0; m < o.out_maps; m++) std::memcpy(y + m * out_map, x + m % o.maps * in_map, 4 * in_map);
            break;
    }
}

void backward(const Op& o, float* block, int64_t number, float* gradient, vec* total) {
    const float *x = block + o.x, *y = block + o.y;
    float *dy = block + o.dy, *dx = o.dx < 0 ? nullptr : block + o.dx;
    int64_t in_map = o.rows * o.columns * LANES, out_map = o.out_rows * o.out_columns * LANES;
    if (!dx && o.weight_at < 0 && o.bias_at < 0) return;  // nobody wants a gradient, as of an image that is part of a concatenation
    switch (o.kind) {
        case CONV:
        case DEPTHWISE: {
            bool depthwise = o.kind == DEPTHWISE;
            int64_t maps = depthwise ? 1 : o.maps, out_maps = depthwise ? 1 : o.out_maps, of_map = maps * o.kernel_rows * o.kernel_columns;
            if (o.slope != 1) each(o.out_maps * out_map, [&](int64_t i) { vec d = load(dy + i); store(dy + i, load(y + i) > 0 ? d : d * float(o.slope)); });
            if (o.bias_at >= 0)
                for (int64_t m = 0; m < o.out_maps; m++) {
                    vec map_total{};
                    each(out_map, [&](int64_t i) { map_total += load(dy + m * out_map + i); });
                    gradient[o.bias_at + m] += sum(map_total);
                }
            for (int64_t m = 0; m < (depthwise ? o.maps : 1); m++) {
                weight_gradient(o, maps, out_maps, x + m * in_map, dy + m * out_map, total, gradient + o.weight_at + (depthwise ? m % o.option : m) * of_map);
                if (dx) convolve(backward_of(o, depthwise, m), dy + m * out_map, dx + m * in_map);
            }
            break;
        }
        case ACTIVATION: activate_back(o, x, dy, dx, gradient); break;
        case GROUP_NORM: group_norm_back(o, x, dy, dx, block, gradient); break;
        case AFFINE:
            for (int64_t m = 0; m < o.maps; m++) scale(dy + m * in_map, dx + m * in_map, in_map, o.packed[2 * m], 0, 1);
            break;
        case MAX_POOL: max_pool_back(o, x, y, dy, dx); break;
        case MEAN:
            for (int64_t m = 0; m < o.maps; m++)
                for (int lane = 0; lane < LANES; lane += WIDTH) {
                    vec share = load(dy + m * LANES + lane) / float(o.rows * o.columns);
                    for (int64_t i = 0; i < in_map; i += LANES) store(dx + m * in_map + i + lane, share);
                }
            break;
        case DROPOUT: dropout(o, dy, dx, number); break;
        case PAD:
            for (int64_t m = 0; m < o.maps; m++)
                for (int64_t r = 0; r < o.rows; r++)
                    std::memcpy(dx + (m * o.rows + r) * o.columns * LANES, dy + (m * o.out_rows + r) * o.out_columns * LANES, 4 * o.columns * LANES);
            break;
        case REPEAT:
            each(o.maps * in_map, [&](int64_t i) { store(dx + i, i < o.out_maps * in_map ? load(dy + i) : vec{}); });
            for (int64_t m = o.maps; m < o.out_maps; m++)
                each(in_map, [&](int64_t i) { float* to = dx + m % o.maps * in_map + i; store(to, load(to) + load(dy + m * in_map + i)); });
            break;
    }
}

// Batch norm over all blocks: mean and variance, then the scale and shift of each map (in `packed`; mean and 1/deviation in `flipped`).
void join(const Op& o, const float* arena, int64_t block_size, int64_t images) {
    int64_t blocks = (images + LANES - 1) / LANES, pixels = o.rows * o.columns;
    for (int64_t m = 0; m < o.maps; m++) {
        double count = 0, mean = 0, spread = 0;
        for (int64_t b = 0; b < blocks; b++) {
            const float* statistics = arena + b * block_size + o.scratch + 2 * m;
            double n = double(std::min<int64_t>(LANES, images - b * LANES)) * pixels, apart = statistics[0] - mean;
            spread += statistics[1] + apart * apart * count * n / (count + n);
            mean += apart * n / (count + n), count += n;
        }
        double variance = spread / count, inverse = 1 / std::sqrt(variance + o.a), weight = o.weight ? o.weight[m] : 1;
        o.running_mean[m] += float(o.b * (mean - o.running_mean[m]));
        if (count > 1) o.running_var[m] += float(o.b * (spread / (count - 1) - o.running_var[m]));
        o.packed[2 * m] = float(weight * inverse), o.packed[2 * m + 1] = float((o.bias ? o.bias[m] : 0) - mean * weight * inverse);
        o.flipped[2 * m] = float(mean), o.flipped[2 * m + 1] = float(inverse);
    }
}

// What a batch norm multiplies map `m` by, and what it adds then
struct Shift {
    float factor, shift;
    Shift(const Op& o, int64_t m)
        : factor(o.flipped[2 * m + 1] * (o.weight ? o.weight[m] : 1)), shift((o.bias ? o.bias[m] : 0) - o.flipped[2 * m] * factor) {}
};

void batch_sums_back(const Op& o, float* block) {
    int64_t map = o.rows * o.columns * LANES;
    for (int64_t m = 0; m < o.maps; m++) {
        const float *x = block + o.x + m * map, *dy = block + o.dy + m * map;
        float mean = o.flipped[2 * m], inverse = o.flipped[2 * m + 1], slope = float(o.slope);
        Shift shift(o, m);
        vec total{}, product{};
        each(map, [&](int64_t i) {
            vec v = load(x + i), d = through(load(dy + i), v * shift.factor + shift.shift, slope);
            total += d, product += d * (v - mean);
        });
        block[o.scratch + 2 * m] = sum(total), block[o.scratch + 2 * m + 1] = sum(product) * inverse;
    }
}

// Sums of the blocks into the gradient of the first one, and what a block subtracts from its dy (in `packed`)
void join_back(const Op& o, const float* arena, int64_t block_size, int64_t images, float* gradient) {
    int64_t blocks = (images + LANES - 1) / LANES;
    double count = double(images) * o.rows * o.columns;
    for (int64_t m = 0; m < o.maps; m++) {
        double total = 0, product = 0;
        for (int64_t b = 0; b < blocks; b++) {
            const float* sums = arena + b * block_size + o.scratch + 2 * m;
            total += sums[0], product += sums[1];
        }
        if (o.weight_at >= 0) gradient[o.weight_at + m] += float(product);
        if (o.bias_at >= 0) gradient[o.bias_at + m] += float(total);
        o.packed[2 * m] = float(total / count), o.packed[2 * m + 1] = float(product / count);
    }
}

void batch_norm_back(const Op& o, float* block, int lanes) {
    int64_t map = o.rows * o.columns * LANES;
    float mask[LANES];
    for (int i = 0; i < LANES; i++) mask[i] = i < lanes;
    for (int64_t m = 0; m < o.maps; m++) {
        const float *x = block + o.x + m * map, *dy = block + o.dy + m * map;
        float *dx = block + o.dx + m * map, mean = o.flipped[2 * m], slope = float(o.slope);
        float total = o.packed[2 * m], product = o.packed[2 * m + 1] * o.flipped[2 * m + 1];
        Shift shift(o, m);
        for (int64_t i = 0; i < map; i += LANES)
            for (int lane = 0; lane < LANES; lane += WIDTH) {
                vec v = load(x + i + lane), d = through(load(dy + i + lane), v * shift.factor + shift.shift, slope);
                store(dx + i + lane, load(mask + lane) * shift.factor * (d - total - (v - mean) * product));
            }
    }
}

void pack(const Op& o) {
    int64_t kernel = o.kernel_rows * o.kernel_columns;
    if (o.kind == AFFINE)
        for (int64_t m = 0; m < o.maps; m++) {
            double factor = (o.weight ? o.weight[m] : 1) / std::sqrt(double(o.running_var[m]) + o.a);
            o.packed[2 * m] = float(factor), o.packed[2 * m + 1] = float((o.bias ? o.bias[m] : 0) - o.running_mean[m] * factor);
        }
    if (o.kind == DEPTHWISE) {
        std::memcpy(o.packed, o.weight, 4 * o.option * kernel);
        for (int64_t m = 0; m < o.option; m++) std::reverse_copy(o.weight + m * kernel, o.weight + (m + 1) * kernel, o.flipped + m * kernel);
    }
    if (o.kind == CONV)
        for (int64_t out = 0; out < o.out_maps; out++)
            for (int64_t in = 0; in < o.maps; in++)
                for (int64_t k = 0; k < kernel; k++) {
                    float weight = o.weight[(out * o.maps + in) * kernel + k];
                    o.packed[(in * kernel + k) * o.out_maps + out] = weight;
                    o.flipped[(out * kernel + kernel - 1 - k) * o.maps + in] = weight;
                }
}

}  // namespace

// Images (images, maps, rows, columns) to logits (images, classes). Everything lies in `arena`: `block_size` floats for each block.
extern "C" void batch_last_forward(const Op* ops, int64_t count, float* arena, int64_t block_size, const float* images, int64_t pixels,
                                   int64_t batch, float* logits, int64_t classes, int64_t logits_at, int threads) {
    int64_t blocks = (batch + LANES - 1) / LANES;
    for (int64_t i = 0; i < count; i++) pack(ops[i]);
    for (int64_t first = 0; first < count;) {
        int64_t end = first + 1;
        while (end < count && ops[end].kind != BATCH_NORM) end++;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t b = 0; b < blocks; b++) {
            float* block = arena + b * block_size;
            int lanes = int(std::min<int64_t>(LANES, batch - b * LANES));
            if (first == 0)
                for (int64_t p = 0; p < pixels; p++)
                    for (int i = 0; i < LANES; i++) block[p * LANES + i] = i < lanes ? images[(b * LANES + i) * pixels + p] : 0;
            for (int64_t i = first; i < end; i++) forward(ops[i], block, b);
            if (end < count) batch_sums(ops[end], block + ops[end].x, block, lanes);
            else
                for (int i = 0; i < lanes; i++)
                    for (int64_t c = 0; c < classes; c++) logits[(b * LANES + i) * classes + c] = block[logits_at + c * LANES + i];
        }
        if (end < count) join(ops[end], arena, block_size, batch);
        first = end;
    }
}

// The gradient of all parameters, summed over the blocks in their order, from that of the logits.
extern "C" void batch_last_backward(const Op* ops, int64_t count, float* arena, int64_t block_size, const float* dlogits, int64_t batch,
                                    int64_t classes, int64_t dlogits_at, float* gradients, int64_t parameters, float* scratch,
                                    int64_t scratch_size, int threads) {
    int64_t blocks = (batch + LANES - 1) / LANES;
    std::memset(gradients, 0, 4 * blocks * parameters);
    bool joined = false;  // whether ops[last] is a batch norm whose sums are known
    for (int64_t last = count - 1; last >= 0; joined = true) {
        int64_t start = last - joined;
        while (start >= 0 && ops[start].kind != BATCH_NORM) start--;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t b = 0; b < blocks; b++) {
            float* block = arena + b * block_size;
            int lanes = int(std::min<int64_t>(LANES, batch - b * LANES));
            if (!joined)
                for (int64_t c = 0; c < classes; c++)
                    for (int i = 0; i < LANES; i++) block[dlogits_at + c * LANES + i] = i < lanes ? dlogits[(b * LANES + i) * classes + c] : 0;
            for (int64_t i = last; i > start; i--)
                if (ops[i].kind == BATCH_NORM) {
                    if (ops[i].dx >= 0) batch_norm_back(ops[i], block, lanes);
                } else if (ops[i].dy >= 0)
                    backward(ops[i], block, b, gradients + b * parameters, (vec*)(scratch + b * scratch_size));
            if (start >= 0) batch_sums_back(ops[start], block);
        }
        if (start >= 0) join_back(ops[start], arena, block_size, batch, gradients);
        last = start;
    }
    for (int64_t b = 1; b < blocks; b++)
        for (int64_t i = 0; i < parameters; i++) gradients[i] += gradients[b * parameters + i];
}

extern "C" int64_t batch_last_op_size() { return sizeof(Op); }
extern "C" int64_t batch_last_lanes() { return LANES; }
