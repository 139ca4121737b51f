#define KERNEL_BODY "linear_body.h"
#include "each_isa.h"

void mp_linear_f32(const float *x, long x_stride, int rows, const void *w, long k, long first, long last,
                   const float *bias, float *y, long y_stride) {
  MP_CALL(linear_f32, x, x_stride, rows, w, k, first, last, bias, y, y_stride);
}

void mp_linear_f16(const float *x, long x_stride, int rows, const void *w, long k, long first, long last,
                   const float *bias, float *y, long y_stride) {
  MP_CALL(linear_f16, x, x_stride, rows, w, k, first, last, bias, y, y_stride);
}

void mp_linear_bf16(const float *x, long x_stride, int rows, const void *w, long k, long first, long last,
                    const float *bias, float *y, long y_stride) {
  MP_CALL(linear_bf16, x, x_stride, rows, w, k, first, last, bias, y, y_stride);
}
