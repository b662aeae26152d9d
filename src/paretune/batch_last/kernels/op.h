// What the kernels are told: the operations of a program, and the batch that they work on. Filled in by
// paretune/batch_last/operations.py and library.py, whose fields are these, in this order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vectors.h"

namespace batch_last {

enum Kind : int64_t {
    CONVOLUTION,
    DEPTHWISE,
    ACTIVATION,
    BATCH_NORM,
    AFFINE,
    GROUP_NORM,
    MAX_POOL,
    MEAN,
    DROPOUT,
    PAD,
    REPEAT,
    MEAN_POOL
};
enum Curve : int64_t { LEAKY, SILU, PRELU };

// One operation, from a value x to a value y. A value is [maps][rows][columns][LANES] floats in the arena of a block;
// its place is told in floats from the start of the arena.
struct Op {
    int64_t kind;
    int64_t x, y, dx, dy;         // values and their gradients; -1: nobody needs it
    int64_t maps, rows, columns;  // of x
    int64_t out_maps, out_rows, out_columns;
    int64_t kernel_rows, kernel_columns, pad_rows, pad_columns, stride;
    int64_t kernels;             // of a depthwise convolution: map m is filtered by kernel m % kernels
    int64_t curve;               // of an activation
    int64_t groups;              // of a group norm
    int64_t per_map;             // whether a norm has a scale, or a PReLU a slope, for each map, or one for all of them
    int64_t drops_maps;          // whether a dropout drops whole maps
    int64_t seed;                // of a dropout; another one in each pass
    int64_t scratch;             // where a norm keeps its statistics, in the arena
    int64_t weight_at, bias_at;  // in the gradient of all parameters; -1: none
    double eps, momentum;        // of a norm
    double rate;                 // of a dropout
    double filling;              // of a pad
    double slope;                // of the leaky ReLU that is part of a layer or is one; 1: none
    const float *weight, *bias;
    float *running_mean, *running_var;
    float *packed, *flipped;  // weights in the order that the kernels read them; each kind says which

    int64_t in_map() const { return rows * columns * LANES; }  // floats of a map of x
    int64_t out_map() const { return out_rows * out_columns * LANES; }
    int64_t kernel_size() const { return kernel_rows * kernel_columns; }
    float weight_of(int64_t map) const { return weight ? weight[per_map ? map : 0] : 1.f; }
    float bias_of(int64_t map) const { return bias ? bias[per_map ? map : 0] : 0.f; }
};

// A batch on its way through a program: blocks of LANES images, each with an arena of `block_floats` floats.
struct Batch {
    const Op* ops;
    int64_t op_count;
    float* arena;
    int64_t block_floats;
    int64_t images;
    int64_t classes;
    int64_t threads;

    int64_t blocks() const { return divide_up(images, LANES); }
    float* block(int64_t number) const { return arena + number * block_floats; }
    int lanes_of(int64_t number) const { return int(std::min<int64_t>(LANES, images - number * LANES)); }
};

}  // namespace batch_last
