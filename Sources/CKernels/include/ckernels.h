// Kernels of massv-pipe: one header, one operation a file.
//
// The numbers rule: what a row comes out as never depends on how many rows are computed with it, nor on the thread
// that computes it. Every sum runs in the order of its own index, in lanes whose number and folding are fixed.
// The builds for the instruction sets come from the same source and agree bit for bit.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The builds of the kernels, those of one kind of machine from its smallest to its largest.
#define MP_GENERIC 0
#define MP_AVX2 1
#define MP_AVX512 2
#define MP_NEON 3
/// As a limit: none.
#define MP_BEST 3
/// The build that runs: AVX2 needs FMA and F16C beside it, AVX512 needs F, BW, DQ, VL and VNNI, NEON needs the dot
/// products of ARMv8.2. ARM machines without them run the generic build, whose floats are NEON's too.
int mp_instructions(void);
/// For tests and benchmarks: no build above this one runs. A build of another kind of machine stands for the next below
/// it that this one has.
void mp_limit_instructions(int most);

/// A pool of spinning worker threads that fall asleep when nothing comes.
typedef struct mp_pool mp_pool;
/// A pool in which the caller and `threads` - 1 workers share the tasks, or fewer where the system has no more
/// threads to give; NULL without memory.
mp_pool *mp_pool_create(int threads);
/// Ends the workers and frees the pool.
void mp_pool_destroy(mp_pool *pool);
/// Runs task(context, i) for every i in [0, count) and returns when all are done. A call from inside a task, or while
/// another thread runs the pool, does its tasks in the caller alone.
void mp_pool_run(mp_pool *pool, void (*task)(void *context, long index), void *context, long count);

/// Formats of packed weights: see panels.h.
enum { MP_F32 = 0, MP_F16 = 1, MP_BF16 = 2, MP_Q8 = 3, MP_Q4 = 4 };
/// Weight rows of a panel are 16; a tile of a product is this many panels.
enum { MP_PANELS_A_TILE = 4 };
/// Bytes of a panel of `k` columns.
long mp_panel_bytes(int format, long k);
/// `k`, in whole groups of columns where the format has groups.
long mp_whole_columns(int format, long k);
/// A panel of [mp_whole_columns][16] floats. `importance` says how much a column's error counts, in formats that choose
/// scales by errors: mp_whole_columns numbers from 0, or NULL for all alike.
void mp_pack_panel(int format, const float *columns, const float *importance, long k, void *panel);
/// The `k` weights of one lane of a panel.
void mp_unpack_row(int format, const void *panel, int lane, long k, float *out);

/// ggml's block formats that are read, by its numbers.
enum { MP_GGML_Q4_0 = 2, MP_GGML_Q5_0 = 6, MP_GGML_Q8_0 = 8, MP_GGML_Q4_K = 12, MP_GGML_Q5_K = 13, MP_GGML_Q6_K = 14 };
/// The packed format that holds every value of this block format, -1 for none.
int mp_block_format(int type);
/// Puts a row of blocks into a lane of a panel of `mp_block_format(type)`, to the bit.
void mp_pack_blocks(int type, const void *row, long k, int lane, void *panel);

/// Bytes of a row of `k` inputs as products with this format read them; 0 where they read floats.
long mp_input_bytes(int format, long k);
/// A row of inputs in whole numbers: 16 bits for q8, 8 for q4, each group of 32 with a scale of its own. A group with a
/// number that is not finite makes every product with it none.
void mp_quantise_input(int format, const float *x, long k, void *out);
/// y[r][n] = bias[n] + sum_k x[r][k] * w[n][k] for the n of one tile, packed weights of `n` rows.
///
/// x is float or as mp_quantise_input makes it, `x_stride` bytes from row to row. Every y is one sum in the order of k:
/// it depends on its row and its weights alone.
void mp_multiply(int format, const void *x, long x_stride, long rows, const void *w, long k, long n, long tile,
                 const float *bias, float *y, long y_stride);
/// What one product reads and writes, as mp_multiply takes it.
typedef struct {
  int format;
  const void *x;
  long x_stride;
  const void *w;
  long k, n;
  const float *bias;
  float *y;
  long y_stride;
} mp_product;
/// `count` tiles from `first` on, counted through all products, for `rows` rows from `row` on.
void mp_multiply_tiles(const mp_product *products, long first, long count, long row, long rows);
/// The largest of each row's y in `count` tiles from `first` on, of those before `columns`: where it is above best[row],
/// it and its place are put there and into place[row]. p->y is not used: outputs pass through `scratch`, `rows` times
/// MP_LARGEST_COLUMNS floats.
void mp_multiply_largest(const mp_product *p, long first, long count, long columns, long row, long rows, float *scratch,
                         float *best, int32_t *place);
#define MP_LARGEST_COLUMNS 512

/// [16][k] floats, rows `stride` apart, as [k][16].
void mp_interleave(const float *rows, long stride, long k, float *columns);
/// out[i] = (float) in[i] for bfloat16 in.
void mp_widen_bf16(const void *in, float *out, long count);
/// out[i] = (float) in[i] for IEEE half in.
void mp_widen_f16(const void *in, float *out, long count);
/// out[i] = in[i] rounded to nearest even bfloat16.
void mp_narrow_bf16(const float *in, uint16_t *out, long count);
/// out[i] = in[i] rounded to nearest even IEEE half.
void mp_narrow_f16(const float *in, uint16_t *out, long count);

/// Floats of whole blocks in one of ggml's block formats. Returns 0, or -1 for another format.
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
/// out[i] = x[i] + y[i].
void mp_sum(const float *x, const float *y, float *out, long count);

