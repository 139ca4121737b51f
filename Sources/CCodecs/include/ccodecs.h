// JPEG, PNG and WebP through their libraries, behind calls that return instead of jumping.
#ifndef CCODECS_H
#define CCODECS_H

#include <stddef.h>
#include <stdint.h>

enum { MP_MESSAGE_SIZE = 256 };

/// A decoded picture: 8-bit rows without gaps, of 3 (RGB) or 4 (RGBA, alpha not multiplied in) bytes a pixel.
typedef struct {
  /// Made with malloc; NULL after a failure.
  uint8_t *pixels;
  long width;
  long height;
  int channels;
  /// EXIF's orientation, 1 to 8; 1 where the file has none. It has not been applied.
  int orientation;
} mp_picture;

/// Decodes a whole file. `max_pixels` bounds width times height and is checked before anything is allocated.
/// Returns 0; or -1, with the reason in `message` and nothing allocated.
/// Colours are those of Pillow's convert("RGB"): CMYK is taken as Adobe writes it, inverted. A file that ends inside
/// the picture is an error; damage that the library can pass over is not.
int mp_decode_jpeg(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message);
/// The same for PNG: the default image of an animation; 16 bits are cut to the upper 8 except in grey pictures without
/// an alpha channel, where values above 255 become 255, as in Pillow.
int mp_decode_png(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message);
/// The same for WebP: the first frame of an animation.
int mp_decode_webp(const uint8_t *bytes, size_t count, long max_pixels, mp_picture *picture, char *message);

/// Writes 8-bit RGB rows without gaps as a JPEG file that is kept in `*bytes`, made with malloc.
/// `quality` is libjpeg's, 1 to 100; `sampling` is how many pixels a side share a colour: 1 (4:4:4) or 2 (4:2:0).
/// The same pixels give the same bytes with one version of the library; another may give others.
/// Returns 0; or -1, with the reason in `message` and nothing allocated.
int mp_encode_jpeg(
    const uint8_t *rgb, long width, long height, int quality, int sampling, uint8_t **bytes, size_t *count,
    char *message);

/// The orientation (1 to 8) of a picture with these blocks of EXIF data, with or without its "Exif" prefix, and of XMP.
/// Either may be NULL. XMP counts only where EXIF says nothing, as in Pillow; 1 where neither does.
int mp_orientation(const uint8_t *exif, size_t exif_count, const uint8_t *xmp, size_t xmp_count);

/// rgb = rgba laid on white, with Pillow's rounding.
void mp_lay_on_white(const uint8_t *rgba, uint8_t *rgb, long pixels);
/// Turns RGB rows as an orientation asks: `out` is `width` x `height` for 1 to 4, `height` x `width` for 5 to 8.
void mp_orient(const uint8_t *rgb, long width, long height, int orientation, uint8_t *out);

#endif
