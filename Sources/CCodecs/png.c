// PNG through libpng.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "ccodecs.h"

// Bytes that a chunk beside the pixels may unpack to, and how many such chunks are kept.
enum { MAX_TEXT = 1 << 20, MAX_TEXTS = 100 };

typedef struct {
  const uint8_t *bytes;
  size_t left;
  char *message;
} source;

static void fail(png_structp png, png_const_charp text) {
  source *s = png_get_error_ptr(png);
  snprintf(s->message, MP_MESSAGE_SIZE, "%s", text);
  longjmp(png_jmpbuf(png), 1);
}

static void ignore(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void take(png_structp png, png_bytep out, size_t count) {
  source *s = png_get_io_ptr(png);
  if (count > s->left) png_error(png, "the file ends inside the picture");
  memcpy(out, s->bytes, count);
  s->bytes += count;
  s->left -= count;
}

// What the file holds, as far as it decides what the pixels become.
typedef struct {
  png_uint_32 width, height;
  int depth, colour;
  // Grey of 16 bits without an alpha channel: Pillow clips it where it cuts every other kind to the upper byte.
  int clips;
  // The clipped value that is transparent there; -1 where none is.
  int transparent;
} layout;

static void read_layout(png_structp png, png_infop info, layout *l, long max_pixels) {
  int interlace;
  png_get_IHDR(png, info, &l->width, &l->height, &l->depth, &l->colour, &interlace, NULL, NULL);
  if ((long)l->width * (long)l->height > max_pixels) {
    char text[MP_MESSAGE_SIZE];
    snprintf(text, sizeof text, "%ux%u pixels, more than max-pixels, %ld", l->width, l->height, max_pixels);
    png_error(png, text);
  }
  l->clips = l->depth == 16 && l->colour == PNG_COLOR_TYPE_GRAY;
  png_color_16p transparent = NULL;
  png_get_tRNS(png, info, NULL, NULL, &transparent);
  // Pillow compares its clipped values with the lower byte.
  l->transparent = l->clips && transparent ? transparent->gray & 255 : -1;
}

static void choose_output(png_structp png, png_infop info, const layout *l) {
  if (l->colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (l->colour == PNG_COLOR_TYPE_GRAY && l->depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (!l->clips && png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
  if (l->depth == 16 && !l->clips) png_set_strip_16(png);
  if (!l->clips && !(l->colour & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

// Chunks behind the pixels, among which EXIF may stand; damage in them does not matter. The last call that may jump.
static void read_tail(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) == 0) png_read_end(png, info);
}

static size_t text_length(png_const_textp text) {
  return text->compression >= PNG_ITXT_COMPRESSION_NONE ? text->itxt_length : text->text_length;
}

static png_const_textp find_text(png_structp png, png_infop info, const char *key) {
  png_textp texts = NULL;
  for (int i = png_get_text(png, info, &texts, NULL) - 1; i >= 0; i--)
    if (strcmp(texts[i].key, key) == 0 && texts[i].text) return &texts[i];
  return NULL;
}

static int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// EXIF as ImageMagick wrote it before PNG had a chunk for it: in a text, hexadecimal digits behind three lines.
// Decoded in the text's own place.
static size_t read_raw_profile(png_const_textp text, uint8_t **exif) {
  const char *from = text->text, *end = from + text_length(text);
  for (int line = 0; line < 3 && from < end; from++) line += *from == '\n';
  *exif = (uint8_t *)text->text;
  size_t count = 0;
  for (; from + 1 < end; from++) {
    int high = nibble(from[0]), low = nibble(from[1]);
    if (high < 0 || low < 0) continue;
    (*exif)[count++] = (uint8_t)(high << 4 | low);
    from++;
  }
  return count;
}

static int read_orientation(png_structp png, png_infop info) {
  png_bytep exif = NULL;
  size_t count = 0;
#ifdef PNG_eXIf_SUPPORTED
  png_uint_32 chunk_count = 0;
  if (png_get_eXIf_1(png, info, &chunk_count, &exif)) count = chunk_count;
#endif
  png_const_textp raw = exif ? NULL : find_text(png, info, "Raw profile type exif");
  if (raw) count = read_raw_profile(raw, &exif);
  png_const_textp xmp = find_text(png, info, "XML:com.adobe.xmp");
  return mp_orientation(exif, count, xmp ? (const uint8_t *)xmp->text : NULL, xmp ? text_length(xmp) : 0);
}

// Big-endian 16-bit grey rows become RGB of the clipped values, a transparent one white.
static uint8_t *clipped(const uint8_t *wide, long pixels, int transparent) {
  uint8_t *rgb = malloc((size_t)pixels * 3);
  if (!rgb) return NULL;
  for (long i = 0; i < pixels; i++) {
    uint8_t value = wide[2 * i] ? 255 : wide[2 * i + 1];
    if (value == transparent) value = 255;
    rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = value;
  }
  return rgb;
}

static void read_pixels(png_structp png, png_infop info, mp_picture *picture, png_bytep **rows) {
  size_t stride = png_get_rowbytes(png, info);
  picture->pixels = malloc(stride * (size_t)picture->height);
  *rows = malloc((size_t)picture->height * sizeof **rows);
  if (!picture->pixels || !*rows) png_error(png, "out of memory");
  for (long y = 0; y < picture->height; y++) (*rows)[y] = picture->pixels + (size_t)y * stride;
  png_read_image(png, *rows);
}

// Bytes up to the first chunk beside the pixels that claims more than the file has: libpng would make room for it first.
static size_t whole_chunks(const uint8_t *bytes, size_t count) {
  size_t at = 8;
  while (at + 8 <= count) {
    const uint8_t *chunk = bytes + at;
    size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
    if (length > count - at - 8) return memcmp(chunk + 4, "IDAT", 4) == 0 ? count : at;
    at += length + 12;
  }
  return count;
}

int mp_decode_png(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message) {
  source s = {bytes, whole_chunks(bytes, count), message};
  png_bytep *rows = NULL;
  png_bytep **volatile rows_place = &rows;
  layout l;
  *picture = (mp_picture){.orientation = 1};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, fail, ignore);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_read_struct(&png, NULL, NULL);
    snprintf(message, MP_MESSAGE_SIZE, "out of memory");
    return -1;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    free(*rows_place);
    free(picture->pixels);
    picture->pixels = NULL;
    return -1;
  }
  png_set_read_fn(png, &s, take);
  // Compressed texts may be bombs. Longer ones and those beyond are passed over, not errors.
  png_set_chunk_malloc_max(png, MAX_TEXT);
  png_set_chunk_cache_max(png, MAX_TEXTS);
  png_read_info(png, info);
  read_layout(png, info, &l, max_pixels);
  choose_output(png, info, &l);
  picture->width = l.width;
  picture->height = l.height;
  read_pixels(png, info, picture, &rows);
  picture->channels = l.clips ? 3 : png_get_channels(png, info);
  if (l.clips) {
    uint8_t *rgb = clipped(picture->pixels, picture->width * picture->height, l.transparent);
    if (!rgb) png_error(png, "out of memory");
    free(picture->pixels);
    picture->pixels = rgb;
  }
  read_tail(png, info);
  picture->orientation = read_orientation(png, info);
  free(rows);
  png_destroy_read_struct(&png, &info, NULL);
  return 0;
}