/// The gradients of a row of mp_rms_norm: dx, and dweight added to what is there; NULL where it is not wanted.
void mp_rms_norm_backward(const float *x, const float *weight, float eps, long count, const float *dy, float *dx,
                          float *dweight);
/// The gradients of a row of mp_layer_norm: dx, and those of weight and bias added to what is there; NULL where not wanted.
void mp_layer_norm_backward(const float *x, const float *weight, float eps, long count, const float *dy, float *dx,
                            float *dweight, float *dbias);
/// The gradient of mp_gelu_tanh, from what stood in x before it.
void mp_gelu_tanh_backward(const float *x, const float *dy, float *dx, long count);
/// The gradients of mp_silu_multiply, from what stood in gate before it.
void mp_silu_multiply_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                               long count);
/// The gradients of mp_gelu_tanh_multiply, from what stood in gate before it.
void mp_gelu_tanh_multiply_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                    long count);
/// The gradient of mp_gelu, from what stood in x before it.
void mp_gelu_backward(const float *x, const float *dy, float *dx, long count);
/// The gradient of mp_soft_cap, from its result.
void mp_soft_cap_backward(const float *y, float cap, const float *dy, float *dx, long count);
/// softmax over slots of scale * scores, [slots][stride], in place: column r over the slots from `from[r]` to `to[r]`, the
/// others become 0. `stride` is a multiple of 8; columns that see nothing become 0.
void mp_softmax_columns(float *scores, long slots, long stride, const int32_t *from, const int32_t *to, float scale);
/// The gradient of the scores, in the place of that of the weights.
void mp_softmax_columns_backward(const float *weights, float *gradient, long slots, long stride, float scale);
/// softmax of a row in place; returns log(sum(exp(logits))).
float mp_softmax(float *logits, long count);
/// The sum of squares, in a fixed order.
double mp_sum_squares(const float *x, long count);
/// x[i] *= factor.
void mp_scale(float *x, float factor, long count);

/// One step of AdamW; corrections are 1 / (1 - beta1^t) and 1 / (1 - beta2^t), the gradient is scaled first.
typedef struct {
  float rate, beta1, beta2, epsilon, decay, correction1, correction2, gradient_scale;
} mp_adamw_step;
/// Updates weights and both moments.
void mp_adamw(float *weights, float *first, float *second, const float *gradient, long count,
              const mp_adamw_step *step);

/// out[c][r] = in[r][c].
void mp_transpose(const float *in, long stride, long rows, long columns, float *out, long out_stride);
/// f32 panels of `rows` weight rows of width k.
void mp_panels_of_rows(const float *in, long stride, long rows, long k, float *out);
/// f32 panels whose weight rows are the columns of a matrix [k][columns].
void mp_panels_of_columns(const float *in, long stride, long k, long columns, float *out);

/// out[r] = softmax(scale * q[r] . K) V for several queries of width `dim` over one head's keys and values.
///
/// Slots are numbered from the first panel; query r sees those from `from[r]` on, before `to[r]`, at least one. Keys are
/// panels of 16 slots, [dim][16], values rows at `value_stride` elements whose count is a multiple of 16 not below dim;
/// both f32 or f16. `scratch` holds mp_attend_scratch floats for the slots from the first to the last that any query
/// sees. A query's sums run in the order of its slots: they depend on nothing but them.
void mp_attend(int format, const float *q, long q_stride, long rows, const void *keys, const void *values,
               long value_stride, const long *from, const long *to, long dim, float scale, float *scratch, float *out,
               long out_stride);
long mp_attend_scratch(long rows, long slots, long dim);
/// Puts a key of width `dim` into a lane of its panel.
void mp_store_key(int format, const float *key, long dim, void *panel, long lane);
/// A value as `format` holds it; halves end at their largest number, never in infinity.
void mp_store_value(int format, const float *value, long dim, void *out);

/// Resampling filters, by Pillow's numbers.
enum { MP_LANCZOS = 1, MP_BILINEAR = 2, MP_BICUBIC = 3 };
/// Resizes RGB rows as Pillow does, to the bit. Sides are 1 or more. Returns 0, or -1 without memory.
int mp_resize_rgb(const uint8_t *in, long width, long height, uint8_t *out, long out_width, long out_height, int kind);

/// The index of the largest value, the lowest index among equals; NaN never wins. -1 for an empty row or all NaN.
long mp_argmax(const float *x, long count);
/// log(sum(exp(x))) in a fixed order; values of -infinity add nothing.
float mp_log_sum_exp(const float *x, long count);
/// The softmax's value at `best`, where the largest of all is; 0 where that is no number.
float mp_largest_probability(const float *x, long count, long best);
/// Logits into log-probabilities, in place. The largest goes first: where they are large, the sum would drown in its
/// rounding.
void mp_log_softmax(float *x, long count);
/// A 64-bit mix of two words (SplitMix64's finaliser), the root of every random number here.
uint64_t mp_mix(uint64_t a, uint64_t b);
/// A checksum of bytes, at the speed of reading them.
uint64_t mp_checksum(const void *bytes, long count);
/// argmax_i x[i] + g_i where g_i is standard Gumbel noise that depends on (stream, i) alone; -infinity never wins.
long mp_gumbel_argmax(const float *x, long count, uint64_t stream);

/// Reads bytes as four streams; what it returns means nothing.
uint64_t mp_read_streams(const void *bytes, long count);
/// Multiplies and adds in registers; returns how many operations those were.
double mp_multiply_add(long rounds, float *sink);

#ifdef __cplusplus
}
#endif
#endif
