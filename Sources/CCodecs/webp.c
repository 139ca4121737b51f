// WebP through libwebp.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "ccodecs.h"

static int fail(char *message, const char *text) {
  snprintf(message, MP_MESSAGE_SIZE, "%s", text);
  return -1;
}

static const char *status_text(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "out of memory";
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the file ends inside the picture";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "unsupported feature";
    default: return "broken WebP data";
  }
}

static int read_orientation(const WebPData *data) {
  WebPDemuxer *demuxer = WebPDemux(data);
  WebPChunkIterator exif = {0}, xmp = {0};
  if (demuxer) {
    WebPDemuxGetChunk(demuxer, "EXIF", 1, &exif);
    WebPDemuxGetChunk(demuxer, "XMP ", 1, &xmp);
  }
  int orientation = mp_orientation(exif.chunk.bytes, exif.chunk.size, xmp.chunk.bytes, xmp.chunk.size);
  WebPDemuxReleaseChunkIterator(&exif);
  WebPDemuxReleaseChunkIterator(&xmp);
  WebPDemuxDelete(demuxer);
  return orientation;
}

static void drop_alpha(uint8_t *pixels, long count) {
  for (long i = 0; i < count; i++) memmove(pixels + 3 * i, pixels + 4 * i, 3);
}

static int decode_first_frame(const WebPData *data, mp_picture *picture, char *message) {
  WebPAnimDecoderOptions options;
  if (!WebPAnimDecoderOptionsInit(&options)) return fail(message, "libwebp has another version than it was built for");
  options.color_mode = MODE_RGBA;
  WebPAnimDecoder *decoder = WebPAnimDecoderNew(data, &options);
  uint8_t *frame;
  int time;
  if (!decoder || !WebPAnimDecoderGetNext(decoder, &frame, &time)) {
    WebPAnimDecoderDelete(decoder);
    return fail(message, "broken WebP animation");
  }
  size_t size = (size_t)picture->width * (size_t)picture->height * 4;
  picture->pixels = malloc(size);
  if (picture->pixels) memcpy(picture->pixels, frame, size);
  WebPAnimDecoderDelete(decoder);
  if (!picture->pixels) return fail(message, "out of memory");
  if (picture->channels == 3) drop_alpha(picture->pixels, picture->width * picture->height);
  return 0;
}

static int decode_still(const WebPData *data, mp_picture *picture, char *message) {
  size_t stride = (size_t)picture->width * (size_t)picture->channels, size = stride * (size_t)picture->height;
  picture->pixels = malloc(size);
  if (!picture->pixels) return fail(message, "out of memory");
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return fail(message, "libwebp has another version than it was built for");
  config.output.colorspace = picture->channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.u.RGBA = (WebPRGBABuffer){.rgba = picture->pixels, .stride = (int)stride, .size = size};
  config.output.is_external_memory = 1;
  VP8StatusCode status = WebPDecode(data->bytes, data->size, &config);
  return status == VP8_STATUS_OK ? 0 : fail(message, status_text(status));
}

int mp_decode_webp(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message) {
  WebPData data = {bytes, count};
  WebPBitstreamFeatures features;
  *picture = (mp_picture){.orientation = 1};
  VP8StatusCode status = WebPGetFeatures(bytes, count, &features);
  if (status != VP8_STATUS_OK) return fail(message, status_text(status));
  if ((long)features.width * (long)features.height > max_pixels) {
    snprintf(
        message, MP_MESSAGE_SIZE, "%dx%d pixels, more than max-pixels, %ld", features.width, features.height, max_pixels);
    return -1;
  }
  picture->width = features.width;
  picture->height = features.height;
  picture->channels = features.has_alpha ? 4 : 3;
  int failed = features.has_animation ? decode_first_frame(&data, picture, message) : decode_still(&data, picture, message);
  if (failed) {
    free(picture->pixels);
    picture->pixels = NULL;
    return -1;
  }
  picture->orientation = read_orientation(&data);
  return 0;
}
