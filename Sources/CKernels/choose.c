// Choosing a token: the largest value, or the largest value plus noise that depends on its place alone.
#include <math.h>
#include <string.h>

#include "ckernels.h"

uint64_t mp_mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15u * (b + 1);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Standard Gumbel noise from 53 random bits: between -3.7 and 37.
static double gumbel(uint64_t bits) {
  double u = ((double)bits + 0.5) * 0x1p-53;
  // The largest of them is rounded to 1.
  return -log(-log(u < 1 ? u : 1 - 0x1p-53));
}

static uint64_t random_bits(uint64_t stream, long i) { return mp_mix(stream, (uint64_t)i) >> 11; }

// Whether noise of these bits is certainly below a gap of 0 to 37: -log(-log u) < gap wherever 1 - u > exp(-gap), since
// -log u >= 1 - u. A power of two at or above exp(-gap) does, and nearly all of a vocabulary costs no logarithm.
static int is_below(uint64_t bits, double gap) {
  uint64_t power = (uint64_t)(1023 - (long)(gap * (1.4426950408889634 * (1 - 1e-12)))) << 52;
  double bound;
  memcpy(&bound, &power, sizeof bound);
  return ((double)((1ull << 53) - 1 - bits) + 0.5) * 0x1p-53 > bound;
}

long mp_gumbel_argmax(const float *x, long count, uint64_t stream) {
  long best = mp_argmax(x, count);
  if (best < 0 || x[best] == -INFINITY) return -1;
  double top = (double)x[best] + gumbel(random_bits(stream, best));
  // Noise never exceeds 37: what lies further below cannot win, so most of a vocabulary costs one comparison.
  for (long i = 0; i < count; i++) {
    if (!((double)x[i] + 37.0 > top) || i == best) continue;
    uint64_t bits = random_bits(stream, i);
    double gap = top - (double)x[i];
    if (gap > 0 && is_below(bits, gap)) continue;
    double value = (double)x[i] + gumbel(bits);
    if (value > top || (value == top && i < best)) {
      top = value;
      best = i;
    }
  }
  return best;
}

void mp_log_softmax(float *x, long count) {
  if (count == 0) return;
  float top = -INFINITY;
  for (long i = 0; i < count; i++) top = x[i] > top ? x[i] : top;
  for (long i = 0; i < count; i++) x[i] -= top;
  float total = mp_log_sum_exp(x, count);
  for (long i = 0; i < count; i++) x[i] -= total;
}
