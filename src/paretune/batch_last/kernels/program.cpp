// A network's forward and backward pass with the batch innermost. A batch is cut into blocks of LANES images, each with
// an arena of its own; a block goes through all operations up to the next batch norm while it is in the cache.
//
// This is the one file that is compiled; each kind of layer is a header.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "activation.h"
#include "batch_norm.h"
#include "convolution.h"
#include "depthwise.h"
#include "dropout.h"
#include "group_norm.h"
#include "max_pool.h"
#include "mean.h"
#include "mean_pool.h"
#include "op.h"
#include "pad.h"
#include "repeat.h"
#include "vectors.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace batch_last {
namespace {

// Weights in the order that the kernels read them, once a pass
void pack(const Op& op) {
    switch (op.kind) {
        case CONVOLUTION: return pack_convolution(op);
        case DEPTHWISE: return pack_depthwise(op);
        case AFFINE: return pack_affine(op);
    }
}

// The operation on block `number`; a batch norm's factors and shifts are known by now
void forward(const Op& op, float* block, int64_t number) {
    const float* x = block + op.x;
    float* y = block + op.y;
    switch (op.kind) {
        case CONVOLUTION: return convolution_forward(op, x, y);
        case DEPTHWISE: return depthwise_forward(op, x, y);
        case ACTIVATION: return activation_forward(op, x, y);
        case BATCH_NORM:
        case AFFINE: return affine_forward(op, x, y);
        case GROUP_NORM: return group_norm_forward(op, x, y, block);
        case MAX_POOL: return max_pool_forward(op, x, y);
        case MEAN: return mean_forward(op, x, y);
        case DROPOUT: return drop(op, x, y, number);
        case PAD: return pad_forward(op, x, y);
        case REPEAT: return repeat_forward(op, x, y);
        case MEAN_POOL: return mean_pool_forward(op, x, y);
    }
}

// The gradient of the input of an operation that is no batch norm, and those of its parameters, which are added to
// `gradient`. `total` is room for sums of weights.
void backward(const Op& op, float* block, int64_t number, float* gradient, vec* total) {
    const float *x = block + op.x, *y = block + op.y;
    float *dy = block + op.dy, *dx = op.dx < 0 ? nullptr : block + op.dx;
    bool is_wanted = dx || op.weight_at >= 0 || op.bias_at >= 0;  // not that of an image in a concatenation
    if (!is_wanted) return;
    switch (op.kind) {
        case CONVOLUTION: return convolution_backward(op, x, y, dy, dx, gradient, total);
        case DEPTHWISE: return depthwise_backward(op, x, y, dy, dx, gradient, total);
        case ACTIVATION: return activation_backward(op, x, dy, dx, gradient);
        case GROUP_NORM: return group_norm_backward(op, x, dy, dx, block, gradient);
        case MAX_POOL: return max_pool_backward(op, x, y, dy, dx);
        case MEAN: return mean_backward(op, dy, dx);
        case DROPOUT: return drop(op, dy, dx, number);
        case PAD: return pad_backward(op, dy, dx);
        case REPEAT: return repeat_backward(op, dy, dx);
        case MEAN_POOL: return mean_pool_backward(op, dy, dx);
    }
}

// From torch's [images][values] to the [values][LANES] of block `number`; lanes without an image are 0
void gather(const Batch& batch, int64_t number, const float* from, int64_t values, float* to) {
    int lanes = batch.lanes_of(number);
    for (int64_t p = 0; p < values; p++)
        for (int i = 0; i < LANES; i++) to[p * LANES + i] = i < lanes ? from[(number * LANES + i) * values + p] : 0;
}

// Back to torch's [images][values]
void scatter(const Batch& batch, int64_t number, const float* from, int64_t values, float* to) {
    int lanes = batch.lanes_of(number);
    for (int i = 0; i < lanes; i++)
        for (int64_t c = 0; c < values; c++) to[(number * LANES + i) * values + c] = from[c * LANES + i];
}

}  // namespace

// Images [images][pixels] to logits [images][classes], which the last operation leaves at `logits_at` of each block.
EXPORTED void batch_last_forward(const Batch* whole, const float* images, int64_t pixels, float* logits,
                                 int64_t logits_at) {
    const Batch batch = *whole;
    const Op* ops = batch.ops;
    int64_t count = batch.op_count;
    for (int64_t i = 0; i < count; i++) pack(ops[i]);
    for (int64_t first = 0; first < count;) {
        int64_t end = first + 1;
        while (end < count && ops[end].kind != BATCH_NORM) end++;
#pragma omp parallel for num_threads(batch.threads) schedule(static) if (batch.threads > 1)
        for (int64_t b = 0; b < batch.blocks(); b++) {
            float* block = batch.block(b);
            if (first == 0) gather(batch, b, images, pixels, block);
            for (int64_t i = first; i < end; i++) forward(ops[i], block, b);
            if (end < count)
                sum_batch_norm(ops[end], block, batch.lanes_of(b));
            else
                scatter(batch, b, block + logits_at, batch.classes, logits);
        }
        if (end < count) join_batch_norm(ops[end], batch);
        first = end;
    }
}

// Where the gradients of parameters go: `parameters` floats for each block, and `scratch_floats` of room for sums
struct Gradients {
    float* of_blocks;
    int64_t parameters;
    float* scratch;
    int64_t scratch_floats;
};

// The gradient of all parameters, summed over the blocks in their order into that of the first one, from that of the
// logits [images][classes], whose place in a block is `dlogits_at`.
EXPORTED void batch_last_backward(const Batch* whole, const float* dlogits, int64_t dlogits_at,
                                  const Gradients* gradients) {
    const Batch batch = *whole;
    const Gradients to = *gradients;
    const Op* ops = batch.ops;
    std::memset(to.of_blocks, 0, sizeof(float) * batch.blocks() * to.parameters);
    bool joined = false;  // whether ops[last] is a batch norm whose sums are known
    for (int64_t last = batch.op_count - 1; last >= 0; joined = true) {
        int64_t start = last - joined;
        while (start >= 0 && ops[start].kind != BATCH_NORM) start--;
#pragma omp parallel for num_threads(batch.threads) schedule(static) if (batch.threads > 1)
        for (int64_t b = 0; b < batch.blocks(); b++) {
            float* block = batch.block(b);
            if (!joined) gather(batch, b, dlogits, batch.classes, block + dlogits_at);
            float* gradient = to.of_blocks + b * to.parameters;
            vec* total = (vec*)(to.scratch + b * to.scratch_floats);
            for (int64_t i = last; i > start; i--)
                if (ops[i].kind != BATCH_NORM) {
                    if (ops[i].dy >= 0) backward(ops[i], block, b, gradient, total);
                } else if (ops[i].dx >= 0) {
                    batch_norm_backward(ops[i], block, batch.lanes_of(b));
                }
            if (start >= 0) sum_batch_norm_back(ops[start], block);
        }
        if (start >= 0) join_batch_norm_back(ops[start], batch, to.of_blocks);
        last = start;
    }
    for (int64_t b = 1; b < batch.blocks(); b++)
        for (int64_t i = 0; i < to.parameters; i++) to.of_blocks[i] += to.of_blocks[b * to.parameters + i];
}

EXPORTED int64_t batch_last_op_bytes() { return sizeof(Op); }
EXPORTED int64_t batch_last_lanes() { return LANES; }

}  // namespace batch_last
