// PNG through libpng.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "ccodecs.h"

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
  // Grey of 16 bits without alpha: Pillow clips it where it cuts every other kind to the upper byte.
  int clips;
} layout;

static void read_layout(png_structp png, png_infop info, layout *l, long max_pixels) {
  int interlace;
  png_get_IHDR(png, info, &l->width, &l->height, &l->depth, &l->colour, &interlace, NULL, NULL);
  if ((long)l->width * (long)l->height > max_pixels) {
    char text[MP_MESSAGE_SIZE];
    snprintf(text, sizeof text, "%ux%u pixels, more than the limit of %ld", l->width, l->height, max_pixels);
    png_error(png, text);
  }
  l->clips = l->depth == 16 && l->colour == PNG_COLOR_TYPE_GRAY && !png_get_valid(png, info, PNG_INFO_tRNS);
}

static void choose_output(png_structp png, png_infop info, const layout *l) {
  if (l->colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (l->colour == PNG_COLOR_TYPE_GRAY && l->depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
  if (l->depth == 16 && !l->clips) png_set_strip_16(png);
  if (!l->clips && !(l->colour & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

static int read_orientation(png_structp png, png_infop info) {
#ifdef PNG_eXIf_SUPPORTED
  png_bytep exif;
  png_uint_32 count;
  if (png_get_eXIf_1(png, info, &count, &exif)) return mp_exif_orientation(exif, count);
#endif
  return 1;
}

// Big-endian 16-bit grey rows become RGB of the clipped values.
static uint8_t *clipped(const uint8_t *wide, long pixels) {
  uint8_t *rgb = malloc((size_t)pixels * 3);
  if (!rgb) return NULL;
  for (long i = 0; i < pixels; i++) {
    uint8_t value = wide[2 * i] ? 255 : wide[2 * i + 1];
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

int mp_decode_png(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message) {
  source s = {bytes, count, message};
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
  png_read_info(png, info);
  read_layout(png, info, &l, max_pixels);
  choose_output(png, info, &l);
  picture->width = l.width;
  picture->height = l.height;
  read_pixels(png, info, picture, &rows);
  picture->orientation = read_orientation(png, info);
  picture->channels = l.clips ? 3 : png_get_channels(png, info);
  if (l.clips) {
    uint8_t *rgb = clipped(picture->pixels, picture->width * picture->height);
    if (!rgb) png_error(png, "out of memory");
    free(picture->pixels);
    picture->pixels = rgb;
  }
  free(rows);
  png_destroy_read_struct(&png, &info, NULL);
  return 0;
}
