// Between a decoder's pixels and upright RGB: EXIF's orientation, transparency.
#include <string.h>

#include "ccodecs.h"

static uint32_t number(const uint8_t *p, int size, int little) {
  uint32_t value = 0;
  for (int i = 0; i < size; i++) value |= (uint32_t)p[i] << 8 * (little ? i : size - 1 - i);
  return value;
}

// What EXIF's tag holds, sensible or not; -1 where there is none.
static int exif_orientation(const uint8_t *bytes, size_t count) {
  // Some writers put the prefix twice.
  for (int i = 0; i < 2 && count >= 6 && memcmp(bytes, "Exif\0", 6) == 0; i++) bytes += 6, count -= 6;
  if (count < 8) return -1;
  int little = bytes[0] == 'I' && bytes[1] == 'I';
  if (!little && !(bytes[0] == 'M' && bytes[1] == 'M')) return -1;
  size_t at = number(bytes + 4, 4, little);
  if (at > count - 2) return -1;
  uint32_t entries = number(bytes + at, 2, little);
  at += 2;
  for (uint32_t i = 0; i < entries && at + 12 <= count; i++, at += 12) {
    if (number(bytes + at, 2, little) != 0x0112) continue;
    uint32_t type = number(bytes + at + 2, 2, little);
    uint32_t value = type == 1 ? bytes[at + 8] : number(bytes + at + 8, type == 4 ? 4 : 2, little);
    return value <= 8 ? (int)value : 0;
  }
  return -1;
}

// The same for XMP: an attribute or an element, found without parsing the XML, as Pillow finds it.
static int xmp_orientation(const uint8_t *bytes, size_t count) {
  static const char name[] = "tiff:Orientation";
  const size_t length = sizeof name - 1;
  for (size_t i = 0; i + length + 2 <= count; i++) {
    if (bytes[i] != 't' || memcmp(bytes + i, name, length) != 0) continue;
    size_t at = i + length;
    at += bytes[at] == '>' ? 1 : bytes[at] == '=' && bytes[at + 1] == '"' ? 2 : 0;
    if (at > i + length && at < count && bytes[at] >= '0' && bytes[at] <= '9') return bytes[at] - '0';
  }
  return -1;
}

int mp_orientation(const uint8_t *exif, size_t exif_count, const uint8_t *xmp, size_t xmp_count) {
  int value = exif ? exif_orientation(exif, exif_count) : -1;
  if (value < 0 && xmp) value = xmp_orientation(xmp, xmp_count);
  return value >= 1 && value <= 8 ? value : 1;
}

void mp_lay_on_white(const uint8_t *rgba, uint8_t *rgb, long pixels) {
  for (long i = 0; i < pixels; i++, rgba += 4, rgb += 3) {
    // Pillow's alpha_composite over opaque white: seven more bits, then a division by 255.
    uint32_t over = (uint32_t)rgba[3] << 7, under = (255u << 7) - over;
    for (int c = 0; c < 3; c++) {
      uint32_t t = rgba[c] * over + 255u * under + (0x80u << 7);
      rgb[c] = (uint8_t)((((t >> 8) + t) >> 8) >> 7);
    }
  }
}

void mp_orient(const uint8_t *rgb, long width, long height, int orientation, uint8_t *out) {
  // The step in the output, in pixels, that one step right and one step down in the input make.
  long right = 1, down = width, first = 0;
  switch (orientation) {
    case 2: right = -1, down = width, first = width - 1; break;
    case 3: right = -1, down = -width, first = width * height - 1; break;
    case 4: right = 1, down = -width, first = width * (height - 1); break;
    case 5: right = height, down = 1, first = 0; break;
    case 6: right = height, down = -1, first = height - 1; break;
    case 7: right = -height, down = -1, first = width * height - 1; break;
    case 8: right = -height, down = 1, first = height * (width - 1); break;
    default: break;
  }
  for (long y = 0; y < height; y++) {
    long place = first + y * down;
    for (long x = 0; x < width; x++, place += right, rgb += 3) memcpy(out + 3 * place, rgb, 3);
  }
}
