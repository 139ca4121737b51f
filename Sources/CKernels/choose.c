// Choosing a token: the largest value, or the largest value plus noise that depends on its place alone.
#include <math.h>

#include "ckernels.h"

uint64_t mp_mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15u * (b + 1);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Standard Gumbel noise from 53 random bits: between -3.7 and 37.
static double gumbel(uint64_t stream, long i) {
  double uniform = ((double)(mp_mix(stream, (uint64_t)i) >> 11) + 0.5) * 0x1p-53;
  return -log(-log(uniform));
}

long mp_gumbel_argmax(const float *x, long count, uint64_t stream) {
  long best = mp_argmax(x, count);
  if (best < 0 || x[best] == -INFINITY) return -1;
  double top = (double)x[best] + gumbel(stream, best);
  // Noise never exceeds 37: what lies further below cannot win, so most of a vocabulary costs one comparison.
  for (long i = 0; i < count; i++) {
    if (!((double)x[i] + 37.0 > top) || i == best) continue;
    double value = (double)x[i] + gumbel(stream, i);
    if (value > top || (value == top && i < best)) {
      top = value;
      best = i;
    }
  }
  return best;
}
