// JPEG through libjpeg-turbo.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "ccodecs.h"

// A progressive file may redraw its picture this often; more is an attack on the reader's time.
#define MAX_SCANS 500
#define MP_TEXT(number) MP_TEXT_(number)
#define MP_TEXT_(number) #number

typedef struct {
  struct jpeg_error_mgr manager;
  jmp_buf escape;
  char *message;
} guard;

static void fail(j_common_ptr info) {
  guard *g = (guard *)info->err;
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  snprintf(g->message, MP_MESSAGE_SIZE, "%s", text);
  longjmp(g->escape, 1);
}

static void fail_with(j_common_ptr info, const char *text) {
  guard *g = (guard *)info->err;
  snprintf(g->message, MP_MESSAGE_SIZE, "%s", text);
  longjmp(g->escape, 1);
}

static void ignore(j_common_ptr info, int level) { (void)info, (void)level; }

static void begin(j_decompress_ptr info) { (void)info; }

static boolean fill(j_decompress_ptr info) {
  fail_with((j_common_ptr)info, "the file ends inside the picture");
  return FALSE;
}

static void skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  size_t left = info->src->bytes_in_buffer, step = (size_t)count < left ? (size_t)count : left;
  info->src->next_input_byte += step;
  info->src->bytes_in_buffer -= step;
  if ((size_t)count > left) fill(info);
}

static void watch(j_common_ptr info) {
  j_decompress_ptr d = (j_decompress_ptr)info;
  if (d->input_scan_number > MAX_SCANS) fail_with(info, "more than " MP_TEXT(MAX_SCANS) " scans");
}

static uint8_t divide255(int product) {
  int t = product + 128;
  return (uint8_t)(((t >> 8) + t) >> 8);
}

// Pillow's CMYK to RGB, of samples that Adobe's writers store inverted.
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, long pixels) {
  for (long i = 0; i < pixels; i++, cmyk += 4, rgb += 3) {
    int light = cmyk[3];
    for (int c = 0; c < 3; c++) {
      int value = light - divide255((255 - cmyk[c]) * light);
      rgb[c] = (uint8_t)(value < 0 ? 0 : value);
    }
  }
}

static void spread_grey(uint8_t *row, long pixels) {
  for (long i = pixels - 1; i >= 0; i--) row[3 * i] = row[3 * i + 1] = row[3 * i + 2] = row[i];
}

static int begins(jpeg_saved_marker_ptr marker, const char *prefix, size_t length) {
  return marker->data_length > length && memcmp(marker->data, prefix, length) == 0;
}

static void read_orientation(j_decompress_ptr info, mp_picture *picture) {
  static const char xmp_prefix[] = "http://ns.adobe.com/xap/1.0/";
  jpeg_saved_marker_ptr exif = NULL, xmp = NULL;
  // Of several the first EXIF counts, which the others only continue, and the last XMP.
  for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next) {
    if (!exif && begins(m, "Exif\0", 6)) exif = m;
    if (begins(m, xmp_prefix, sizeof xmp_prefix)) xmp = m;
  }
  picture->orientation = mp_orientation(
      exif ? exif->data : NULL, exif ? exif->data_length : 0, xmp ? xmp->data : NULL, xmp ? xmp->data_length : 0);
}

static void read_rows(j_decompress_ptr info, mp_picture *picture, uint8_t *cmyk) {
  long stride = picture->width * 3;
  while (info->output_scanline < info->output_height) {
    uint8_t *row = picture->pixels + (long)info->output_scanline * stride;
    JSAMPROW target = cmyk ? cmyk : row;
    jpeg_read_scanlines(info, &target, 1);
    if (cmyk) cmyk_to_rgb(cmyk, row, picture->width);
    if (info->out_color_space == JCS_GRAYSCALE) spread_grey(row, picture->width);
  }
}

static void choose_colours(j_decompress_ptr info) {
  switch (info->num_components) {
    case 1: info->out_color_space = JCS_GRAYSCALE; break;
    case 3: info->out_color_space = JCS_RGB; break;
    case 4: info->out_color_space = JCS_CMYK; break;
    default: fail_with((j_common_ptr)info, "expected 1, 3 or 4 colour components");
  }
}

