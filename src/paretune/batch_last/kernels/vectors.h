// A register of WIDTH floats, and what is done with it. A lane is an image, so that no lane is empty however few maps a
// layer has; LANES images are a block, and so VECTORS registers hold one number of each image of a block.
#pragma once

#include <cstdint>

// A loop over i from 0 to count that is known when it is compiled, as straight code
#define UNROLLED(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); i++)

namespace batch_last {

#if defined(__AVX512F__)
constexpr int WIDTH = 16;  // floats in a register
constexpr int TILE = 24;   // accumulators that fit the registers
#elif defined(__AVX__)
constexpr int WIDTH = 8;
constexpr int TILE = 12;
#elif defined(__aarch64__)
constexpr int WIDTH = 4;
constexpr int TILE = 24;
#else
constexpr int WIDTH = 4;
constexpr int TILE = 12;
#endif
constexpr int LANES = 16;
constexpr int VECTORS = LANES / WIDTH;
constexpr int64_t PART = 32 * LANES;  // floats: a plain sum of a thousand has lost three digits, one of 32 has not

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t whole_vec __attribute__((vector_size(4 * WIDTH)));
typedef float unaligned __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

inline vec splat(float value) { return vec{} + value; }
inline vec load(const float* at) { return *(const unaligned*)at; }
inline void store(float* at, vec v) { *(unaligned*)at = v; }

// The sum of the lanes, by halves
inline float sum(vec v) {
    float part[WIDTH];
    store(part, v);
    for (int half = WIDTH / 2; half; half /= 2)
        UNROLLED (i, half) part[i] += part[i + half];
    return part[0];
}

inline vec leaky(vec v, float slope) { return v > 0 ? v : v * slope; }

// The gradient before a leaky ReLU whose input is `value`
inline vec leaky_back(vec gradient, vec value, float slope) { return value > 0 ? gradient : gradient * slope; }

// f(i) for every register of `count` floats, a multiple of WIDTH
template <class F>
void each(int64_t count, F f) {
    for (int64_t i = 0; i < count; i += WIDTH) f(i);
}

// a / b for a above -b, rounded up
inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace batch_last
