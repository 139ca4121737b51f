// Weights into panels and back. A panel's columns come as [k][16] floats, in whole groups where the format has groups.
#include "panels.h"

MP_INLINE v16 ISA(rounded_half16)(v16 x) {
  f16x16 half = __builtin_convertvector(x, f16x16);
  return __builtin_convertvector(half, v16);
}

MP_INLINE void ISA(store_half16)(char *out, v16 x) {
  f16x16 half = __builtin_convertvector(x, f16x16);
  memcpy(out, &half, sizeof half);
}

MP_INLINE v16 ISA(all16)(float x) { return x - (v16){0}; }

// a where the mask is set, else b.
MP_INLINE v16 ISA(choose16)(i32x16 mask, v16 a, v16 b) { return (v16)(((i32x16)a & mask) | ((i32x16)b & ~mask)); }

// a / b, and 0 where b is 0.
MP_INLINE v16 ISA(share16)(v16 a, v16 b) {
  i32x16 some = b != (v16){0};
  return ISA(choose16)(some, a / ISA(choose16)(some, b, ISA(all16)(1)), (v16){0});
}

// The scale of a group, or NaN where any of its weights is not finite: what is broken makes its products no numbers.
MP_INLINE v16 ISA(or_none16)(const float *x, v16 scale) {
  i32x16 fine = {0};
  fine = ~fine;
  for (int i = 0; i < MP_GROUP; i++) fine &= __builtin_elementwise_abs(ISA(load16)(x + 16 * i)) <= ISA(all16)(3.4e38f);
  return ISA(choose16)(fine, scale, ISA(all16)(__builtin_nanf("")));
}

static void ISA(pack_q8)(const float *columns, long k, char *out) {
  for (long g = 0; g < mp_groups(k); g++, columns += 16 * MP_GROUP, out += MP_Q8_GROUP) {
    v16 top = {0};
    for (int i = 0; i < MP_GROUP; i++)
      top = __builtin_elementwise_max(top, __builtin_elementwise_abs(ISA(load16)(columns + 16 * i)));
    v16 scale = ISA(rounded_half16)(__builtin_elementwise_min(top / 127.0f, ISA(all16)(65504)));
    v16 inverse = ISA(share16)(ISA(all16)(1), scale);
    scale = ISA(or_none16)(columns, scale);
    for (int i = 0; i < MP_GROUP; i++) {
      v16 q = __builtin_elementwise_rint(ISA(load16)(columns + 16 * i) * inverse);
      q = __builtin_elementwise_max(__builtin_elementwise_min(q, ISA(all16)(127)), ISA(all16)(-127));
      for (int l = 0; l < 16; l++) out[i / 2 * 32 + l * 2 + i % 2] = (int8_t)q[l];
    }
    ISA(store_half16)(out + 16 * MP_GROUP, scale);
  }
}

// How much a value's error counts.
MP_INLINE v16 ISA(weight_q4)(v16 v, v16 spread, const float *importance, int i) {
  v16 weight = spread + __builtin_elementwise_abs(v);
  return importance ? weight * importance[i] : weight;
}

// Scale and minimum of a group of each lane, w = scale * q - minimum with q in 0 … 15 and minimum >= 0, that miss the
// values least in squares, large values and important columns counting more. Every step refits both to the q that a trial
// of the scale gives.
MP_INLINE void ISA(fit_q4)(const float *x, const float *importance, v16 *scale, v16 *minimum) {
  v16 low = {0}, high = {0}, square = {0};
  for (int i = 0; i < MP_GROUP; i++) {
    v16 v = ISA(load16)(x + 16 * i);
    low = __builtin_elementwise_min(low, v);
    high = __builtin_elementwise_max(high, v);
    square = ISA(fma16)(v, v, square);
  }
  v16 spread = __builtin_elementwise_sqrt(square / MP_GROUP);
  v16 range = high - low, least = ISA(all16)(__builtin_inff());
  *scale = range / 15.0f;
  *minimum = -low;
  for (int trial = -5; trial <= 5; trial++) {
    v16 steps = ISA(share16)(ISA(all16)(15.0f + 0.2f * (float)trial), range);
    v16 n = {0}, q1 = {0}, q2 = {0}, x1 = {0}, qx = {0};
    for (int i = 0; i < MP_GROUP; i++) {
      v16 v = ISA(load16)(x + 16 * i), weight = ISA(weight_q4)(v, spread, importance, i);
      v16 q = __builtin_elementwise_rint((v - low) * steps);
      q = __builtin_elementwise_max(__builtin_elementwise_min(q, ISA(all16)(15)), (v16){0});
      v16 wq = weight * q;
      n += weight;
      q1 += wq;
      q2 = ISA(fma16)(wq, q, q2);
      x1 = ISA(fma16)(weight, v, x1);
      qx = ISA(fma16)(wq, v, qx);
    }
    v16 determinant = n * q2 - q1 * q1;
    v16 own = ISA(share16)(n * qx - q1 * x1, determinant), base = ISA(share16)(q2 * x1 - q1 * qx, determinant);
    i32x16 above = base > (v16){0};
    own = ISA(choose16)(above, ISA(share16)(qx, q2), own);
    base = ISA(choose16)(above, (v16){0}, base);
    v16 error = {0};
    for (int i = 0; i < MP_GROUP; i++) {
      v16 v = ISA(load16)(x + 16 * i), weight = ISA(weight_q4)(v, spread, importance, i);
      v16 q = __builtin_elementwise_rint((v - low) * steps);
      q = __builtin_elementwise_max(__builtin_elementwise_min(q, ISA(all16)(15)), (v16){0});
      v16 miss = ISA(fma16)(own, q, base) - v;
      error = ISA(fma16)(weight * miss, miss, error);
    }
    i32x16 better = (error < least) & (own > (v16){0});
    *scale = ISA(choose16)(better, own, *scale);
    *minimum = ISA(choose16)(better, -base, *minimum);
    least = ISA(choose16)(better, error, least);
  }
}

