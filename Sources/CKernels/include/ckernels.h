// Kernels of massv-pipe: one header, one operation a file.
//
// The numbers rule: what a row comes out as never depends on how many rows are computed with it, nor on the thread
// that computes it. Every sum runs over eight lanes in the order of its own index and is folded in one fixed order.
// The generic and the AVX2 builds come from the same source and agree bit for bit.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Whether the AVX2+FMA build of the kernels runs on this machine.
bool mp_has_avx2(void);
/// For tests: false makes every kernel take its generic build.
void mp_allow_simd(bool allowed);

/// A pool of spinning worker threads that fall asleep when nothing comes.
typedef struct mp_pool mp_pool;
/// A pool in which the caller and `threads` - 1 workers share the tasks; NULL without memory or threads.
mp_pool *mp_pool_create(int threads);
/// Ends the workers and frees the pool.
void mp_pool_destroy(mp_pool *pool);
/// Runs task(context, i) for every i in [0, count) and returns when all are done. A call from inside a task, or while
/// another thread runs the pool, does its tasks in the caller alone.
void mp_pool_run(mp_pool *pool, void (*task)(void *context, long index), void *context, long count);

/// y[r][n] = bias[n] + sum_k x[r][k] * w[n][k] for n in [first, last), float weights stored [n][k].
void mp_linear_f32(const float *x, long x_stride, int rows, const void *w, long k, long first, long last,
                   const float *bias, float *y, long y_stride);
/// The same with IEEE half weights. Weights may lie at any even address.
void mp_linear_f16(const float *x, long x_stride, int rows, const void *w, long k, long first, long last,
                   const float *bias, float *y, long y_stride);
/// The same with bfloat16 weights.
void mp_linear_bf16(const float *x, long x_stride, int rows, const void *w, long k, long first, long last,
                    const float *bias, float *y, long y_stride);

/// out[i] = (float) in[i] for bfloat16 in.
void mp_widen_bf16(const void *in, float *out, long count);
/// out[i] = (float) in[i] for IEEE half in.
void mp_widen_f16(const void *in, float *out, long count);
/// out[i] = in[i] rounded to nearest even bfloat16.
void mp_narrow_bf16(const float *in, uint16_t *out, long count);
/// out[i] = in[i] rounded to nearest even IEEE half.
void mp_narrow_f16(const float *in, uint16_t *out, long count);

/// Floats of whole blocks in one of ggml's block formats, by its number (Q4_0 2, Q5_0 6, Q8_0 8, Q4_K 12, Q5_K 13,
/// Q6_K 14). Returns 0, or -1 for another format.
int mp_dequantize(int type, const void *in, float *out, long weights);

/// y = x / sqrt(mean(x^2) + eps) * weight, a row of `count`.
void mp_rms_norm(const float *x, const float *weight, float eps, long count, float *y);
/// Rotates `heads` heads of width `dim` in place: pairs (i, i + dim/2), angles as cos and sin of dim/2 values.
void mp_rotate(float *x, long heads, long dim, const float *cosine, const float *sine);
/// y = (x - mean) / sqrt(variance + eps) * weight + bias, a row of `count`.
void mp_layer_norm(const float *x, const float *weight, const float *bias, float eps, long count, float *y);
/// gate[i] = silu(gate[i]) * up[i].
void mp_silu_multiply(float *gate, const float *up, long count);
/// gate[i] = gelu(gate[i]) * up[i], the form with tanh.
void mp_gelu_tanh_multiply(float *gate, const float *up, long count);
/// x[i] = gelu(x[i]), the form with tanh.
void mp_gelu_tanh(float *x, long count);
/// x[i] = x[i] * sigmoid(1.702 x[i]).
void mp_quick_gelu(float *x, long count);
/// x[i] = cap * tanh(x[i] / cap).
void mp_soft_cap(float *x, float cap, long count);
/// x[i] = gelu(x[i]), the exact form with erf.
void mp_gelu(float *x, long count);
/// y[i] += x[i].
void mp_add(float *y, const float *x, long count);

/// out = softmax(scale * q . K) V for one query of width `dim` over `count` keys and values.
/// `scores` is scratch of `count` floats.
void mp_attend(const float *q, const float *keys, long key_stride, const float *values, long value_stride, long count,
               long dim, float scale, float *scores, float *out);

/// Resampling filters, by Pillow's numbers.
enum { MP_LANCZOS = 1, MP_BILINEAR = 2, MP_BICUBIC = 3 };
/// Resizes RGB rows as Pillow does, to the bit. Sides are 1 or more. Returns 0, or -1 without memory.
int mp_resize_rgb(const uint8_t *in, long width, long height, uint8_t *out, long out_width, long out_height, int kind);

/// The index of the largest value, the lowest index among equals; NaN never wins. -1 for an empty row or all NaN.
long mp_argmax(const float *x, long count);
/// log(sum(exp(x))) in a fixed order; values of -infinity add nothing.
float mp_log_sum_exp(const float *x, long count);
/// A 64-bit mix of two words (SplitMix64's finaliser), the root of every random number here.
uint64_t mp_mix(uint64_t a, uint64_t b);
/// argmax_i x[i] + g_i where g_i is standard Gumbel noise that depends on (stream, i) alone; -infinity never wins.
long mp_gumbel_argmax(const float *x, long count, uint64_t stream);

#ifdef __cplusplus
}
#endif
#endif