int mp_decode_jpeg(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message) {
  struct jpeg_decompress_struct info;
  guard g = {.message = message};
  struct jpeg_source_mgr source = {
      .next_input_byte = bytes, .bytes_in_buffer = count, .init_source = begin, .fill_input_buffer = fill,
      .skip_input_data = skip, .resync_to_restart = jpeg_resync_to_restart, .term_source = begin};
  struct jpeg_progress_mgr progress = {.progress_monitor = watch};
  uint8_t *volatile cmyk = NULL;
  *picture = (mp_picture){.channels = 3, .orientation = 1};
  info.err = jpeg_std_error(&g.manager);
  g.manager.error_exit = fail;
  g.manager.emit_message = ignore;
  if (setjmp(g.escape)) {
    jpeg_destroy_decompress(&info);
    free(picture->pixels);
    free(cmyk);
    picture->pixels = NULL;
    return -1;
  }
  jpeg_create_decompress(&info);
  info.src = &source;
  info.progress = &progress;
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&info, TRUE);
  if ((long)info.image_width * (long)info.image_height > max_pixels) {
    char text[MP_MESSAGE_SIZE];
    snprintf(text, sizeof text, "%ux%u pixels, more than max-pixels, %ld", info.image_width, info.image_height, max_pixels);
    fail_with((j_common_ptr)&info, text);
  }
  choose_colours(&info);
  read_orientation(&info, picture);
  picture->width = info.image_width;
  picture->height = info.image_height;
  picture->pixels = malloc((size_t)picture->width * (size_t)picture->height * 3);
  if (info.out_color_space == JCS_CMYK) cmyk = malloc((size_t)picture->width * 4);
  if (!picture->pixels || (info.out_color_space == JCS_CMYK && !cmyk)) fail_with((j_common_ptr)&info, "out of memory");
  jpeg_start_decompress(&info);
  read_rows(&info, picture, cmyk);
  // The picture is whole: damage behind its last row does not matter.
  jpeg_destroy_decompress(&info);
  free(cmyk);
  return 0;
}

// A file that grows in memory. The library's own destination loses track of it when it jumps.
typedef struct {
  struct jpeg_destination_mgr manager;
  uint8_t *bytes;
  size_t size;
} growing;

// The library asks for room when none is left.
static boolean grow(j_compress_ptr info) {
  growing *g = (growing *)info->dest;
  uint8_t *larger = realloc(g->bytes, g->size * 2);
  if (!larger) fail_with((j_common_ptr)info, "out of memory");
  g->bytes = larger;
  g->manager.next_output_byte = g->bytes + g->size;
  g->manager.free_in_buffer = g->size;
  g->size *= 2;
  return TRUE;
}

static void open_growing(j_compress_ptr info) {
  growing *g = (growing *)info->dest;
  g->size = 8192;
  g->bytes = malloc(g->size);
  if (!g->bytes) fail_with((j_common_ptr)info, "out of memory");
  g->manager.next_output_byte = g->bytes;
  g->manager.free_in_buffer = g->size;
}

static void close_growing(j_compress_ptr info) { (void)info; }

static void compress_rows(j_compress_ptr info, const uint8_t *rgb) {
  long stride = (long)info->image_width * 3;
  jpeg_start_compress(info, TRUE);
  while (info->next_scanline < info->image_height) {
    JSAMPROW row = (JSAMPROW)(rgb + (long)info->next_scanline * stride);
    jpeg_write_scanlines(info, &row, 1);
  }
  jpeg_finish_compress(info);
}

int mp_encode_jpeg(
    const uint8_t *rgb, long width, long height, int quality, int sampling, uint8_t **bytes, size_t *count,
    char *message) {
  struct jpeg_compress_struct info;
  guard g = {.message = message};
  growing file = {
      .manager = {
          .init_destination = open_growing, .empty_output_buffer = grow, .term_destination = close_growing}};
  *bytes = NULL;
  *count = 0;
  info.err = jpeg_std_error(&g.manager);
  g.manager.error_exit = fail;
  g.manager.emit_message = ignore;
  if (setjmp(g.escape)) {
    jpeg_destroy_compress(&info);
    free(file.bytes);
    return -1;
  }
  jpeg_create_compress(&info);
  info.dest = &file.manager;
  info.image_width = (JDIMENSION)width;
  info.image_height = (JDIMENSION)height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = sampling;
  // This transform has the same results with and without vector instructions.
  info.dct_method = JDCT_ISLOW;
  compress_rows(&info, rgb);
  *bytes = file.bytes;
  *count = file.size - file.manager.free_in_buffer;
  jpeg_destroy_compress(&info);
  return 0;
}