// Up to eight groups: their scales and minima become bytes of one half each, then the columns are rounded again.
static void ISA(pack_q4_block)(const float *columns, const float *importance, int groups, char *out) {
  v16 scale[MP_GROUPS_A_BLOCK], minimum[MP_GROUPS_A_BLOCK], d = {0}, m = {0};
  for (int g = 0; g < groups; g++) {
    ISA(fit_q4)(columns + g * 16 * MP_GROUP, importance ? importance + g * MP_GROUP : NULL, &scale[g], &minimum[g]);
    d = __builtin_elementwise_max(d, scale[g]);
    m = __builtin_elementwise_max(m, minimum[g]);
  }
  d = ISA(rounded_half16)(__builtin_elementwise_min(d / 255.0f, ISA(all16)(65504)));
  m = ISA(rounded_half16)(__builtin_elementwise_min(m / 255.0f, ISA(all16)(65504)));
  v16 kept = d;
  for (int g = 0; g < groups; g++) kept = ISA(or_none16)(columns + g * 16 * MP_GROUP, kept);
  ISA(store_half16)(out, kept);
  ISA(store_half16)(out + 32, m);
  out += MP_Q4_HEAD;
  for (int g = 0; g < groups; g++, out += MP_Q4_GROUP) {
    v16 s = __builtin_elementwise_rint(ISA(share16)(scale[g], d)), b = __builtin_elementwise_rint(ISA(share16)(minimum[g], m));
    s = __builtin_elementwise_max(__builtin_elementwise_min(s, ISA(all16)(255)), (v16){0});
    b = __builtin_elementwise_max(__builtin_elementwise_min(b, ISA(all16)(255)), (v16){0});
    for (int l = 0; l < 16; l++) out[l] = (char)(uint8_t)s[l], out[16 + l] = (char)(uint8_t)b[l];
    v16 inverse = ISA(share16)(ISA(all16)(1), d * s), base = m * b;
    memset(out + 32, 0, 16 * MP_GROUP / 2);
    for (int i = 0; i < MP_GROUP; i++) {
      v16 q = __builtin_elementwise_rint((ISA(load16)(columns + (g * MP_GROUP + i) * 16) + base) * inverse);
      q = __builtin_elementwise_max(__builtin_elementwise_min(q, ISA(all16)(15)), (v16){0});
      for (int l = 0; l < 16; l++)
        out[32 + i / 8 * 64 + l * 4 + i % 4] |= (char)((uint8_t)q[l] << (i / 4 % 2 * 4));
    }
  }
}

static void ISA(pack_q4)(const float *columns, const float *importance, long k, char *out) {
  long groups = mp_groups(k);
  for (long g = 0; g < groups; g += MP_GROUPS_A_BLOCK) {
    int some = groups - g < MP_GROUPS_A_BLOCK ? (int)(groups - g) : MP_GROUPS_A_BLOCK;
    const float *counting = importance ? importance + g * MP_GROUP : NULL;
    ISA(pack_q4_block)(columns + g * 16 * MP_GROUP, counting, some, out + g / MP_GROUPS_A_BLOCK * MP_Q4_BLOCK);
  }
}

static void ISA(pack_f16)(const float *columns, long k, char *out) {
  for (long i = 0; i < k; i++) ISA(store_half16)(out + i * 32, ISA(load16)(columns + i * 16));
}
